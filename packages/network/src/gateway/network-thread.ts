/**
 * A network in a thread, on some driver: the switch, the gateway and all it serves, and the calls of the main thread.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { type Port, Switch } from "@skep/link"
import {
  type Alarm,
  type BoundedMemory,
  Errors,
  type Gateway,
  Guard,
  Neighbours,
  OUT_SIZE,
  Reassembly,
} from "@skep/stack"
import type { NetworkPlan } from "../addressing/plan.ts"
import { DhcpServer } from "../dhcp/server.ts"
import type { Store } from "../dhcp/store.ts"
import { ForwardTable } from "../forward/forward-table.ts"
import type { LinkSpec } from "../links/link-spec.ts"
import { compilePolicy } from "../policy/policy.ts"
import type { PolicySpec } from "../policy/policy-spec.ts"
import { Refusals } from "../policy/refusals.ts"
import { type FaultSpec, FORWARDS_MAX, type ThreadData, type ThreadNotice } from "../thread/calls.ts"
import { Addresses } from "./addresses.ts"
import { Attachments } from "./attachments.ts"
import { Captures } from "./captures.ts"
import { Containment, contained, type Fault } from "./containment.ts"
import { type Driver, timerOf } from "./driver.ts"
import { applyFaults } from "./faults.ts"
import { Flows } from "./flows.ts"
import { Forwards } from "./forwards.ts"
import { NetworkGateway } from "./gateway.ts"
import { type Machine, Machines } from "./machines.ts"
import { NoticeBudget } from "./notice-budget.ts"
import { Promises } from "./promises.ts"
import { reachedNames } from "./reached-names.ts"
import { Services } from "./services.ts"
import { bytesOf, dhcpNetworkOf, stationOf } from "./station.ts"

/** Notices of leases and names, at most ten a second. */
const TELL_MS = 100

export interface NetworkThreadOptions {
  readonly driver: Driver
  readonly data: ThreadData
  readonly notify: (notice: ThreadNotice) => boolean
}

export class NetworkThread {
  readonly plan: NetworkPlan
  readonly machines: Machines = new Machines()
  readonly refusals: Refusals
  readonly flows: Flows
  readonly forwards: ForwardTable<Disposable>
  readonly listeners: Forwards
  readonly dhcp: DhcpServer
  readonly services: Services
  readonly neighbours: Neighbours
  readonly reassembly: Reassembly
  readonly errors: Errors
  readonly gateway: NetworkGateway
  readonly guard: Guard
  readonly memory: BoundedMemory
  readonly captures: Captures
  readonly containment: Containment
  readonly promises: Promises
  policy: PolicySpec
  readonly #options: NetworkThreadOptions
  readonly #driver: Driver
  readonly #station: Gateway
  readonly #addresses: Addresses
  readonly #switch: Switch
  readonly #attachments: Attachments
  readonly #notices: NoticeBudget
  readonly #out = new Uint8Array(OUT_SIZE)
  readonly #due: Alarm
  readonly #telling: Alarm
  readonly #lonely: Alarm
  #isStarted = false
  /** The number of the last leases that were given to the disk. */
  #saves = 0

