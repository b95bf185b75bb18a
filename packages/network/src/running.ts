/**
 * The network while it runs, seen from the main thread: each verb is a call into the loop thread, with what has to be done around it.
 *
 * @module
 */
import { type Forward, type ForwardRule, SidecarError } from "@skep/contract"
import type { ArgumentOf, ResultOf } from "@skep/loop"
import { type Cleanup, notRunning, parseForwardRule } from "@skep/runtime"
import type { NetworkPlan } from "./addressing/plan.ts"
import { parsed } from "./bad-options.ts"
import type { CaptureFiles } from "./capture-files.ts"
import { named } from "./counter-names.ts"
import type { KeptAddress } from "./dhcp/remembered.ts"
import { parseZone, type Zone } from "./dns/names/zone.ts"
import { ruleName } from "./forward/rule.ts"
import type { LinkLocks } from "./links/link-locks.ts"
import { parseLinkSpec } from "./links/link-schema.ts"
import { type LinkSpec, socketOf } from "./links/link-spec.ts"
import { tapRefusal } from "./links/tap-refusal.ts"
import type { NameService } from "./names/name-service.ts"
import { CaptureSchema, type Driver, type NetworkOptions, ownPaths } from "./options.ts"
import { parsePolicy } from "./policy/policy-schema.ts"
import type { PolicySpec } from "./policy/policy-spec.ts"
import { parseFaults, parseKept, type RefusalLine, type SkepNetworkStatus } from "./status.ts"
import type {
  CaptureStatus,
  FaultSpec,
  FlowPage,
  FlowQuery,
  ForwardEntry,
  ForwardFilter,
  LeaseRecord,
  MachineEntry,
  ThreadCalls,
} from "./thread/calls.ts"
import { type Engine, type NextSteps, refusalOf } from "./thread/engine.ts"
import type { CaptureRequest, SkepNetwork } from "./verbs.ts"

export const NAME = "network"

export interface RunningParts {
  readonly options: NetworkOptions
  readonly driver: Driver
  readonly plan: NetworkPlan
  readonly engine: Engine
  readonly names: NameService
  readonly captures: CaptureFiles
  readonly locks: LinkLocks
  /** The latest, oldest first. */
  readonly refusals: readonly RefusalLine[]
  /** What the main thread counts. */
  readonly counts: () => Readonly<Record<string, number>>
}

export class RunningNetwork implements SkepNetwork {
  readonly closed: Promise<void>
  readonly #parts: RunningParts
  /** Where each machine's link listens, or what it is; also of one that is being added. */
  readonly #endpoints = new Map<string, string>()
  /** Machines whose links are being added: their names are taken while we wait. */
  readonly #adding = new Set<string>()
  #over = false
  #stopping: Promise<void> | undefined
  #owned: Cleanup | undefined

  constructor(parts: RunningParts) {
    this.#parts = parts
    this.closed = parts.engine.closed.then(
      () => this[Symbol.asyncDispose](),
      async (error: unknown) => {
        await this[Symbol.asyncDispose]()
        throw new SidecarError("crashed", `The network crashed: ${String(error)}`, { cause: error })
      },
    )
    this.closed.catch(() => undefined) // whoever awaits it gets the reason; nobody has to
  }

  /** What goes with it, from the end of a successful start on. */
  own(owned: Cleanup): void {
    this.#owned = owned
  }

  /** All that was asked for is there: the time without machines begins to count. */
  async started(): Promise<void> {
    await this.#call("started", undefined)
  }

