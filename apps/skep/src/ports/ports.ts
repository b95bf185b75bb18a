/**
 * `docker run -p` becomes a listener on the host, and goes with its container.
 *
 *   engine's events ──> touched containers ──> inspect ──> wishes ──> diff ──> network.forward / dispose
 *   stream begins  ──> all of them ────────────┘                └─> warnings
 *
 * Nothing is polled: an event says which container to look at, and each look asks for the whole truth about it, so that events
 * which come twice, late or out of order do no harm. Whenever the stream begins anew everything is compared. A container that
 * the engine cannot or does not speak of in time keeps the forwards it has, and is looked at again later.
 *
 * @module
 */
import {
  type Counters,
  type ForwardRule,
  type Log,
  type NetworkRunning,
  SidecarError,
  type SidecarEvent,
} from "@skep/contract"
import { sleep, withDeadline, withResolvers } from "@skep/runtime"
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
  /** Whether the network answers nobody but this host: ports on other addresses then get a warning. */
  readonly loopbackOnly?: boolean
  readonly log: Log
  readonly emit: (event: SidecarEvent) => void
  /** Cancels the start, and nothing else. */
  readonly signal: AbortSignal
  /** Stands in for the engine in tests. */
  readonly engine?: EngineApi
  /** How long the engine may take for an answer, 10 s if left out; then as long until it is asked again. */
  readonly answerMs?: number
}

export interface PortsStatus {
  readonly forwards: readonly PublishedPort[]
  readonly warnings: readonly PortWarning[]
  readonly counters: Counters
}

/** Disposal stops watching and leaves the forwards in place: they belong to the machine, and the next start adopts them. */
export interface Ports extends AsyncDisposable {
  /** Looks at a container, by id, its beginning or name, and resolves when its forwards are in place or refused. */
  settled(container: string): Promise<void>
  /** Compares everything: for when the network was replaced or lost its rules. */
  reconcile(): Promise<void>
  status(): PortsStatus
}

const ANSWER_MS = 10_000
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
  readonly #answerMs: number
  #touched = new Set<string>()
  /** Of which the engine did not speak, or not in time. */
  #late = new Set<string>()
  #lateTimer: NodeJS.Timeout | undefined
  #inspectionsFailed = 0
  #round: Promise<void> | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: PortsOptions) {
    this.#options = options
    this.#engine = options.engine ?? engineApi(options.dockerSocket)
    this.#answerMs = options.answerMs ?? ANSWER_MS
    this.#table = new ForwardTable({ ...options, reserved: options.reserved ?? [] })
    this.ready = this.#ready.promise
    this.ready.catch(() => undefined) // whoever waits for it sees the reason
    this.ended = this.#watch()
  }

  status(): PortsStatus {
    const counters = { inspectionsFailed: this.#inspectionsFailed }
    return { forwards: this.#table.forwards, warnings: this.#table.warnings, counters }
  }

  async settled(container: string): Promise<void> {
    await this.#touch(container)
  }

  async reconcile(): Promise<void> {
    await this.#exclusive(() => this.#everything())
  }

  stop(reason: unknown): void {
    clearTimeout(this.#lateTimer)
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
    while (!signal.aborted) {
      const stream = new AbortController()
      try {
        const both = AbortSignal.any([signal, stream.signal])
        const events = await this.#answer("hear the Docker engine's events", () => this.#engine.events(both))
        await this.reconcile()
        this.#ready.resolve()
        pauseMs = PAUSE_MS.first
        for await (const event of events) this.#onEvent(event)
        this.#options.log.debug("docker events ended")
      } catch (error) {
        this.#options.log.debug("docker events ended", { reason: String(error) })
      } finally {
        stream.abort() // nobody reads it any more
      }
      await sleep(pauseMs, signal).catch(() => undefined) // the loop sees that it was stopped
      pauseMs = Math.min(pauseMs * 2, PAUSE_MS.most)
    }
  }

  #onEvent(event: EngineEvent): void {
    const container = event.Type === "network" ? event.Actor.Attributes?.["container"] : event.Actor.ID
    if (container !== undefined) this.#touchUnasked(container)
  }

  /** Nobody waits for it. */
  #touchUnasked(container: string): void {
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
    const running = await this.#answer("list the containers", (signal) => this.#engine.running(signal))
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
      const found = await this.#answer(`inspect the container "${container}"`, (signal) =>
        this.#engine.inspect(container, signal),
      )
      const id = found?.Id ?? container
      if (found?.State.Running) this.#wishes.set(id, wishesOf(found, this.#options.bindDefault))
      else this.#wishes.delete(id)
    } catch (error) {
      if (!(error instanceof SidecarError)) throw error
      // What goes wrong with one is no reason to leave the others.
      const { code, message: reason } = error
      if (code === "protocol") this.#options.log.info("container not understood", { container, reason })
      else if (code === "timeout" || code === "unreachable") this.#lookAgain(container, reason)
      else throw error
    }
  }

  #lookAgain(container: string, reason: string): void {
    if (this.#stopped.signal.aborted) return
    this.#inspectionsFailed += 1
    this.#options.log.info("container not inspected, trying again later", { container, reason })
    this.#late.add(container)
    this.#lateTimer ??= setTimeout(() => {
      const late = this.#late
      this.#late = new Set()
      this.#lateTimer = undefined
      for (const one of late) this.#touchUnasked(one)
    }, this.#answerMs).unref()
  }

  /** Nothing else may begin before it has ended, so no answer of the engine is waited for without end. */
  #answer<T>(what: string, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return withDeadline(what, this.#answerMs, this.#stopped.signal, ask)
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work, work)
    this.#last = done
    return done
  }
}
