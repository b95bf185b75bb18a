/**
 * Runs a sweep now and then every hour: what machines left that nobody could clear up after.
 *
 *     sweep ── ended, failed, or took too long ──► an hour, a tenth more or less ──► sweep
 *
 * @module
 */
import { type Log, SidecarError } from "@skep/contract"

const EVERY_MS = 3_600_000
/** A tenth: the backends of several users of one host do not sweep all at once. */
const JITTER = 0.1
const SWEEP_MS = 60_000

export interface JanitorOptions {
  /** One sweep, which ends soon after its signal aborts. */
  readonly sweep: (signal: AbortSignal) => Promise<void>
  readonly log: Log
  /** Calls back later, unless it is disposed; keeps no process alive. */
  readonly later: (callback: () => void, ms: number) => Disposable
  /** From 0 to 1. */
  readonly random: () => number
}

/** Begins at once. Disposing it ends the sweep that is under way. */
export class Janitor implements AsyncDisposable {
  readonly #options: JanitorOptions
  readonly #end = new AbortController()
  #next: Disposable | undefined
  #sweeping: Promise<void> = Promise.resolve()

  constructor(options: JanitorOptions) {
    this.#options = options
    this.#run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort(new SidecarError("aborted", "The janitor is stopping"))
    this.#next?.[Symbol.dispose]()
    await this.#sweeping
  }

  #run(): void {
    const { later, random } = this.#options
    this.#sweeping = this.#sweep().then(() => {
      if (this.#end.signal.aborted) return
      this.#next = later(() => this.#run(), EVERY_MS * (1 + JITTER * (2 * random() - 1)))
    })
  }

  /** Never rejects: the next one is in an hour. */
  async #sweep(): Promise<void> {
    const { sweep, log, later } = this.#options
    const late = new AbortController()
    using _deadline = later(
      () =>
        late.abort(new SidecarError("timeout", `The sweep of leases took more than ${SWEEP_MS / 1000} s`)),
      SWEEP_MS,
    )
    try {
      await sweep(AbortSignal.any([this.#end.signal, late.signal]))
    } catch (error) {
      if (!this.#end.signal.aborted) log.info("leases not swept", { reason: String(error) })
    }
  }
}

/** By the process's own clock. */
export function timerLater(callback: () => void, ms: number): Disposable {
  const timer = setTimeout(callback, ms)
  timer.unref()
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}
