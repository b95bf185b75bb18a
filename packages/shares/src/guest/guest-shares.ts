/**
 * The guest's share agent as long as the machine lives: it is looked for until it answers, and again when it is lost.
 *
 * ```
 *  looking ──► onReady ──► requests, echoes ──► lost ──► onLost ──► looking …            until disposed
 * ```
 *
 * @module
 */
import type { Duplex } from "node:stream"
import { type Log, SidecarError } from "@skep/contract"
import { sleep } from "@skep/runtime"
import type { EchoResult, Hello, Mount, Place } from "./lines.ts"
import { type GuestMounts, openShareSession, type ShareSession } from "./session.ts"

const RETRY_MS = 100
const RETRY_MAX_MS = 2000

export interface GuestSharesOptions {
  /** Connects to the agent's port; rejects where nobody listens. */
  readonly dial: (signal: AbortSignal) => Promise<Duplex>
  /** An agent has answered. `again` says that it is in the boot of the one before, so that what was mounted still is. Must not throw. */
  readonly onReady: (hello: Hello & { readonly again: boolean }) => void
  /** It does not answer any more; requests under way reject. Must not throw. */
  readonly onLost?: (reason: string) => void
  /** Changes that the guest has repeated, or could not. Must not throw. */
  readonly onEchoed?: (results: readonly EchoResult[]) => void
  readonly log?: Log
  /** How long after a refusal the first time; each later one takes half as long again, up to 2 s. */
  readonly retryMs?: number
  /** For each request. */
  readonly deadlineMs?: number
}

export class GuestShares implements AsyncDisposable {
  readonly #options: GuestSharesOptions
  readonly #over = new AbortController()
  readonly #looking: Promise<void>
  #session: ShareSession | undefined
  #wake: AbortController | undefined

  constructor(options: GuestSharesOptions) {
    this.#options = options
    this.#looking = this.#look()
  }

  get ready(): boolean {
    return this.#session !== undefined
  }

  /** Mounts the directory of all shares at /run/skep/shares. Does nothing where it is mounted so. */
  async mount(how: Mount): Promise<void> {
    await this.#here().mount(how, this.#over.signal)
  }

  /** Mounts a directory of another server as `id` of that directory. Does nothing where it is mounted so. */
  async attach(id: string, place: Place): Promise<void> {
    await this.#here().attach(id, place, this.#over.signal)
  }

  /** Shows `id` of that directory at `target`, which is made; what was bound there before goes. */
  async bind(id: string, target: string, readOnly: boolean): Promise<void> {
    await this.#here().bind({ id, target, readOnly }, this.#over.signal)
  }

  /** Takes it away, also from whoever still uses it. Does nothing where no share is. */
  async unbind(target: string): Promise<void> {
    await this.#here().unbind(target, this.#over.signal)
  }

  async mounts(): Promise<GuestMounts> {
    return await this.#here().mounts(this.#over.signal)
  }

  /** All shares are where they belong: the engine may start containers. */
  async announce(): Promise<void> {
    await this.#here().ready(this.#over.signal)
  }

  /** Sends what an `EchoQueue` sends. What is sent while nobody listens is lost; the queue sends it again. */
  echo(lines: readonly string[]): void {
    this.#session?.echo(lines)
  }

  /** Looks at once: something says that the guest is there. */
  nudge(): void {
    this.#wake?.abort()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort(new SidecarError("not-running", "Cannot reach the guest's share agent: it was hung up"))
    await this.#looking
  }

  #isOver(): boolean {
    return this.#over.signal.aborted
  }

  #here(): ShareSession {
    if (this.#session !== undefined) return this.#session
    throw new SidecarError("unreachable", "Cannot reach the guest's share agent: no guest has answered yet")
  }

  async #look(): Promise<void> {
    const { signal } = this.#over
    let bootId: string | undefined
    let retryMs = this.#options.retryMs ?? RETRY_MS
    while (!this.#isOver()) {
      try {
        const duplex = await this.#options.dial(signal)
        const onEchoed = this.#options.onEchoed ?? (() => undefined)
        const { deadlineMs } = this.#options
        const session = await openShareSession(duplex, {
          signal,
          onEchoed,
          ...(deadlineMs === undefined ? {} : { deadlineMs }),
        })
        await this.#use(session, session.hello.bootId === bootId)
        bootId = session.hello.bootId
        retryMs = this.#options.retryMs ?? RETRY_MS
      } catch (error) {
        if (this.#isOver()) return
        this.#options.log?.debug("share agent not reached", { reason: reasonOf(error) })
        retryMs = Math.min(RETRY_MAX_MS, retryMs * 1.5)
      }
      await this.#pause(retryMs)
    }
  }

  /** Until it is lost. */
  async #use(session: ShareSession, again: boolean): Promise<void> {
    const hangUp = (): void => void session[Symbol.asyncDispose]()
    this.#over.signal.addEventListener("abort", hangUp, { once: true })
    this.#session = session
    this.#options.log?.info("share agent answers", { again })
    try {
      this.#options.onReady({ ...session.hello, again })
      if (this.#over.signal.aborted) hangUp()
      const reason = await session.closed
      this.#options.log?.info("share agent lost", { reason })
      this.#session = undefined
      this.#options.onLost?.(reason)
    } finally {
      this.#session = undefined
      this.#over.signal.removeEventListener("abort", hangUp)
    }
  }

  async #pause(ms: number): Promise<void> {
    const wake = new AbortController()
    this.#wake = wake
    try {
      await sleep(ms, AbortSignal.any([wake.signal, this.#over.signal]))
    } catch (error) {
      // Woken, or over.
      if (!wake.signal.aborted && !this.#over.signal.aborted) throw error
    } finally {
      this.#wake = undefined
    }
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
