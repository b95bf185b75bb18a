/**
 * All TCP connections through the gateway: which segment belongs to which, who begins one, and whose turn it is.
 *
 * A guest's SYN begins a connection to the host first and is answered when that stands, so that a refused port is a reset for the guest and an
 * unreachable host an ICMP error. A client of the host is led to the guest by `call`.
 *
 * @module
 */
import { type Frame, type Outlet, type Parts, sumParts } from "@skep/link"
import { pseudo } from "@skep/wire/checksum"
import type { IpView } from "@skep/wire/ip"
import * as tcp from "@skep/wire/tcp"
import type { Clock } from "../host/clock.ts"
import {
  EACCES,
  ECONNREFUSED,
  ECONNRESET,
  type Endpoint,
  type HostStream,
  type LocalEndpoint,
  type StreamHost,
} from "../host/host.ts"
import { ACK, RST, type Segment, SYN } from "../tcp/connection.ts"
import { add, after } from "../tcp/seq.ts"
import type { Ends } from "./ends.ts"
import { nextId } from "./flow-id.ts"
import type { GuestComplaint, GuestError } from "./guest-error.ts"
import { FlowKey, FlowTable } from "./key.ts"
import { type Limits, limitsOf, Shares } from "./shares.ts"
import { type TcpCounters, tcpCounters } from "./tcp-counters.ts"
import { type FlowContext, TcpFlow } from "./tcp-flow.ts"
import { TcpHeaders } from "./tcp-headers.ts"

const TCP = 6
/** Quoted in an ICMP error: what a host needs to find the connection (RFC 1812, section 4.3.2.3, gives as much as fits). */
const QUOTE = 128
/** Flows that have something to send and are called again before the loop looks for events. */
const TURNS = 4

/** Where a guest's connection goes, or a positive error number where it may not go. */
export type Route = Endpoint | LocalEndpoint | number

export interface TcpFlowsOptions extends Partial<Limits> {
  readonly host: StreamHost
  readonly clock: Clock
  readonly random32: () => number
  /** Asked once for each connection of a guest. */
  readonly route: (link: Outlet, bytes: Uint8Array, ip: IpView, port: number) => Route
  /** The guest is to be told by an ICMP error. `packet` is the beginning of what it sent, from the MAC address `from`. */
  readonly unreachable: (link: Outlet, packet: Uint8Array, errno: number, from: number) => void
  /** Bytes kept for a host that does not read, a flow: 1 MiB unless told. */
  readonly capacity?: number
  /** An exception of ours has ended a flow of that link, and nothing else. Without it exceptions are thrown on. */
  readonly onFault?: (link: Outlet, error: unknown) => void
  readonly trace?: (text: string) => void
}

interface Pending {
  readonly syn: Segment
  readonly packet: Uint8Array
  /** Whom to ask where the first refuses. */
  readonly or: Endpoint | undefined
}

export class TcpFlows {
  readonly counters: TcpCounters = tcpCounters()
  readonly table: FlowTable<TcpFlow> = new FlowTable()
  readonly shares: Shares<TcpFlow>
  readonly #options: TcpFlowsOptions
  readonly #capacity: number
  readonly #context: FlowContext
  readonly #view = tcp.view()
  readonly #key = new FlowKey()
  readonly #pending = new Map<TcpFlow, Pending>()
  readonly #starved = new Map<Outlet, TcpFlow[]>()
  readonly #gathers: Parts[] = []
  #marked: TcpFlow[] = []
  #turn: TcpFlow[] = []

  constructor(options: TcpFlowsOptions) {
    this.#options = options
    this.#capacity = options.capacity ?? 1 << 20
    this.shares = new Shares(limitsOf(options))
    const { clock, random32, trace } = options
    this.#context = {
      counters: this.counters,
      now: () => clock.now(),
      nextId,
      alarm: (flow, callback) => clock.alarm(() => this.#guarded(flow, callback)),
      random32,
      mark: (flow) => this.#mark(flow),
      starved: (flow) => this.#wait(flow),
      connected: (flow) => this.#guarded(flow, () => this.#connected(flow)),
      failed: (flow, errno) => this.#guarded(flow, () => this.#failed(flow, errno)),
      fault: (flow, error) => this.#fault(flow, error),
      rests: (flow) => this.#rest(flow),
      gathers: this.#gathers,
      ended: (flow) => this.#forget(flow),
      ...(trace === undefined
        ? {}
        : { trace: (flow: TcpFlow, text: string) => trace(`tcp ${nameOf(flow)} ${text}`) }),
    }
  }

