/**
 * Keeps one connection to the Docker engine of a running machine, and makes it again when it breaks.
 *
 * @module
 */
import { type Log, SidecarError } from "@skep/contract"
import { type Resolvers, sleep, withResolvers } from "@skep/runtime"
import type { Engine } from "../../docker/engine.ts"

const RETRY_FIRST_MS = 100
const RETRY_MAX_MS = 5000

export class EngineKeeper implements AsyncDisposable {
  readonly #connect: (signal: AbortSignal) => Promise<Engine>
  readonly #log: Log
  readonly #stop = new AbortController()
  readonly #loop: Promise<void>
  #engine: Engine | undefined
  #next: Resolvers<Engine> = quiet()
  #lastError: SidecarError | undefined

  constructor(connect: (signal: AbortSignal) => Promise<Engine>, log: Log) {
    this.#connect = connect
    this.#log = log
    this.#loop = this.#run()
  }

  /** Why there is no connection: the last attempt's error. */
  get lastError(): SidecarError | undefined {
    return this.#engine === undefined ? this.#lastError : undefined
  }

  /**
   * The connection that is there, or the next one. Rejects when the keeper is disposed, and with "permission-denied" when
   * whoever answers is not our guest: waiting longer would not help.
   */
  ready(): Promise<Engine> {
    return this.#engine === undefined ? this.#next.promise : Promise.resolve(this.#engine)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new SidecarError("not-running", "The machine is stopping"))
    await this.#loop
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    for (let retryMs = RETRY_FIRST_MS; !signal.aborted; ) {
      const engine = await this.#tryConnect(signal)
      if (engine === undefined) {
        await sleep(retryMs, signal).catch(() => undefined) // the loop's condition sees the abort
        retryMs = Math.min(retryMs * 2, RETRY_MAX_MS)
        continue
      }
      retryMs = RETRY_FIRST_MS
      this.#engine = engine
      this.#next.resolve(engine)
      this.#next = quiet()
      await ended(engine, signal)
      this.#engine = undefined
      await engine[Symbol.asyncDispose]()
    }
    this.#next.reject(signal.reason)
  }

  async #tryConnect(signal: AbortSignal): Promise<Engine | undefined> {
    try {
      return await this.#connect(signal)
    } catch (error) {
      if (signal.aborted) return undefined
      this.#log.info("engine unreachable", { reason: String(error) })
      if (!(error instanceof SidecarError)) throw error
      this.#lastError = error
      if (error.code === "permission-denied") {
        this.#next.reject(error)
        this.#next = quiet()
      }
      return undefined
    }
  }
}

/** Resolves when the connection has ended, however, or the signal aborts. */
async function ended(engine: Engine, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    engine.closed.catch(() => undefined).finally(resolve)
    signal.addEventListener("abort", () => resolve(), { once: true })
  })
}

function quiet(): Resolvers<Engine> {
  const resolvers = withResolvers<Engine>()
  resolvers.promise.catch(() => undefined) // whoever waits sees the reason
  return resolvers
}
