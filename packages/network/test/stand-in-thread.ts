/**
 * A loop thread that takes all calls and moves no packets: what the sidecar around it is tested with.
 *
 * Its links and forwards listen for real. A machine is whoever connects to a link's socket, and says in its first byte what the thread is to
 * notice: `?` and a question of DNS (the answer comes back), `!` a flow to 10.0.0.1:80, `@` and an address that it leased, `x` a crash.
 *
 * @module
 */
import { rmSync } from "node:fs"
import { type ForwardRule, SidecarError } from "@skep/contract"
import { check, type Loop, type Scope } from "@skep/loop"
import { Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { runLoop } from "@skep/loop/worker"
import { listenUnix } from "@skep/vhost-user"
import type { KeptAddress } from "../src/dhcp/remembered.ts"
import { ForwardTable } from "../src/forward/forward-table.ts"
import { type LinkSpec, socketOf } from "../src/links/link-spec.ts"
import { compilePolicy, decide, TCP } from "../src/policy/policy.ts"
import type { PolicySpec } from "../src/policy/policy-spec.ts"
import { Refusals } from "../src/policy/refusals.ts"
import {
  type CaptureSpec,
  type CaptureStatus,
  type FaultSpec,
  FLOWS_PAGE_MAX,
  type FlowEntry,
  FORWARDS_MAX,
  type LeaseEdits,
  type LeaseRecord,
  MACHINES_MAX,
  type MachineEntry,
  type ThreadCalls,
  type ThreadData,
  type ThreadNotice,
} from "../src/thread/calls.ts"

const MESSAGE_MAX = 64 << 10
const FAR = Uint8Array.of(10, 0, 0, 1)

interface Machine {
  readonly spec: LinkSpec
  readonly scope: Scope
  readonly endpoint: string
  address?: string
  clients: number
  received: number
  policy?: PolicySpec
  faults?: FaultSpec
  capture?: CaptureSpec
}

class StandIn {
  readonly #loop: Loop
  readonly #data: ThreadData
  readonly #notify: (notice: ThreadNotice) => unknown
  readonly #machines = new Map<string, Machine>()
  readonly #forwards: ForwardTable<Scope>
  readonly #refusals: Refusals
  readonly #scratch = new Scratch(2 * MESSAGE_MAX)
  readonly #buffer = this.#scratch.region("message", MESSAGE_MAX)
  /** Who asked, by id. */
  readonly #questions = new Map<number, number>()
  #lastQuestion = 0
  #policy: PolicySpec
  #capture: CaptureSpec | undefined
  readonly reservations = new Map<string, KeptAddress>()
  #leases: readonly LeaseRecord[]

  constructor(loop: Loop, data: ThreadData, notify: (notice: ThreadNotice) => unknown) {
    this.#loop = loop
    this.#data = data
    this.#notify = notify
    this.#policy = data.policy
    this.#leases = data.leases
    this.#refusals = new Refusals((refused) => notify({ type: "refused", ...refused }))
    this.#forwards = new ForwardTable<Scope>({
      open: ({ rule }) => listenFor(loop, rule),
      close: (scope) => scope[Symbol.dispose](),
      now: Date.now,
      max: FORWARDS_MAX,
    })
  }

  started(): void {
    const { lonelyMs } = this.#data
    if (lonelyMs === 0) return
    const timer = this.#loop.root.timer(() => {
      this.#notify({ type: "lonely", lonelyMs })
      this.#loop.stop()
    })
    timer.after(lonelyMs)
  }

  addLink(spec: LinkSpec): { readonly endpoint: string } {
    if (this.#machines.has(spec.machine)) throw new SidecarError("exists", `Cannot add "${spec.machine}"`)
    if (this.#machines.size >= MACHINES_MAX) throw new SidecarError("busy", "Cannot add another machine")
    const socket = socketOf(spec)
    if (socket === undefined) throw new SidecarError("unsupported", "Cannot open an interface here")
    const scope = this.#loop.scope(`link/${spec.machine}`)
    rmSync(socket, { force: true })
    const machine: Machine = { spec, scope, endpoint: socket, clients: 0, received: 0 }
    const fd = listenUnix(socket)
    scope.adopt(fd, sys.EPOLLIN, () => this.#accept(machine, fd))
    scope.onDispose(() => rmSync(socket, { force: true }))
    this.#machines.set(spec.machine, machine)
    return { endpoint: socket }
  }

  removeLink(name: string): void {
    this.#machine(name).scope[Symbol.dispose]()
    this.#machines.delete(name)
    for (const rule of this.#forwards.removeMachine(name)) {
      this.#notify({ type: "forward-closed", rule, reason: "its machine was removed" })
    }
    this.#notify({ type: "machine-removed", machine: name })
  }

  get forwards(): ForwardTable<Scope> {
    return this.#forwards
  }

  setPolicy({ machine, policy }: Parameters<ThreadCalls["setPolicy"]>[0]): void {
    if (machine === undefined) this.#policy = policy ?? this.#policy
    else set(this.#machine(machine), "policy", policy)
  }

  setFaults({ machine, faults }: Parameters<ThreadCalls["setFaults"]>[0]): void {
    set(this.#machine(machine), "faults", faults)
  }

  startCapture(spec: CaptureSpec): void {
    const owner = spec.machine === undefined ? undefined : this.#machine(spec.machine)
    if ((owner === undefined ? this.#capture : owner.capture) !== undefined) {
      throw new SidecarError("busy", "Cannot capture: there is a capture")
    }
    if (owner === undefined) this.#capture = spec
    else owner.capture = spec
  }

  stopCapture({ machine }: { readonly machine?: string }): CaptureStatus {
    const owner = machine === undefined ? undefined : this.#machine(machine)
    const spec = owner === undefined ? this.#capture : owner.capture
    if (spec === undefined) throw new SidecarError("not-found", "Cannot stop a capture: there is none")
    if (owner === undefined) this.#capture = undefined
    else delete owner.capture
    return captureStatus(spec)
  }

  status(): ReturnType<ThreadCalls["status"]> {
    return {
      machines: [...this.#machines.values()].map(entryOf),
      policy: this.#policy,
      flows: { tcp: this.#machines.size, udp: 0, icmp: 0 },
      forwards: this.#forwards.size,
      leases: this.#leases.length,
      refusals: this.#refusals.counts(),
      memory: {
        heldBytes: 0,
        maxHeldBytes: this.#data.limits.maxHeldBytes,
        keptBytes: 0,
        maxKeptBytes: this.#data.limits.maxHeldBytes,
      },
      ...(this.#capture === undefined ? {} : { capture: captureStatus(this.#capture) }),
      counters: {},
    }
  }

  leases(): readonly LeaseRecord[] {
    return this.#leases
  }

  giveBack(machine: string): readonly LeaseRecord[] {
    if (this.#machines.has(machine))
      throw new SidecarError("busy", `Cannot give "${machine}" back: it is here`)
    const returned = this.#leases.filter((lease) => lease.machine === machine)
    this.#leases = this.#leases.filter((lease) => !returned.includes(lease))
    this.#save()
    return returned
  }

  unreserve(machine: string): string {
    const kept = this.reservations.get(machine)
    if (kept === undefined) throw new SidecarError("not-found", `Cannot find a reservation for "${machine}"`)
    this.reservations.delete(machine)
    return kept.address
  }

  #save(): void {
    const remembered = { reservations: [...this.reservations.values()], former: [] }
    this.#notify({ type: "leases", leases: this.#leases, remembered, save: 1 })
  }

  editLeases({ removed, added }: LeaseEdits): void {
    const gone = new Set(removed.map(({ address }) => address))
    this.#leases = [...this.#leases.filter(({ address }) => !gone.has(address)), ...added]
  }

  /** One for each machine. */
  flows({ machine, limit = FLOWS_PAGE_MAX, after = 0 }: Parameters<ThreadCalls["flows"]>[0]) {
    const all = [...this.#machines.keys()].map(
      (name, index): FlowEntry => ({
        id: index + 1,
        machine: name,
        protocol: "tcp",
        direction: "out",
        guest: "192.168.64.2:40112",
        remote: "10.0.0.1:80",
        state: "established",
        ageMs: 10,
        idleMs: 5,
        bytesOut: 100,
        bytesIn: 200,
      }),
    )
    const wanted = all.filter((flow) => machine === undefined || flow.machine === machine)
    return { flows: wanted.filter(({ id }) => id > after).slice(0, limit), total: wanted.length }
  }

  dnsAnswer({ id, bytes }: Parameters<ThreadCalls["dnsAnswer"]>[0]): void {
    const fd = this.#questions.get(id)
    this.#questions.delete(id)
    if (fd === undefined || bytes === undefined) return
    this.#buffer.bytes.set(bytes)
    sys.write(fd, this.#buffer.address, bytes.length)
  }

  #machine(name: string): Machine {
    const machine = this.#machines.get(name)
    if (machine === undefined) throw new SidecarError("not-found", `Cannot find the machine "${name}"`)
    return machine
  }

  #accept(machine: Machine, listener: number): void {
    const fd = sys.accept(listener, sys.SOCK_NONBLOCK)
    if (fd < 0) return
    const scope = machine.scope.scope("client", (error) => {
      throw error
    })
    machine.clients++
    this.#notify({ type: "machine-connected", machine: machine.spec.machine })
    scope.adopt(fd, sys.EPOLLIN, () => {
      const length = sys.read(fd, this.#buffer.address, MESSAGE_MAX)
      if (length > 0) {
        machine.received += length
        this.#hear(machine, fd, this.#buffer.bytes.slice(0, length))
      } else if (length !== -sys.EAGAIN) {
        machine.clients--
        for (const [id, asker] of this.#questions) if (asker === fd) this.#questions.delete(id)
        this.#notify({ type: "machine-disconnected", machine: machine.spec.machine, reason: "it hung up" })
        scope[Symbol.dispose]()
      }
    })
  }

  #hear(machine: Machine, fd: number, bytes: Uint8Array): void {
    const name = machine.spec.machine
    const text = Buffer.from(bytes.subarray(1)).toString()
    switch (String.fromCharCode(bytes[0] ?? 0)) {
      case "?":
        this.#questions.set(++this.#lastQuestion, fd)
        this.#notify({ type: "dns-query", id: this.#lastQuestion, machine: name, bytes: bytes.slice(1) })
        return
      case "!":
        this.#refuse(name, machine.policy ?? this.#policy)
        return
      case "@":
        this.#lease(machine, text)
        return
      case "x":
        this.#loop.defer(() => {
          throw new Error("told to crash")
        })
    }
  }

  #lease(machine: Machine, address: string): void {
    machine.address = address
    const { spec } = machine
    const mac = spec.mac ?? "02:00:00:00:00:01"
    const lease = { address, mac, machine: spec.machine, granted: 1, renewed: 2, expires: 3 }
    this.#leases = [...this.#leases.filter((other) => other.machine !== spec.machine), lease]
    this.#save()
    const named = [...this.#machines.values()].filter((other) => other.address !== undefined)
    const names = named.map((other) => ({ name: other.spec.machine, addresses: [other.address ?? ""] }))
    this.#notify({ type: "names", names })
  }

  #refuse(machine: string, spec: PolicySpec): void {
    const verdict = decide(compilePolicy(spec, this.#data.plan).four, TCP, FAR, 0, 80)
    if (verdict === "out" || verdict === "host") return
    const destination = { protocol: TCP, bytes: FAR, at: 0, width: 4, port: 80 }
    this.#refusals.note(machine, verdict, destination, this.#loop.now)
  }
}

runLoop<ThreadCalls, ThreadData, ThreadNotice>(({ loop, data, notify }) => {
  const standIn = new StandIn(loop, data, notify)
  return {
    addLink: (spec) => standIn.addLink(spec),
    removeLink: (machine) => standIn.removeLink(machine),
    forward: (rule) => standIn.forwards.add(rule),
    unforward: (which) => standIn.forwards.remove(which),
    forwards: (filter) => standIn.forwards.list(filter),
    setPolicy: (argument) => standIn.setPolicy(argument),
    started: () => standIn.started(),
    status: () => standIn.status(),
    leases: () => standIn.leases(),
    editLeases: (edits) => standIn.editLeases(edits),
    giveBack: (machine) => standIn.giveBack(machine),
    reserve: (kept) => void standIn.reservations.set(kept.machine, kept),
    unreserve: (machine) => standIn.unreserve(machine),
    reservations: () => [...standIn.reservations.values()],
    flows: (query) => standIn.flows(query),
    setFaults: (argument) => standIn.setFaults(argument),
    startCapture: (spec) => standIn.startCapture(spec),
    stopCapture: (argument) => standIn.stopCapture(argument),
    captureWritten: () => undefined,
    leasesSaved: () => undefined,
    dnsAnswer: (argument) => standIn.dnsAnswer(argument),
  }
})

function listenFor(loop: Loop, rule: ForwardRule): Scope {
  const family = rule.hostAddress.includes(":") ? "inet6" : "inet"
  const type = rule.transport === "tcp" ? sys.SOCK_STREAM : sys.SOCK_DGRAM
  const fd = check(
    sys.socket(family === "inet" ? sys.AF_INET : sys.AF_INET6, type | sys.SOCK_NONBLOCK),
    "socket",
  )
  try {
    if (rule.transport === "tcp") sys.setOption(fd, sys.SOL_SOCKET, sys.SO_REUSEADDR, 1)
    check(sys.bind(fd, { family, address: rule.hostAddress, port: rule.hostPort }), "bind")
    if (rule.transport === "tcp") check(sys.listen(fd, 16), "listen")
  } catch (error) {
    sys.close(fd)
    throw error
  }
  const scope = loop.scope("forward")
  scope.adopt(fd, sys.EPOLLIN | sys.EPOLLET, () => undefined)
  return scope
}

function entryOf({
  spec,
  endpoint,
  address,
  clients,
  received,
  policy,
  faults,
  capture,
}: Machine): MachineEntry {
  return {
    name: spec.machine,
    kind: spec.kind,
    endpoint,
    connected: clients > 0,
    ...(spec.mac === undefined ? {} : { mac: spec.mac }),
    ...(address === undefined ? {} : { address }),
    mtu: spec.mtu ?? 1500,
    flows: 1,
    keptBytes: 0,
    backlogBytes: 0,
    ...(policy === undefined ? {} : { policy }),
    ...(faults === undefined ? {} : { faults }),
    ...(capture === undefined ? {} : { capture: captureStatus(capture) }),
    counters: { bytesIn: received, bytesOut: 7, framesIn: 1, framesOut: 2 },
  }
}

function captureStatus({ machine, path }: CaptureSpec): CaptureStatus {
  return { ...(machine === undefined ? {} : { machine }), path, frames: 0, bytes: 0, dropped: 0 }
}

function set<K extends "policy" | "faults">(machine: Machine, key: K, value: Machine[K] | undefined): void {
  if (value === undefined) delete machine[key]
  else machine[key] = value
}