  constructor(options: NetworkThreadOptions) {
    const { data, notify } = options
    this.#options = options
    this.containment = new Containment({
      now: () => options.driver.clock.now(),
      tell: (fault) => this.#onFault(fault),
      cutOff: (machine) => this.#attachments.cutOff(machine),
      giveUp: (error) => options.driver.fail(error),
    })
    const driver = contained(options.driver, this.containment)
    const { clock } = driver
    this.#driver = driver
    this.#notices = new NoticeBudget({
      now: () => clock.now(),
      timer: (callback) => timerOf(clock, callback),
      notify: (notice) => void notify(notice),
    })
    this.plan = data.plan
    this.policy = data.policy
    this.#station = stationOf(data.plan)
    this.memory = driver.memory
    this.refusals = new Refusals((refused) => void notify({ type: "refused", ...refused }))
    const timer = (callback: () => void) => timerOf(clock, callback)
    this.promises = new Promises({ now: () => clock.now(), timer })
    this.#due = clock.alarm(() => this.#dispatch())
    this.#telling = clock.alarm(() => this.#tell())
    this.#lonely = clock.alarm(() => this.#end())
    this.#addresses = this.#makeAddresses()
    const mayHave = (number: number, bytes: Uint8Array, at: number, length: number): boolean =>
      this.#addresses.mayHave(number, bytes, at, length)
    this.neighbours = new Neighbours(this.#station, {
      mtu: data.plan.mtu,
      mtuOf: (number) => this.machines.at({ number })?.port.mtu,
      nameServers: [bytesOf(data.plan.gateway6)],
      mayHave,
      onAnswer: () => driver.later(() => this.listeners.onAnswer()),
      onChange: (number) => this.#onAddresses(number),
    })
    this.guard = new Guard(this.#station, { mayHave })
    this.reassembly = new Reassembly(this.memory)
    this.errors = new Errors(this.#station)
    this.flows = this.#makeFlows()
    this.dhcp = new DhcpServer({
      network: dhcpNetworkOf(data),
      store: this.#leaseStore(data),
      usedBy: (at) => this.#addresses.userOf(at),
    })
    this.services = this.#makeServices()
    this.gateway = new NetworkGateway({
      gateway: this.#station,
      machines: this.machines,
      neighbours: this.neighbours,
      reassembly: this.reassembly,
      errors: this.errors,
      services: this.services,
      flows: this.flows,
      now: () => clock.now(),
      onCarrier: (port, up) => this.#onCarrier(port, up),
    })
    this.#switch = new Switch({
      gatewayAddress: this.#station.mac,
      gateway: this.gateway,
      clock: this,
      guard: (port, frame) => this.guard.passes(frame, port.number),
    })
    this.#attachments = this.#makeAttachments()
    this.listeners = this.#makeForwards()
    this.captures = new Captures({ machines: this.machines, notify, timer })
    this.forwards = this.#makeForwardTable()
    driver.onTurnEnd(() => this.flows.settle())
    driver.onTurnEnd(() => {
      // Whoever is promised an address does not wait for others to come.
      if (this.promises.due) this.dhcp.flush()
      this.#schedule()
    })
  }

  /** The driver's time. */
  get now(): number {
    return this.#driver.clock.now()
  }

  /** Others can come. The time before that is nobody's fault. */
  started(): void {
    this.#isStarted = true
    this.#company()
  }

  // ---- Machines

  addLink(spec: LinkSpec): { readonly endpoint: string } {
    return this.#attachments.add(spec)
  }

  removeLink(name: string): void {
    this.#attachments.remove(name)
    this.#company()
  }

  setPolicy(policy: PolicySpec | undefined, name?: string): void {
    if (name === undefined) {
      if (policy === undefined) throw new SidecarError("bad-options", "Cannot set no policy for all machines")
      this.policy = policy
      this.flows.policy = compilePolicy(policy, this.plan)
    } else {
      const machine = this.machines.get(name)
      if (machine === undefined)
        throw new SidecarError("not-found", `Cannot set a policy for "${name}": it is not here`)
      machine.policy = policy === undefined ? undefined : compilePolicy(policy, this.plan)
    }
    this.flows.enforce()
  }

  /** What is done to the frames of a machine; undefined ends it. */
  setFaults(faults: FaultSpec | undefined, name: string): void {
    const machine = this.machines.get(name)
    if (machine === undefined)
      throw new SidecarError("not-found", `Cannot set faults for "${name}": it is not here`)
    applyFaults(machine, faults)
  }

  /** The address that a machine has by its newest lease; without one, that which it uses. */
  addressOf(machine: Pick<Machine, "name" | "source">): string | undefined {
    return this.#addresses.addressOf(machine)
  }

  /** A change of the leases that no machine asked for: it goes to the disk at once, and to the names. */
  changeLeases<Result>(change: (dhcp: DhcpServer, now: number) => Result): Result {
    const result = change(this.dhcp, Date.now())
    this.dhcp.flush()
    this.#changed()
    return result
  }

  /** Ends all flows, so that guests hear of it, and lets go of the listeners. */
  stop(): void {
    this.flows.stop()
    this.listeners.stop()
    this.dhcp.flush()
    this.captures[Symbol.dispose]()
    this.#switch[Symbol.dispose]()
  }

  // ---- Parts

  #makeAddresses(): Addresses {
    return new Addresses({
      machines: this.machines,
      neighbours: () => this.neighbours,
      leases: () => this.dhcp,
    })
  }

  #makeForwardTable(): ForwardTable<Disposable> {
    return new ForwardTable({
      open: (forward) => this.listeners.open(forward),
      close: (listener) => listener[Symbol.dispose](),
      now: Date.now,
      max: FORWARDS_MAX,
    })
  }

  #makeFlows(): Flows {
    const { data } = this.#options
    return new Flows(
      {
        gateway: this.#station,
        driver: this.#driver,
        machines: this.machines,
        refusals: this.refusals,
        dnsSocket: data.dnsSocket,
        maxFlows: data.limits.maxFlows,
        maxFlowsPerMachine: data.limits.maxFlowsPerMachine,
        maxHeldBytes: data.limits.maxHeldBytes,
        tell: (port, kind, packet, station) => this.gateway.tell(port, kind, packet, station),
        onFault: (machine, error) =>
          this.containment.note({ where: "flow", error, ...(machine === undefined ? {} : { machine }) }),
      },
      compilePolicy(data.policy, data.plan),
    )
  }

  #makeServices(): Services {
    const { notify } = this.#options
    return new Services({
      gateway: this.#station,
      dhcp: this.dhcp,
      machines: this.machines,
      flows: this.flows,
      onQuestion: (id, machine, bytes) => notify({ type: "dns-query", id, machine, bytes }),
      whenKept: (port, send) => this.promises.wait(port, send),
      onLease: () => this.#changed(),
    })
  }

  #makeAttachments(): Attachments {
    const { notify } = this.#options
    return new Attachments({
      driver: this.#driver,
      mtu: this.plan.mtu,
      machines: this.machines,
      switch: this.#switch,
      notices: this.#notices,
      containment: this.containment,
      onAttached: (machine) => {
        this.captures.attach(machine)
        this.dhcp.attach(machine.name)
        this.#company()
      },
      onDetach: (machine) => this.#forget(machine),
      onCutOff: ({ port }) => this.flows.detach(port),
      onRemoved: (machine) => {
        this.#notices.forget(machine)
        this.containment.forget(machine)
        for (const rule of this.forwards.removeMachine(machine))
          notify({ type: "forward-closed", rule, reason: "its machine was removed" })
        notify({ type: "machine-removed", machine })
      },
    })
  }

  #forget(machine: Machine): void {
    const { name, port } = machine
    this.captures.detach(machine)
    this.flows.detach(port)
    this.services.detach(port)
    this.promises.forget(port)
    this.neighbours.forget(port.number)
    this.reassembly.forget(port.number)
    this.errors.forget(port.number)
    this.dhcp.detach(name)
    this.#changed()
  }

  #makeForwards(): Forwards {
    return new Forwards({
      driver: this.#driver,
      gateway: this.#station,
      machines: this.machines,
      neighbours: this.neighbours,
      flows: this.flows,
      portOf: (station) => this.#switch.portOf(station),
      broadcast: (frame, length) => this.#switch.broadcast(frame, 0, length),
      addressOf: (machine) => this.addressOf(machine),
    })
  }

  #leaseStore({ leases, remembered: before }: ThreadData): Store {
    return {
      load: () => leases,
      remembered: before,
      save: (all, remembered) => {
        const save = ++this.#saves
        this.promises.given(save)
        if (!this.#options.notify({ type: "leases", leases: [...all], remembered, save }))
          this.promises.saved(save, false)
      },
    }
  }

  // ---- Time

  #onCarrier(port: Port, up: boolean): void {
    const machine = this.#attachments.at(port)
    if (machine === undefined) return
    this.#notices.tell(
      up
        ? { type: "machine-connected", machine: machine.name }
        : { type: "machine-disconnected", machine: machine.name, reason: "its link is down" },
    )
    if (up) {
      this.#announce(port)
      this.neighbours.recheck(port.number, this.now)
    }
    this.#company()
  }

  #onAddresses(number: number): void {
    // Its next packet is news, whatever its source.
    this.machines.at({ number })?.source6.fill(0)
    this.#changed()
  }

  /** The guest may remember another gateway: one that was here before. */
  #announce(port: Port): void {
    for (const own of [...(this.#station.ipv4?.addresses ?? []), ...(this.#station.ipv6?.addresses ?? [])]) {
      const size = this.neighbours.announce(own, this.#out)
      if (size > 0) port.send(this.#out, 0, size)
    }
  }

  #onFault({ where, machine, error }: Fault): void {
    const stack = error instanceof Error ? error.stack : undefined
    this.#notices.tell({
      type: "fault",
      where,
      reason: String(error),
      ...(machine === undefined ? {} : { machine }),
      ...(stack === undefined ? {} : { stack }),
    })
  }

  #changed(): void {
    if (this.#telling.deadline === Number.POSITIVE_INFINITY) this.#telling.at(this.now + TELL_MS)
  }

  /** Names for DNS; leases go by their store. */
  #tell(): void {
    const names = reachedNames(this, Date.now())
    this.#options.notify({ type: "names", names })
  }

  #schedule(): void {
    const untilDhcp = this.dhcp.pollAt() - Date.now()
    const at = Math.min(this.now + untilDhcp, this.neighbours.pollAt(), this.reassembly.pollAt())
    if (Math.abs(at - this.#due.deadline) > 1 || this.#due.deadline === Number.POSITIVE_INFINITY)
      this.#due.at(at)
  }

  #dispatch(): void {
    const { now } = this
    this.dhcp.dispatch(Date.now())
    if (this.neighbours.dispatch(now, this.#out) > 0) this.#advertise()
    this.neighbours.probe(now, this.#out, (number, length) => {
      this.machines.at({ number })?.port.send(this.#out, 0, length)
    })
    this.reassembly.dispatch(now, ({ original, machine }) => {
      const port = this.machines.at({ number: machine })?.port
      const told = this.errors.write({ kind: "reassembly-exceeded" }, original, machine, now, this.#out)
      if (told > 0) port?.send(this.#out, 0, told)
    })
  }

  /** RFC 4861, section 4.2: the MTU that a machine is told is that of its link. */
  #advertise(): void {
    for (const { port } of this.machines) {
      if (port.carrier) port.send(this.#out, 0, this.neighbours.advertise(port.number, this.#out))
    }
  }

  #company(): void {
    const { lonelyMs } = this.#options.data
    if (lonelyMs === 0 || !this.#isStarted) return
    const connected = [...this.machines].some(({ port }) => port.carrier)
    if (connected) this.#lonely.cancel()
    else if (this.#lonely.deadline === Number.POSITIVE_INFINITY) this.#lonely.at(this.now + lonelyMs)
  }

  #end(): void {
    const { data, notify } = this.#options
    notify({ type: "lonely", lonelyMs: data.lonelyMs })
    this.#driver.end()
  }
}