  get endpoints(): readonly string[] {
    return [...new Set([...ownPaths(this.#parts.options), ...this.#endpoints.values()])]
  }

  async status(): Promise<SkepNetworkStatus> {
    const { options, plan, names, counts } = this.#parts
    const status = await this.#call("status", undefined)
    const forwards = await this.#call("forwards", {})
    return {
      ...status,
      name: options.name,
      driver: this.#parts.driver,
      plan,
      forwards: forwards.map(({ rule }) => rule),
      counters: {
        ...status.counters,
        ...named("refused", status.refusals),
        ...named("dns", names.counters()),
        ...named("dns", counts()),
      },
    }
  }

  async addLink(wanted: LinkSpec): Promise<{ readonly endpoint: string }> {
    const spec = parseLinkSpec(wanted)
    const { machine } = spec
    if (this.#over) throw notRunning(NAME)
    const exists = new SidecarError("exists", `Cannot add a link to "${machine}": there is one`, {
      next: "Choose another name, or remove that link first",
    })
    if (this.#adding.has(machine)) throw exists
    this.#adding.add(machine)
    try {
      if (await this.#isThere(machine)) throw exists
      return await this.#add(spec)
    } finally {
      this.#adding.delete(machine)
    }
  }

  async #add(spec: LinkSpec): Promise<{ readonly endpoint: string }> {
    const { machine } = spec
    const socket = socketOf(spec)
    try {
      if (socket !== undefined) await this.#parts.locks.take(machine, socket)
      const added = await this.#call("addLink", spec, (error) =>
        spec.kind === "tap" ? tapRefusal({ mtu: this.#parts.options.mtu, ...spec }, error) : error,
      )
      this.#endpoints.set(machine, added.endpoint)
      return added
    } catch (error) {
      this.#forget(machine)
      throw error
    }
  }

  async removeLink(machine: string): Promise<void> {
    try {
      await this.#call("removeLink", machine)
    } finally {
      // Also where the thread has lost it already.
      if (!(await this.#isThere(machine))) {
        this.#parts.names.setPolicy(undefined, machine)
        this.#forget(machine)
      }
    }
  }

  /** Whether the machine has a link. One that broke and could not be opened again is gone without a word to us. */
  async #isThere(machine: string): Promise<boolean> {
    if (!this.#endpoints.has(machine)) return false
    if (this.#over || (await this.links()).some(({ name }) => name === machine)) return true
    this.#forget(machine)
    return false
  }

  async links(): Promise<readonly MachineEntry[]> {
    return (await this.#call("status", undefined)).machines
  }

  async forward(wanted: ForwardRule): Promise<Forward> {
    const { id, rule } = await this.#call("forward", parseForwardRule(wanted))
    let removed: Promise<unknown> | undefined
    return {
      rule,
      [Symbol.asyncDispose]: async () => {
        removed ??= this.#over ? Promise.resolve() : this.#parts.engine.call("unforward", { id })
        try {
          await removed
        } catch (error) {
          if (!this.#over) throw refusalOf(error, `remove the forward "${ruleName(rule)}"`)
        }
      },
    }
  }

  async unforward(wanted: ForwardRule): Promise<void> {
    const rule = parseForwardRule(wanted)
    if (await this.#call("unforward", { rule })) return
    throw new SidecarError("not-found", `Cannot remove the forward "${ruleName(rule)}": there is none`)
  }

  forwards(filter: ForwardFilter = {}): Promise<readonly ForwardEntry[]> {
    return this.#call("forwards", filter)
  }

  async setPolicy(wanted: PolicySpec | undefined, machine?: string): Promise<void> {
    const policy = wanted === undefined ? undefined : parsePolicy(wanted)
    if (policy === undefined && machine === undefined) {
      throw new SidecarError("bad-options", "Cannot take the policy away: a network has one")
    }
    await this.#call("setPolicy", { policy, ...(machine === undefined ? {} : { machine }) })
    this.#parts.names.setPolicy(policy?.mode, machine)
  }

  leases(): Promise<readonly LeaseRecord[]> {
    return this.#call("leases", undefined)
  }

  giveBack(machine: string): Promise<readonly LeaseRecord[]> {
    return this.#call("giveBack", machine)
  }

  async reserve(wanted: KeptAddress): Promise<void> {
    await this.#call("reserve", parseKept(wanted))
  }

  unreserve(machine: string): Promise<string> {
    return this.#call("unreserve", machine)
  }

  reservations(): Promise<readonly KeptAddress[]> {
    return this.#call("reservations", undefined)
  }

  flows(query: FlowQuery = {}): Promise<FlowPage> {
    return this.#call("flows", query)
  }

  async refusals(): Promise<readonly RefusalLine[]> {
    if (this.#over) throw notRunning(NAME)
    return [...this.#parts.refusals]
  }

  async setFaults(machine: string, wanted: FaultSpec | undefined): Promise<void> {
    await this.#call("setFaults", { machine, faults: wanted === undefined ? undefined : parseFaults(wanted) })
  }

  async startCapture(wanted: CaptureRequest): Promise<void> {
    const spec = parsed(CaptureSchema, wanted, "capture")
    if (this.#over) throw notRunning(NAME)
    const { captures } = this.#parts
    const file = await captures.open(spec.path)
    try {
      await this.#call("startCapture", { ...spec, file })
    } catch (error) {
      captures.take({ file, bytes: new Uint8Array(0), last: true })
      throw error
    }
  }

  async stopCapture(machine?: string): Promise<CaptureStatus> {
    const status = await this.#call("stopCapture", machine === undefined ? {} : { machine })
    await this.#parts.captures.ended()
    return status
  }

  async zones(): Promise<readonly Zone[]> {
    if (this.#over) throw notRunning(NAME)
    return this.#parts.names.zones()
  }

  async addZone(zone: Zone): Promise<void> {
    if (this.#over) throw notRunning(NAME)
    this.#parts.names.addZone(parseZone(zone))
  }

  async removeZone(name: string): Promise<void> {
    if (this.#over) throw notRunning(NAME)
    if (this.#parts.names.removeZone(name)) return
    throw new SidecarError("not-found", `Cannot remove the zone "${name}": there is none`)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#over = true
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    await this.#owned?.[Symbol.asyncDispose]()
  }

  /** `known` puts its own words for errors that it knows. */
  async #call<Name extends keyof ThreadCalls>(
    name: Name,
    argument: ArgumentOf<ThreadCalls, Name>,
    known: (error: unknown) => unknown = (error) => error,
  ): Promise<ResultOf<ThreadCalls, Name>> {
    if (this.#over) throw notRunning(NAME)
    try {
      return await this.#parts.engine.call(name, argument)
    } catch (error) {
      throw refusalOf(known(error), DOING[name], NEXT[name])
    }
  }

  #forget(machine: string): void {
    this.#endpoints.delete(machine)
    this.#parts.locks.release(machine)
  }
}

/** What each call is about, where the other side gives no sentence of its own. */
const DOING: Readonly<Record<keyof ThreadCalls, string>> = {
  addLink: "add a link",
  removeLink: "remove a link",
  forward: "forward a port",
  unforward: "remove a forward",
  forwards: "list the forwards",
  setPolicy: "set the policy",
  status: "ask the network",
  started: "start a network",
  leases: "list the leases",
  giveBack: "give an address back",
  reserve: "reserve an address",
  unreserve: "give up a reservation",
  reservations: "list the reservations",
  leasesSaved: "keep the leases",
  editLeases: "change the leases",
  flows: "list the flows",
  setFaults: "set the faults",
  startCapture: "start a capture",
  stopCapture: "stop a capture",
  captureWritten: "write a capture",
  dnsAnswer: "answer a question",
}

/** What helps where a call is refused. */
const NEXT: Partial<Readonly<Record<keyof ThreadCalls, NextSteps>>> = {
  addLink: {
    "address-in-use": "Stop what listens there, or choose another socket",
    "permission-denied": "Choose a socket in a directory of this user",
    exists: "Choose another one, or remove that link first",
    busy: "Remove a link that nobody needs",
    unsupported: "Use QEMU's -netdev stream, or the driver loop on Linux",
  },
  giveBack: { busy: "Remove its link first" },
  reserve: {
    "address-in-use": "Choose an address that nobody has, or remove that machine first",
    exists: "Choose another address, or give that reservation up first",
    "bad-options": "Choose another address of the network",
    busy: "Give up one that nobody needs",
  },
  forward: {
    "address-in-use": "Stop what listens there, or choose another port",
    "permission-denied":
      "Use a port of 1024 or above and an address of this host, such as 127.0.0.1 or 0.0.0.0",
    unsupported: "Use an IPv4 address of this host",
    busy: "Remove a forward that nobody needs",
    "bad-options": "Use an address of this host, such as 127.0.0.1 or 0.0.0.0",
  },
}
