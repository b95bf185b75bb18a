/**
 * Echoes in their order, from all shares of a machine: a bounded number waits, a bounded number is with the guest at a time.
 *
 * ```
 *  push ─► waiting (one of a kind and file is enough) ─► with the guest, each with its id ─► settled
 * ```
 *
 * What is finished goes at once, unless something that is not is before it: that waits to be finished, or ripened.
 *
 * Before the first guest nothing waits: who comes later has seen nothing of before.
 *
 * @module
 */
import { ECHO_IDS, type Echo } from "./echo.ts"

const WAITING_MAX = 65_536
const WINDOW = 512

export interface EchoQueueOptions {
  /** Sends lines to the agent, in order. */
  readonly send: (lines: readonly string[]) => void
  /** Too much waited, and all of it was dropped. */
  readonly onOverflow: () => void
  readonly waitingMax?: number
  readonly window?: number
}

export interface EchoCounters {
  /** Repeated in the guest. */
  readonly echoes: number
  /** Those that the guest could not repeat: mostly of what was gone by then. */
  readonly failedEchoes: number
  /** Not repeated as one of the kind waited already. */
  readonly mergedEchoes: number
  /** Not repeated as no guest listened, or too many waited. */
  readonly droppedEchoes: number
  /** That wait, or are with the guest, at this moment. */
  readonly pendingEchoes: number
}

export class EchoQueue {
  readonly #options: EchoQueueOptions
  readonly #window: number
  readonly #waitingMax: number
  readonly #waiting: (Echo | undefined)[] = []
  /** The waiting ones that may take up others, by key: their index from the beginning of time. */
  readonly #keys = new Map<string, number>()
  readonly #out = new Map<number, Echo>()
  /** How many went before the first of `#waiting`. */
  #gone = 0
  #head = 0
  /** Those before it go as they are: an index from the beginning of time. */
  #ripe = 0
  #nextId = 0
  #guest: "none" | "lost" | "here" = "none"
  #counters = { echoes: 0, failedEchoes: 0, mergedEchoes: 0, droppedEchoes: 0 }

  constructor(options: EchoQueueOptions) {
    this.#options = options
    this.#window = Math.min(options.window ?? WINDOW, ECHO_IDS / 2)
    this.#waitingMax = options.waitingMax ?? WAITING_MAX
  }

  get counters(): EchoCounters {
    return { ...this.#counters, pendingEchoes: this.#waiting.length - this.#head + this.#out.size }
  }

  /** The echo that is with the guest under this id. */
  at(id: number): Echo | undefined {
    return this.#out.get(id)
  }

  push(echo: Echo): void {
    if (this.#guest === "none") {
      this.#counters.droppedEchoes++
      return
    }
    if (echo.kind !== "make" && this.#merge(echo)) return
    if (this.#waiting.length - this.#head >= this.#waitingMax) {
      this.#counters.droppedEchoes += this.#waiting.length - this.#head + 1
      this.#clear()
      this.#options.onOverflow()
      return
    }
    if (echo.key !== undefined) this.#keys.set(echo.key, this.#gone + this.#waiting.length)
    this.#waiting.push(echo)
  }

  /** What is made of a name from now on is not what waits for it: echoes of the key do not merge with those before. */
  fence(key: string): void {
    this.#keys.delete(key)
  }

  /** Whether something waits that is to be ripened in a moment. */
  get isUnripe(): boolean {
    return this.#guest === "here" && this.#head < this.#waiting.length && this.#ripe < this.#end
  }

  /** What waits has waited long enough to be finished. Sends like `pump`. */
  ripen(): void {
    this.#ripe = this.#end
    this.pump()
  }

  /** Sends as many as the guest may have. To be called after pushes, once a batch. */
  pump(): void {
    if (this.#guest !== "here") return
    const lines: string[] = []
    while (this.#out.size < this.#window && this.#head < this.#waiting.length) {
      const index = this.#gone + this.#head
      const echo = this.#waiting[this.#head]
      if (echo?.unfinished === true && index >= this.#ripe) break
      this.#waiting[this.#head++] = undefined
      if (echo === undefined) continue
      if (echo.key !== undefined && this.#keys.get(echo.key) === index) this.#keys.delete(echo.key)
      lines.push(this.#issue(echo))
    }
    if (this.#head === this.#waiting.length) this.#shift()
    else if (this.#head > this.#waitingMax / 2) this.#shift()
    if (lines.length > 0) this.#options.send(lines)
  }

  /** The guest has made them, or could not: `errno` is 0 or why. */
  settle(results: readonly { readonly id: number; readonly errno: number }[]): void {
    for (const { id, errno } of results) {
      if (!this.#out.delete(id)) continue
      if (errno === 0) this.#counters.echoes++
      else this.#counters.failedEchoes++
    }
    this.pump()
  }

  /** A guest listens. `again`: the one from before, to whom is sent once more what it did not answer. */
  open(again: boolean): void {
    const unanswered = again ? [...this.#out.values()] : []
    this.#out.clear()
    if (!again) this.#clear()
    this.#guest = "here"
    if (unanswered.length > 0) {
      this.#waiting.splice(0, this.#head, ...unanswered)
      this.#gone += this.#head - unanswered.length
      this.#head = 0
    }
    this.ripen()
  }

  /** The guest does not answer any more. What happens goes on waiting for it, as it may come back. */
  pause(): void {
    if (this.#guest === "here") this.#guest = "lost"
  }

  #merge(echo: Echo): boolean {
    if (echo.key === undefined) return false
    const index = this.#keys.get(echo.key)
    if (index === undefined) return false
    const at = index - this.#gone
    const before = this.#waiting[at]
    if (before === undefined) return false
    if (before.kind === "make") {
      if (before.filled === undefined) return false
      const unfinished = before.unfinished === true && echo.kind !== "write"
      this.#waiting[at] = { ...before, words: before.filled, unfinished }
    } else if (before.kind === "modify" && echo.kind === "write") this.#waiting[at] = echo // who modified it has closed it since
    this.#counters.mergedEchoes++
    return true
  }

  #issue(echo: Echo): string {
    while (this.#out.has(this.#nextId)) this.#nextId = (this.#nextId + 1) % ECHO_IDS
    const id = this.#nextId
    this.#nextId = (this.#nextId + 1) % ECHO_IDS
    this.#out.set(id, echo)
    return `echo ${id} ${echo.words}`
  }

  get #end(): number {
    return this.#gone + this.#waiting.length
  }

  #shift(): void {
    this.#waiting.splice(0, this.#head)
    this.#gone += this.#head
    this.#head = 0
  }

  #clear(): void {
    this.#gone += this.#waiting.length
    this.#waiting.length = 0
    this.#head = 0
    this.#keys.clear()
  }
}
