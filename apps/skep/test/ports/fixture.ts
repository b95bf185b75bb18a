/**
 * A network and an engine in memory, and what a real dockerd 20.10 said of containers of every kind.
 *
 * @module
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { type Forward, type ForwardRule, type NetworkRunning, SidecarError } from "@skep/contract"
import { listenerKey, merge, ruleKey, wishesOf } from "../../src/ports/desired.ts"
import type { EngineApi } from "../../src/ports/engine-api.ts"
import { type EngineEvent, type Inspection, parseInspection } from "../../src/ports/inspection.ts"

const RECORDED: Record<string, unknown> = JSON.parse(
  readFileSync(join(import.meta.dirname, "inspections-20.10.json"), "utf8"),
)

/** What dockerd said of the container of that name. */
export function recorded(name: string): Inspection {
  return parseInspection(RECORDED[name])
}

/** A running container, published as `bindings`: container port to address and port of the host. */
export function container(
  name: string,
  bindings: Record<string, [string, number][]>,
  running = true,
): Inspection {
  const ports = Object.fromEntries(
    Object.entries(bindings).map(([port, hosts]) => [
      port,
      hosts.map(([HostIp, HostPort]) => ({ HostIp, HostPort: String(HostPort) })),
    ]),
  )
  return {
    Id: `id-${name}`,
    Name: `/${name}`,
    State: { Running: running },
    HostConfig: { PortBindings: ports },
    NetworkSettings: { Ports: running ? ports : {} },
  }
}

/** What all these containers want together. */
export function wantedBy(containers: readonly Inspection[], bindDefault: string): readonly ForwardRule[] {
  return merge(containers.map((one) => wishesOf(one, bindDefault))).forwards.map(({ rule }) => rule)
}

export class MemoryNetwork implements Pick<NetworkRunning, "forward" | "status"> {
  readonly rules = new Map<string, ForwardRule>()
  /** Listeners that something else of the host has. */
  readonly taken = new Set<string>()
  refusal: SidecarError | undefined
  calls = 0

  async forward(rule: ForwardRule): Promise<Forward> {
    this.calls += 1
    await Promise.resolve()
    const key = listenerKey(rule)
    if (this.refusal !== undefined) throw this.refusal
    const present = this.rules.get(key)
    if (this.taken.has(key) || (present !== undefined && ruleKey(present) !== ruleKey(rule))) {
      throw new SidecarError("address-in-use", `Cannot listen on "${key}": address is in use`)
    }
    this.rules.set(key, rule)
    return {
      rule,
      [Symbol.asyncDispose]: async () => {
        await Promise.resolve()
        if (this.rules.get(key) === rule) this.rules.delete(key)
      },
    }
  }

  async status(): Promise<{ forwards: readonly ForwardRule[]; counters: Record<string, number> }> {
    return { forwards: [...this.rules.values()], counters: {} }
  }

  get listening(): string[] {
    return [...this.rules.values()].map(ruleKey).toSorted()
  }
}

/** Containers that come and go, and an event stream that may break. */
export class MemoryEngine implements EngineApi {
  readonly containers = new Map<string, Inspection>()
  streams = 0
  #queue: EngineEvent[] = []
  #wake: (() => void) | undefined
  #broken = false

  async running(): Promise<readonly string[]> {
    return [...this.containers.values()].filter(({ State }) => State.Running).map(({ Id }) => Id)
  }

  async inspect(name: string): Promise<Inspection | undefined> {
    await Promise.resolve()
    return this.containers.get(name) ?? [...this.containers.values()].find(({ Name }) => Name === `/${name}`)
  }

  async events(signal: AbortSignal): Promise<AsyncIterable<EngineEvent>> {
    this.streams += 1
    this.#broken = false
    this.#queue = []
    return this.#stream(signal)
  }

  set(inspection: Inspection): void {
    this.containers.set(inspection.Id, inspection)
    this.tell(inspection.Id)
  }

  remove(id: string): void {
    this.containers.delete(id)
    this.tell(id)
  }

  tell(id: string): void {
    this.#queue.push({ Type: "container", Actor: { ID: id } })
    this.#wake?.()
  }

  /** The engine restarts: what it did not say is lost. */
  breakStream(): void {
    this.#broken = true
    this.#wake?.()
  }

  async *#stream(signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const onAbort = (): void => this.#wake?.()
    signal.addEventListener("abort", onAbort)
    try {
      for (;;) {
        if (signal.aborted || this.#broken) return
        const next = this.#queue.shift()
        if (next !== undefined) yield next
        else await new Promise<void>((resolve) => (this.#wake = resolve))
      }
    } finally {
      signal.removeEventListener("abort", onAbort)
    }
  }
}
