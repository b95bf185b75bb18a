/**
 * The forwards in place, and what stands in the way of the others.
 *
 * @module
 */
import {
  type Forward,
  type ForwardRule,
  type Log,
  type NetworkRunning,
  SidecarError,
  type SidecarEvent,
} from "@skep/contract"
import {
  type Desired,
  type DesiredForward,
  diff,
  listenerKey,
  ruleKey,
  type Unforwardable,
} from "./desired.ts"

/** A forward in place, and whose it is. */
export interface PublishedPort extends ForwardRule {
  readonly container: string
}

/** A published port that cannot be reached from the host. It stays until it can, or until nobody wants it. */
export interface PortWarning {
  readonly container: string
  /** As Docker writes it: `8080/tcp`, the host's port. */
  readonly port: string
  readonly reason: string
  /** What the user can type or change. */
  readonly next: string
}

export interface ForwardTableOptions {
  readonly network: Pick<NetworkRunning, "forward" | "status">
  /** Of others: never removed, and never given to a container. */
  readonly reserved: readonly ForwardRule[]
  /** Whether the network answers nobody but this host. */
  readonly loopbackOnly?: boolean
  readonly log: Log
  readonly emit: (event: SidecarEvent) => void
}

/** How many listeners the network is asked for at a time; a range of a thousand ports is one container. */
const AT_A_TIME = 16

/** Not to be called again before it has answered. */
export class ForwardTable {
  readonly #options: ForwardTableOptions
  readonly #reserved: ReadonlySet<string>
  readonly #inPlace = new Map<string, Forward>()
  #owners = new Map<string, string>()
  #warnings = new Map<string, PortWarning>()

  constructor(options: ForwardTableOptions) {
    this.#options = options
    this.#reserved = new Set(options.reserved.map(listenerKey))
  }

