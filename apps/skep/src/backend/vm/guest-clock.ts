/**
 * Keeps the clock of a guest at the host's: when its agent comes, every 10 s, and as soon as the host's own clock has jumped, as it does when
 * the host was suspended.
 *
 * @module
 */
import type { Fields, Log, SidecarEvent } from "@skep/contract"
import type { AgentSession } from "@skep/guest/agent"

const EVERY_MS = 10_000
/** How often to look whether the host's clock has jumped; costs no more than reading two clocks. */
const LOOK_MS = 2000
/** A clock that is set by hand or after a suspension moves by more, one that is kept by NTP by less. */
const JUMP_MS = 500
/** A guest that is off by less is left alone: its own clock is that good, and the way there takes about as long. */
const TOLERATED_MS = 20
/** Off by this much, certificates and builds begin to fail: worth a line in the timeline. */
const ALARM_MS = 1000

/** The host's clocks, in milliseconds. */
export interface Clocks {
  readonly wall: () => number
  /** Stands still while the host is suspended. */
  readonly monotonic: () => number
}

export interface GuestClockOptions {
  readonly session: Pick<AgentSession, "time" | "setTime">
  readonly log: Log
  readonly emit: (event: SidecarEvent) => void
  readonly clocks?: Clocks
  readonly lookMs?: number
  readonly everyMs?: number
}

const HOST: Clocks = { wall: () => Date.now(), monotonic: () => performance.now() }

/** Begins at once; disposing it ends it. */
export class GuestClock implements Disposable {
  readonly #options: GuestClockOptions
  readonly #clocks: Clocks
  readonly #stop = new AbortController()
  readonly #timer: NodeJS.Timeout
  /** Wall clock less monotonic clock, when last looked at. */
  #offset: number
  #sinceMs: number
  #skewMs: number | undefined
  #setting: Promise<void> | undefined

  constructor(options: GuestClockOptions) {
    this.#options = options
    this.#clocks = options.clocks ?? HOST
    this.#offset = this.#now()
    this.#sinceMs = this.#clocks.monotonic()
    this.#timer = setInterval(() => this.#look(), options.lookMs ?? LOOK_MS).unref()
    void this.set()
  }

  /** By how much the guest was ahead of the host when last asked, after it was set; undefined before that. */
  get skewMs(): number | undefined {
    return this.#skewMs
  }

  /** Asks the guest for its time and sets it where that is wrong. One at a time; never rejects. */
  set(): Promise<void> {
    this.#setting ??= this.#set().finally(() => {
      this.#setting = undefined
    })
    return this.#setting
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    this.#stop.abort(new Error("the guest's clock is not watched any more"))
  }

  #look(): void {
    const before = this.#offset
    this.#offset = this.#now()
    const jumped = Math.abs(this.#offset - before) >= JUMP_MS
    if (jumped) this.#tell("host clock jumped", { byMs: Math.round(this.#offset - before) })
    const due = this.#clocks.monotonic() - this.#sinceMs >= (this.#options.everyMs ?? EVERY_MS)
    if (jumped || due) void this.set()
  }

  #now(): number {
    return this.#clocks.wall() - this.#clocks.monotonic()
  }

  async #set(): Promise<void> {
    const { session } = this.#options
    const { signal } = this.#stop
    this.#sinceMs = this.#clocks.monotonic()
    try {
      const found = await session.time(signal)
      this.#skewMs = found.skewMs
      if (Math.abs(found.skewMs) <= Math.max(TOLERATED_MS, found.roundTripMs)) return
      await session.setTime(this.#clocks.wall, signal)
      this.#skewMs = (await session.time(signal)).skewMs
      const wasMs = Math.round(found.skewMs)
      const fields = { wasMs, skewMs: Math.round(this.#skewMs) }
      if (Math.abs(wasMs) >= ALARM_MS) this.#tell("guest clock set", fields)
      else this.#options.log.debug("guest clock set", fields)
    } catch (error) {
      // A guest that is busy or ending: the next time it is asked again.
      if (!signal.aborted) this.#options.log.debug("guest clock not set", { reason: String(error) })
    }
  }

  #tell(what: string, fields: Fields): void {
    this.#options.log.info(what, fields)
    this.#options.emit({ type: what.replaceAll(" ", "-"), ...fields })
  }
}
