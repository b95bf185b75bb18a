/**
 * Keeps one sidecar running: opens it, and opens another when it is gone.
 *
 *     opening ──there──► running ──gone by itself──► waiting ──► opening
 *        └── failed ──► waiting (50 ms, doubled to 5 s; from the start again after 5 s of running)
 *
 * @module
 */
import { type Log, type Running, SidecarError } from "@skep/contract"
import { type Resolvers, sleep, withResolvers } from "../deadline.ts"

const RETRY_FIRST_MS = 50
const RETRY_MAX_MS = 5000

export interface SuperviseOptions<R> {
  readonly name: string
  /** Finds the one that runs, or starts one. The signal aborts when the supervision ends. */
  readonly open: (signal: AbortSignal) => Promise<R>
  readonly log: Log
  /** Each time there is another one. */
  readonly onUp?: (running: R) => void
  /** It is gone and nobody asked for that; another one is on its way. */
  readonly onDown?: (reason: unknown) => void
}

/** Disposing it stops the sidecar, `release` leaves it running: the one that is there, and one that is just being opened. Both end the supervision. */
export class Supervisor<R extends Running<unknown> & { release?: () => void }> implements AsyncDisposable {
  readonly #options: SuperviseOptions<R>
  readonly #stop = new AbortController()
  /** Of the attempt that is under way, or of the one that runs. */
  #ready = expected<R>()
  readonly #over: Promise<void>
  #running: R | undefined
  #losses = 0
  #released = false

  constructor(options: SuperviseOptions<R>) {
    this.#options = options
    this.#over = this.#run()
  }

  /** For whoever asks now: fulfils with the one that runs, or that is being opened; rejects when that attempt fails, or when it is all over. */
  get ready(): Promise<R> {
    return this.#ready.promise
  }

  /** The one that runs now. */
  get running(): R | undefined {
    return this.#running
  }

  /** How often it went by itself. */
  get losses(): number {
    return this.#losses
  }

  release(): void {
    const running = this.#running
    this.#released = true
    this.#end()
    running?.release?.()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const running = this.#running
    this.#end()
    await running?.[Symbol.asyncDispose]()
    await this.#over
  }

  #end(): void {
    this.#stop.abort(new SidecarError("not-running", `The sidecar "${this.#options.name}" is being stopped`))
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    let retryMs = RETRY_FIRST_MS
    while (!signal.aborted) {
      const running = await this.#open(signal)
      if (running !== undefined) {
        const since = performance.now()
        await this.#watch(running, signal)
        if (performance.now() - since >= RETRY_MAX_MS) retryMs = RETRY_FIRST_MS
      }
      await sleep(retryMs, signal).catch(() => undefined) // the loop's condition sees the abort
      retryMs = Math.min(2 * retryMs, RETRY_MAX_MS)
    }
    this.#ready.reject(signal.reason)
  }

  async #open(signal: AbortSignal): Promise<R | undefined> {
    try {
      return await this.#options.open(signal)
    } catch (error) {
      const failed = this.#ready
      this.#ready = expected()
      failed.reject(error)
      if (!signal.aborted)
        this.#options.log.info("cannot start the sidecar", {
          sidecar: this.#options.name,
          reason: String(error),
        })
      return undefined
    }
  }

  /** Resolves when it is gone, or when nobody watches any more. */
  async #watch(running: R, signal: AbortSignal): Promise<void> {
    const { name, log, onUp, onDown } = this.#options
    if (signal.aborted) {
      // It came too late to be anybody's here.
      if (this.#released) running.release?.()
      else await running[Symbol.asyncDispose]()
      return
    }
    this.#running = running
    this.#ready.resolve(running)
    onUp?.(running)
    const letGo = withResolvers<"let go">()
    signal.addEventListener("abort", () => letGo.resolve("let go"), { once: true })
    const reason: unknown = await Promise.race([
      letGo.promise,
      running.closed.then(
        () => new SidecarError("not-running", `The sidecar "${name}" stopped`),
        (error: unknown) => error,
      ),
    ])
    this.#running = undefined
    this.#ready = expected()
    if (reason === "let go") return
    this.#losses++
    log.info("sidecar lost", { sidecar: name, reason: String(reason) })
    onDown?.(reason)
  }
}

/** Its rejection is for who waits, if anybody does. */
function expected<R>(): Resolvers<R> {
  const resolvers = withResolvers<R>()
  resolvers.promise.catch(() => undefined)
  return resolvers
}