  get forwards(): readonly PublishedPort[] {
    return [...this.#inPlace].map(([key, { rule }]) => ({ ...rule, container: this.#owners.get(key) ?? "" }))
  }

  get warnings(): readonly PortWarning[] {
    return [...this.#warnings.values()]
  }

  /** Compares with what the network really has, and removes what a former backend left and nobody wants. */
  async reconcile(desired: Desired): Promise<void> {
    const { forwards } = await this.#options.network.status()
    const there = new Set(forwards.map(ruleKey))
    for (const key of this.#inPlace.keys()) if (!there.has(key)) this.#inPlace.delete(key)
    const foreign = forwards.filter(
      (rule) => !this.#reserved.has(listenerKey(rule)) && !this.#inPlace.has(ruleKey(rule)),
    )
    const wanted = desired.forwards.map(({ rule }) => rule)
    await inBatches(diff(foreign, wanted).remove, async (rule) => {
      const adopted = await this.#options.network.forward(rule)
      this.#inPlace.set(ruleKey(rule), adopted)
      await this.#remove(rule)
    })
    await this.apply(desired)
  }

  /** Makes the forwards those of `desired`, and tries again what failed before. Never throws for what the network refuses. */
  async apply(desired: Desired): Promise<void> {
    const free = desired.forwards.filter(({ rule }) => !this.#reserved.has(listenerKey(rule)))
    const changes = diff(
      [...this.#inPlace.values()].map(({ rule }) => rule),
      free.map(({ rule }) => rule),
    )
    const byRule = new Map(desired.forwards.map((forward) => [ruleKey(forward.rule), forward]))
    const warnings = new Map<string, PortWarning>()
    for (const port of desired.unforwardable) warnings.set(...unforwardable(port))
    for (const forward of desired.forwards) {
      if (this.#reserved.has(listenerKey(forward.rule))) warnings.set(...refused(forward, RESERVED))
      else if (this.#options.loopbackOnly === true && !isLoopback(forward.rule.hostAddress))
        warnings.set(...unanswered(forward))
    }
    await inBatches(changes.remove, (rule) => this.#remove(rule))
    this.#owners = new Map([...byRule].map(([key, { container }]) => [key, container.name]))
    await inBatches(changes.add, async (rule) => {
      const forward = byRule.get(ruleKey(rule))
      if (forward === undefined) return
      try {
        this.#inPlace.set(ruleKey(rule), await this.#options.network.forward(rule))
        this.#options.log.info("port published", { ...rule, container: forward.container.name })
      } catch (error) {
        warnings.set(...refused(forward, error))
      }
    })
    this.#tell(warnings)
  }

  async #remove(rule: ForwardRule): Promise<void> {
    const forward = this.#inPlace.get(ruleKey(rule))
    this.#inPlace.delete(ruleKey(rule))
    try {
      await forward?.[Symbol.asyncDispose]()
      this.#options.log.info("port closed", { ...rule })
    } catch (error) {
      // The next reconciliation finds it, if the network still has it.
      this.#options.log.info("port not closed", { ...rule, reason: String(error) })
    }
  }

  #tell(warnings: Map<string, PortWarning>): void {
    for (const [key, warning] of this.#warnings) {
      if (!warnings.has(key))
        this.#options.emit({ type: "port-resolved", container: warning.container, port: warning.port })
    }
    for (const [key, warning] of warnings) {
      const before = this.#warnings.get(key)
      if (before?.reason === warning.reason && before.container === warning.container) continue
      this.#options.log.info("port not published", { ...warning })
      this.#options.emit({ type: "port-warning", ...warning })
    }
    this.#warnings = warnings
  }
}

const RESERVED = new SidecarError("address-in-use", "Skep itself uses that port")

function unforwardable({ container, port, hostPort }: Unforwardable): [string, PortWarning] {
  const transport = port.split("/")[1] ?? ""
  const warning = {
    container: container.name,
    port: `${hostPort}/${transport}`,
    reason: `Cannot publish port ${port}: only TCP and UDP reach the host`,
    next: "Reach it from another container",
  }
  return [`${transport}/${hostPort}`, warning]
}

/** The listener is there, and who comes from elsewhere waits in vain. */
function unanswered({ rule, container }: DesiredForward): [string, PortWarning] {
  const warning = {
    container: container.name,
    port: `${rule.hostPort}/${rule.transport}`,
    reason: `Only this host reaches "${rule.hostAddress}:${rule.hostPort}": the machine's network is restricted`,
    next: `Publish it on 127.0.0.1:${rule.hostPort}, or open the network with skep restart --network open`,
  }
  return [listenerKey(rule), warning]
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1"
}

function refused({ rule, container }: DesiredForward, error: unknown): [string, PortWarning] {
  const address = rule.hostAddress.includes(":") ? `[${rule.hostAddress}]` : rule.hostAddress
  const warning = {
    container: container.name,
    port: `${rule.hostPort}/${rule.transport}`,
    reason: `Cannot listen on "${address}:${rule.hostPort}": ${reasonOf(error)}`,
    next: (error instanceof SidecarError ? error.next : undefined) ?? nextOf(rule, error),
  }
  return [listenerKey(rule), warning]
}

function reasonOf(error: unknown): string {
  if (!(error instanceof SidecarError)) return error instanceof Error ? error.message : String(error)
  return error.code === "address-in-use" && error !== RESERVED ? "the address is in use" : error.message
}

function nextOf(rule: ForwardRule, error: unknown): string {
  const code = error instanceof SidecarError ? error.code : undefined
  if (code === "address-in-use") {
    return `Stop what listens there (ss -lnp sport = :${rule.hostPort}) and restart the container, or publish another port`
  }
  if (code === "permission-denied") return "Publish a port above 1023, on an address of this host"
  if (code === "unsupported") return `Publish it on this host only: -p 127.0.0.1:${rule.hostPort}:PORT`
  return "Restart the container to try again"
}

async function inBatches<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  for (let at = 0; at < items.length; at += AT_A_TIME) {
    await Promise.all(items.slice(at, at + AT_A_TIME).map(work))
  }
}
