/**
 * `docker run -p` becomes a listener on the host, and goes with its container.
 *
 *   engine's events ──> touched containers ──> inspect ──> wishes ──> diff ──> network.forward / dispose
 *   stream begins  ──> all of them ────────────┘                └─> warnings
 *
 * Nothing is polled: an event says which container to look at, and each look asks for the whole truth about it, so that events
 * which come twice, late or out of order do no harm. Whenever the stream begins anew everything is compared.
 *
 * @module
 */
import {
  type ForwardRule,
  type Log,
  type NetworkRunning,
  SidecarError,
  type SidecarEvent,
} from "@skep/contract"
import { sleep, withResolvers } from "@skep/runtime"
import { type Desired, merge, wishesOf } from "./desired.ts"
import { type EngineApi, engineApi } from "./engine-api.ts"
import { ForwardTable, type PortWarning, type PublishedPort } from "./forward-table.ts"
import type { EngineEvent } from "./inspection.ts"

export interface PortsOptions {
  /** Where the engine answers: the proxy's socket will do. */
  readonly dockerSocket: string
  readonly network: Pick<NetworkRunning, "forward" | "status">
  /** Where to listen for ports that name no address. */
  readonly bindDefault: string
  /** Forwards of others, such as the one to SSH: never removed, and never given to a container. */
  readonly reserved?: readonly ForwardRule[]
  readonly log: Log
  readonly emit: (event: SidecarEvent) => void
  /** Cancels the start, and nothing else. */
  readonly signal: AbortSignal
  /** Stands in for the engine in tests. */
  readonly engine?: EngineApi
}

export interface PortsStatus {
  readonly forwards: readonly PublishedPort[]
  readonly warnings: readonly PortWarning[]
}

/** Disposal stops watching and leaves the forwards in place: they belong to the machine, and the next start adopts them. */
export interface Ports extends AsyncDisposable {
  /** Looks at a container, by id, its beginning or name, and resolves when its forwards are in place or refused. */
  settled(container: string): Promise<void>
  /** Compares everything: for when the network was replaced or lost its rules. */
  reconcile(): Promise<void>
  /** Stops watching and removes the forwards. */
  clear(): Promise<void>
  status(): PortsStatus
}

const PAUSE_MS = { first: 100, most: 5_000 }
const INSPECTIONS_AT_A_TIME = 8

/** Resolves when the forwards are those that the containers want, or are refused with a warning. */
export async function startPorts(options: PortsOptions): Promise<Ports> {
  options.signal.throwIfAborted()
  const watch = new PortWatch(options)
  const onAbort = (): void => watch.stop(options.signal.reason)
  options.signal.addEventListener("abort", onAbort, { once: true })
  try {
    await watch.ready
  } catch (error) {
    await watch.ended
    throw error
  } finally {
    options.signal.removeEventListener("abort", onAbort)
  }
  return watch
}

class PortWatch implements Ports {
  readonly ready: Promise<void>
  readonly ended: Promise<void>
  readonly #options: PortsOptions
  readonly #engine: EngineApi
  readonly #table: ForwardTable
  readonly #stopped = new AbortController()
  readonly #ready = withResolvers<void>()
  /** By container, in the order in which they came: the first to want a listener has it. */
  readonly #wishes = new Map<string, Desired>()
  #touched = new Set<string>()
  #round: Promise<void> | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: PortsOptions) {
    this.#options = options
    this.#engine = options.engine ?? engineApi(options.dockerSocket)
    this.#table = new ForwardTable({ ...options, reserved: options.reserved ?? [] })
    this.ready = this.#ready.promise
    this.ready.catch(() => undefined) // whoever waits for it sees the reason
    this.ended = this.#watch()
  }

  status(): PortsStatus {
    return { forwards: this.#table.forwards, warnings: this.#table.warnings }
  }

  async settled(container: string): Promise<void> {
    await this.#touch(container)
  }

  async reconcile(): Promise<void> {
    await this.#exclusive(() => this.#everything())
  }

  async clear(): Promise<void> {
    await this[Symbol.asyncDispose]()
    await this.#exclusive(() => this.#table.clear())
  }

  stop(reason: unknown): void {
    this.#stopped.abort(reason)
    this.#ready.reject(reason)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop(new Error("the port watch was stopped"))
    await this.ended
    await this.#last.catch(() => undefined) // whoever asked for it sees the reason
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopped
    let pauseMs = PAUSE_MS.first
    while (!this.#stopped.signal.aborted) {
      try {
        const events = await this.#engine.events(signal)
        await this.reconcile()
        this.#ready.resolve()
        pauseMs = PAUSE_MS.first
        for await (const event of events) this.#onEvent(event)
        this.#options.log.debug("docker events ended")
      } catch (error) {
        this.#options.log.debug("docker events ended", { reason: String(error) })
      }
      await sleep(pauseMs, signal).catch(() => undefined) // the loop sees that it was stopped
      pauseMs = Math.min(pauseMs * 2, PAUSE_MS.most)
    }
  }

  #onEvent(event: EngineEvent): void {
    const container = event.Type === "network" ? event.Actor.Attributes?.["container"] : event.Actor.ID
    if (container === undefined) return
    this.#touch(container).catch((error: unknown) => {
      this.#options.log.info("ports not looked at", { container, reason: String(error) })
    })
  }

  /** One round at a time; what is touched meanwhile is for the next. */
  #touch(container: string): Promise<void> {
    this.#touched.add(container)
    this.#round ??= this.#exclusive(async () => {
      const containers = this.#touched
      this.#touched = new Set()
      this.#round = undefined
      await this.#lookAt([...containers])
      await this.#table.apply(merge([...this.#wishes.values()]))
    })
    return this.#round
  }

  async #everything(): Promise<void> {
    const running = await this.#engine.running(this.#stopped.signal)
    for (const id of this.#wishes.keys()) if (!running.includes(id)) this.#wishes.delete(id)
    await this.#lookAt(running)
    await this.#table.reconcile(merge([...this.#wishes.values()]))
  }

  async #lookAt(containers: readonly string[]): Promise<void> {
    for (let at = 0; at < containers.length; at += INSPECTIONS_AT_A_TIME) {
      const some = containers.slice(at, at + INSPECTIONS_AT_A_TIME)
      await Promise.all(some.map((id) => this.#lookAtOne(id)))
    }
  }

  async #lookAtOne(container: string): Promise<void> {
    try {
      const found = await this.#engine.inspect(container, this.#stopped.signal)
      const id = found?.Id ?? container
      if (found?.State.Running) this.#wishes.set(id, wishesOf(found, this.#options.bindDefault))
      else this.#wishes.delete(id)
    } catch (error) {
      if (!(error instanceof SidecarError && error.code === "protocol")) throw error
      this.#options.log.info("container not understood", { container, reason: error.message }) // the others are
    }
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work, work)
    this.#last = done
    return done
  }
}