  // ---- Packets

  /** Takes a TCP packet from a guest. `from` is the guest's MAC, `to` the gateway's. */
  onPacket(link: Outlet, frame: Frame, ip: IpView, from: number, to: number): void {
    const view = this.#view
    const readable = frame.at + frame.head
    const malformed = tcp.parse(frame.bytes, ip.payloadAt, readable, ip.payloadEnd, view)
    if (typeof malformed === "string") {
      this.counters.malformed++
      return
    }
    if (!frame.trusted && !this.#intact(link, frame, ip)) {
      this.counters.badChecksum++
      return
    }
    const key = this.#key.fromPacket(frame.bytes, ip, ip.payloadAt)
    const flow = this.table.get(key)
    const length = view.payloadEnd - view.payloadAt
    if (flow === undefined) this.#unknown(link, frame, ip, from, to)
    else if (flow.link !== link)
      this.counters.strays++ // another machine speaks in this one's name
    else if (this.#begunAnew(flow)) {
      flow.abort("guest")
      this.#unknown(link, frame, ip, from, to)
    } else {
      this.#segment(flow, frame, length)
      if (flow.connecting && flow.connection !== undefined && flow.connection.state !== "syn-received")
        this.shares.stands(flow)
    }
  }

  /** RFC 6191: a SYN beyond what the old connection has seen begins a new one. */
  #begunAnew(flow: TcpFlow): boolean {
    const { connection } = flow
    if ((this.#view.flags & (SYN | ACK | RST)) !== SYN || connection?.state !== "time-wait") return false
    return after(this.#view.sequence, connection.receive.next)
  }

  #intact(link: Outlet, frame: Frame, ip: IpView): boolean {
    const length = ip.payloadEnd - ip.payloadAt
    const seed = pseudo(frame.bytes, ip.sourceAt, ip.addressLength, TCP, length)
    return sumParts(link.memory, frame.parts, ip.payloadAt - frame.at, length, seed) === 0xffff
  }

  #unknown(link: Outlet, frame: Frame, ip: IpView, from: number, to: number): void {
    const { flags } = this.#view
    if ((flags & RST) !== 0) return
    const ends = endsOf(frame, ip, this.#view, from, to)
    if ((flags & (SYN | ACK)) !== SYN) {
      this.counters.strays++
      this.#reset(link, ends, this.#view)
      return
    }
    if (this.shares.isFull(link) || this.shares.isConnecting(link)) {
      this.counters.overLimit++ // silence: the guest tries again
      return
    }
    const route = this.#options.route(link, frame.bytes, ip, this.#view.destination)
    const quote = () => frame.bytes.slice(ip.headerAt, Math.min(frame.at + frame.head, ip.headerAt + QUOTE))
    if (typeof route === "number") this.#refuse(link, ends, quote(), this.#view, route)
    else this.#connect(link, ends, route, quote)
  }

  #connect(link: Outlet, ends: Ends, to: Endpoint | LocalEndpoint, quote: () => Uint8Array): void {
    const flow = this.#flow(link, ends, this.#key.copy())
    const stream = this.#begin(flow, to)
    if (typeof stream === "number") {
      this.#refuse(link, ends, quote(), this.#view, -stream)
      return
    }
    this.#add(flow)
    flow.attach(stream)
    this.counters.opened++
    this.shares.connects(flow)
    if (stream.connected) return flow.answer(this.#view, this.#options.clock.now())
    const syn = { ...this.#view, sackLeft: [], sackRight: [] }
    this.#pending.set(flow, { syn, packet: quote(), or: "or" in to ? to.or : undefined })
  }

  #connected(flow: TcpFlow): void {
    const pending = this.#takePending(flow)
    if (pending !== undefined) flow.answer(pending.syn, this.#options.clock.now())
  }

  /** Connects to the host, or to where it is to be asked instead. */
  #begin(flow: TcpFlow, to: Endpoint | LocalEndpoint): HostStream | number {
    const stream = this.#options.host.connect(to, flow)
    return stream === -ECONNREFUSED && "or" in to ? this.#options.host.connect(to.or, flow) : stream
  }

  #failed(flow: TcpFlow, errno: number): void {
    const pending = this.#takePending(flow)
    if (pending?.or !== undefined && errno === ECONNREFUSED && this.#askAnother(flow, pending, pending.or))
      return
    if (pending !== undefined) this.#refuse(flow.link, flow.ends, pending.packet, pending.syn, errno)
    flow.abort("host")
  }

  /** Returns whether somebody else is being asked now. */
  #askAnother(flow: TcpFlow, pending: Pending, or: Endpoint): boolean {
    const stream = this.#options.host.connect(or, flow)
    if (typeof stream === "number") return false
    flow.attach(stream)
    if (stream.connected) flow.answer(pending.syn, this.#options.clock.now())
    else this.#pending.set(flow, { ...pending, or: undefined })
    return true
  }

  #takePending(flow: TcpFlow): Pending | undefined {
    const pending = this.#pending.get(flow)
    if (pending === undefined) return undefined
    this.#pending.delete(flow)
    return pending
  }

  /** Tells the guest what the host, or the policy, said of its connection. */
  #refuse(link: Outlet, ends: Ends, packet: Uint8Array, syn: Segment, errno: number): void {
    if (errno === ECONNREFUSED || errno === ECONNRESET) {
      this.counters.refused++
      this.#reset(link, ends, syn)
      return
    }
    this.counters.unreachable++
    this.#options.unreachable(link, packet, errno, ends.guestMac)
    // Linux gives up a connect() at once for a prohibition, but not for every other code: a reset ends all the same.
    if (errno === EACCES) this.#reset(link, ends, syn)
  }

  /** RFC 9293, section 3.10.7.1: the answer to a segment that belongs to nothing. */
  #reset(link: Outlet, ends: Ends, segment: Segment): void {
    const headers = new TcpHeaders(ends)
    const span = (segment.flags & SYN) === 0 ? 0 : 1
    if ((segment.flags & ACK) !== 0)
      headers.put({ sequence: segment.acknowledgement, acknowledgement: 0, flags: RST, window: 0 })
    else {
      const acknowledgement = add(segment.sequence, span)
      headers.put({ sequence: 0, acknowledgement, flags: RST | ACK, window: 0 })
    }
    headers.finish(link, link.mtu, 0)
    link.send(headers.bytes, 0, headers.length, undefined, headers.offload)
    this.counters.resetsSent++
  }

  /** The guest says that a segment of a flow did not arrive. Undefined where the link has no such flow. */
  onGuestError(link: Outlet, key: FlowKey, error: GuestError): GuestComplaint | undefined {
    const flow = this.table.get(key)
    return flow?.link === link ? flow.onGuestError(error) : undefined
  }

  // ---- Clients of the host

  /**
   * Leads a client of the host to a guest. Owns `open()`'s stream from then on. Returns undefined where there are too many flows or this pair of
   * ends is taken.
   */
  call(link: Outlet, ends: Ends, open: (flow: TcpFlow) => HostStream): TcpFlow | undefined {
    const key = new FlowKey().fromEndpoints(TCP, ends.guest, ends.guestPort, ends.other, ends.otherPort)
    const known = this.table.get(key)
    if (known?.resting === true) known.abort("guest")
    if (this.shares.isFull(link) || (known !== undefined && !known.ended)) {
      this.counters.overLimit++
      return undefined
    }
    const flow = this.#flow(link, ends, key)
    this.#add(flow)
    this.#guarded(flow, () => flow.call(open(flow), this.#options.clock.now()))
    this.counters.accepted++
    return flow
  }

  // ---- Turns

  /**
   * Does what the flows have to do: everything that came goes to the host, what the host has goes to the guests, and both are acknowledged.
   * Returns whether some flow has more to send and is to have another turn.
   */
  settle(): boolean {
    for (let left = TURNS; this.#marked.length > 0; left--) {
      const turn = this.#marked
      this.#marked = this.#turn
      this.#turn = turn
      for (const flow of turn) {
        flow.marked = false
        this.#deliver(flow)
      }
      for (const flow of turn) if (this.#pump(flow) === "more") this.#mark(flow)
      for (const flow of turn) this.#acknowledge(flow)
      turn.length = 0
      if (left === 0) return this.#marked.length > 0
    }
    return false
  }

  /** The link has room again. */
  onRoom(link: Outlet): void {
    const waiting = this.#starved.get(link)
    if (waiting === undefined) return
    this.#starved.delete(link)
    for (const flow of waiting) {
      flow.waiting = false
      if (!flow.ended) this.#mark(flow)
    }
  }

  /** The machine is gone, and all its flows with it. */
  detach(link: Outlet): void {
    for (const flow of this.table.all()) if (flow.link === link) flow.abort("guest")
    this.#starved.delete(link)
    this.shares.detach(link)
  }

  /** Ends everything; guests are told by resets. */
  stop(): void {
    for (const flow of this.table.all()) flow.reset()
  }

  // ---- Exceptions: one of ours costs the flow that it is in, and no other

  #segment(flow: TcpFlow, frame: Frame, length: number): void {
    try {
      flow.onSegment(this.#view, frame, this.#view.payloadAt - frame.at, length)
    } catch (error) {
      this.#fault(flow, error)
    }
  }

  #deliver(flow: TcpFlow): void {
    try {
      flow.deliver()
    } catch (error) {
      this.#fault(flow, error)
    }
  }

  #pump(flow: TcpFlow): "done" | "more" {
    try {
      return flow.pump()
    } catch (error) {
      this.#fault(flow, error)
      return "done"
    }
  }

  #acknowledge(flow: TcpFlow): void {
    try {
      flow.acknowledge()
    } catch (error) {
      this.#fault(flow, error)
    }
  }

  /** For what is not on the path of a packet. */
  #guarded(flow: TcpFlow, work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#fault(flow, error)
    }
  }

  #fault(flow: TcpFlow, error: unknown): void {
    const { onFault } = this.#options
    if (onFault === undefined) throw error
    this.counters.faults++
    flow.drop()
    onFault(flow.link, error)
  }

  #flow(link: Outlet, ends: Ends, key: FlowKey): TcpFlow {
    return new TcpFlow({
      context: this.#context,
      key,
      link,
      ends,
      capacity: this.#capacity,
      allowance: this.shares.allowance(link),
      share: this.shares.heapShare(link),
    })
  }

  #mark(flow: TcpFlow): void {
    if (flow.marked || flow.ended) return
    flow.marked = true
    this.#marked.push(flow)
  }

  #wait(flow: TcpFlow): void {
    if (flow.waiting) return
    flow.waiting = true
    const waiting = this.#starved.get(flow.link)
    if (waiting === undefined) this.#starved.set(flow.link, [flow])
    else waiting.push(flow)
  }

  #add(flow: TcpFlow): void {
    this.table.add(flow)
    this.shares.add(flow)
  }

  #rest(flow: TcpFlow): void {
    this.shares.rest(flow)?.abort("guest")
  }

  #forget(flow: TcpFlow): void {
    this.#takePending(flow)
    this.shares.stands(flow)
    if (this.table.delete(flow)) this.shares.delete(flow)
  }
}

function endsOf(frame: Frame, ip: IpView, view: tcp.View, from: number, to: number): Ends {
  const { bytes } = frame
  return {
    guestMac: from,
    gatewayMac: to,
    guest: bytes.slice(ip.sourceAt, ip.sourceAt + ip.addressLength),
    guestPort: view.source,
    other: bytes.slice(ip.destinationAt, ip.destinationAt + ip.addressLength),
    otherPort: view.destination,
  }
}

function nameOf({ ends }: TcpFlow): string {
  return `${[...ends.guest].join(".")}:${ends.guestPort}->${[...ends.other].join(".")}:${ends.otherPort}`
}
