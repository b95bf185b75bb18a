/**
 * All associations of datagrams through the gateway: UDP, and echo requests that leave by a ping socket.
 *
 * RFC 4787: a mapping lives as long as it is used (REQ-5), replies to a guest come only from whom it spoke to. RFC 5508, section 3, for echo.
 *
 * @module
 */
import type { Frame, Memory, Outlet, Parts } from "@skep/link"
import * as ip from "@skep/wire/ip"
import type { Alarm, Clock } from "../host/clock.ts"
import { type DatagramHost, type DatagramSocket, EACCES, ECONNREFUSED, type Endpoint } from "../host/host.ts"
import { type DatagramContext, DatagramFlow } from "./datagram-flow.ts"
import { DatagramRun } from "./datagram-run.ts"
import { restoreEcho } from "./echo-message.ts"
import type { Ends } from "./ends.ts"
import { nextId } from "./flow-id.ts"
import type { GuestComplaint, GuestError } from "./guest-error.ts"
import { FlowKey, FlowTable } from "./key.ts"

/** The longest datagram there is. */
const ROOM = 65_536
/** One, behind others that are handed on together with it. */
const BUFFER = 2 * ROOM
const SWEEP_MS = 1000
const QUOTE = 128
const DNS = 53
/** An association that was never answered, one that was, and one of a question whose answer came. */
const UNANSWERED_MS = 30_000
/** RFC 4787, REQ-5: two minutes at least, five recommended; QUIC keeps its connections longer than they are used. */
const ANSWERED_MS = 300_000
const DNS_MS = 10_000

export interface DatagramCounters {
  opened: number
  accepted: number
  fromGuest: number
  toGuest: number
  refused: number
  unreachable: number
  evicted: number
  expired: number
  strays: number
  hostErrors: number
  /** Associations that were ended by an exception of ours. */
  faults: number
}

export interface DatagramFlowsOptions {
  readonly host: DatagramHost
  readonly clock: Clock
  readonly memory: Memory
  /** Asked once for each association of a guest; a positive error number where it may not be. */
  readonly route: (link: Outlet, bytes: Uint8Array, view: ip.IpView, port: number) => Endpoint | number
  /** The guest is to be told by an ICMP error. `packet` is the beginning of what it sent, from the MAC address `from`. */
  readonly unreachable: (link: Outlet, packet: Uint8Array, errno: number, from: number) => void
  /** Sends what is longer than the link's MTU, in fragments. */
  readonly cut: (link: Outlet, headers: Uint8Array, length: number, payload: Parts) => void
  /** Does `callback` in the next turn. */
  readonly later: (callback: () => void) => void
  readonly most?: number
  readonly mostOfLink?: number
  /** Of one link, begun by its machine and never answered: what a flood is made of. 1024 unless told. */
  readonly mostUnanswered?: number
  /** An exception of ours has ended an association of that link, and nothing else. Without it exceptions are thrown on. */
  readonly onFault?: (link: Outlet, error: unknown) => void
}

export class DatagramFlows {
  readonly table: FlowTable<DatagramFlow> = new FlowTable()
  readonly counters: DatagramCounters = {
    opened: 0,
    accepted: 0,
    fromGuest: 0,
    toGuest: 0,
    refused: 0,
    unreachable: 0,
    evicted: 0,
    expired: 0,
    strays: 0,
    hostErrors: 0,
    faults: 0,
  }
  readonly #options: Required<Omit<DatagramFlowsOptions, "onFault">> & Pick<DatagramFlowsOptions, "onFault">
  readonly #context: DatagramContext
  readonly #key = new FlowKey()
  readonly #buffer: number
  /** In the order of their beginning; those that were never answered, first to go. */
  readonly #ofLink = new Map<Outlet, Set<DatagramFlow>>()
  /** Of those, what the machine began and nobody has answered. */
  readonly #unanswered = new Map<Outlet, Set<DatagramFlow>>()
  /** Those that have datagrams of this turn; perhaps twice, perhaps none any more. */
  readonly #gathering: DatagramFlow[] = []
  readonly #sweeper: Alarm

  constructor(options: DatagramFlowsOptions) {
    this.#options = { most: 4096, mostOfLink: 1024, mostUnanswered: 1024, ...options }
    const { clock, memory } = options
    this.#buffer = memory.allocate(BUFFER)
    if (this.#buffer === 0) throw new RangeError("no memory for a datagram")
    this.#context = {
      buffer: this.#buffer,
      room: ROOM,
      run: new DatagramRun(this.#buffer, ROOM),
      now: () => clock.now(),
      nextId,
      toGuest: (flow, payload, segmentSize) => this.#toGuest(flow, payload, segmentSize),
      failed: (flow, errno) => this.#failed(flow, errno),
      fault: (flow, error) => this.#fault(flow, error),
      gathering: (flow) => void this.#gathering.push(flow),
      again: (flow) => options.later(() => flow.onReadable()),
    }
    this.#sweeper = clock.alarm(() => this.#sweep())
  }

  /** Where datagrams for `DatagramFlow.deliver` are put. */
  get buffer(): number {
    return this.#buffer
  }

  /**
   * Takes the payload of a guest's UDP packet, or its whole echo request; `guestPort` and `port` tell associations apart. It goes on at `settle`, until
   * when the frame's memory is to stay.
   */
  fromGuest(link: Outlet, frame: Frame, view: ip.IpView, datagram: Datagram): void {
    const key = this.#key.fromPacket(frame.bytes, view, datagram.portsAt, datagram.ports)
    let flow = this.table.get(key)
    if (flow !== undefined && flow.link !== link) {
      this.counters.strays++
      return
    }
    flow ??= this.#open(link, frame, view, datagram)
    if (flow === undefined) return
    this.counters.fromGuest++
    if (flow.quote.length === 0) flow.quote = quoteOf(frame, view)
    try {
      flow.fromGuest(frame, datagram.payloadAt - frame.at, datagram.payloadEnd - datagram.payloadAt)
    } catch (error) {
      this.#fault(flow, error)
    }
  }

  /** The turn of a link is over: what guests have sent goes on, all datagrams of an association by one call. */
  settle(): void {
    const flows = this.#gathering
    if (flows.length === 0) return
    for (const flow of flows) {
      try {
        flow.flush()
      } catch (error) {
        this.#fault(flow, error)
      }
    }
    flows.length = 0
  }

  /** Leads a client of the host to a guest. Undefined where this pair of ends is taken. */
  call(link: Outlet, ends: Ends, socket: DatagramSocket): DatagramFlow | undefined {
    const key = new FlowKey().fromEndpoints(
      ip.PROTOCOL_UDP,
      ends.guest,
      ends.guestPort,
      ends.other,
      ends.otherPort,
    )
    if (this.table.get(key) !== undefined) return undefined
    this.#makeRoom(link)
    const flow = this.#add(new DatagramFlow(this.#context, key, link, ends, ip.PROTOCOL_UDP))
    flow.direction = "in"
    flow.attach(socket)
    this.counters.accepted++
    return flow
  }

  /**
   * The guest says that a datagram did not arrive. Undefined where the link has no such association, or it was sent none.
   *
   * Deviation: RFC 4787, REQ-12, would keep a mapping whatever ICMP says, since that may be forged by anybody. Here it is the guest itself who speaks, of
   * a port of its own that nobody serves; without the socket the host's kernel tells the other side.
   */
  onGuestError(link: Outlet, key: FlowKey, told: GuestError["told"]): GuestComplaint | undefined {
    const flow = this.table.get(key)
    if (flow?.link !== link || flow.received === 0) return undefined
    if (told !== "port-unreachable") return "soft"
    this.close(flow)
    return "ended"
  }

  detach(link: Outlet): void {
    for (const flow of this.#ofLink.get(link) ?? []) {
      // A link that goes within its turn takes the memory of its frames along.
      flow.drop()
      this.close(flow)
    }
  }

  close(flow: DatagramFlow): void {
    flow.flush()
    this.table.delete(flow)
    remove(this.#ofLink, flow)
    remove(this.#unanswered, flow)
    flow.close()
  }

  stop(): void {
    this.#sweeper.cancel()
    for (const flow of this.table.all()) {
      flow.drop()
      this.close(flow)
    }
    this.#options.memory.free(this.#buffer, BUFFER)
  }

  #open(link: Outlet, frame: Frame, view: ip.IpView, datagram: Datagram): DatagramFlow | undefined {
    const route = this.#options.route(link, frame.bytes, view, datagram.otherPort)
    if (typeof route === "number") {
      this.#refuse(link, quoteOf(frame, view), route, datagram.from)
      return undefined
    }
    this.#makeRoom(link)
    const ends = {
      guestMac: datagram.from,
      gatewayMac: datagram.to,
      guest: frame.bytes.slice(view.sourceAt, view.sourceAt + view.addressLength),
      guestPort: datagram.guestPort,
      other: frame.bytes.slice(view.destinationAt, view.destinationAt + view.addressLength),
      otherPort: datagram.otherPort,
    }
    const flow = new DatagramFlow(this.#context, this.#key.copy(), link, ends, view.protocol)
    const isUdp = view.protocol === ip.PROTOCOL_UDP
    const socket = isUdp ? this.#options.host.udp(route, flow) : this.#options.host.echo(route, flow)
    if (typeof socket === "number") {
      this.#refuse(link, quoteOf(frame, view), -socket, datagram.from)
      return undefined
    }
    flow.attach(socket)
    this.counters.opened++
    flow.isAlone = true
    insert(this.#unanswered, flow)
    return this.#add(flow)
  }

  #add(flow: DatagramFlow): DatagramFlow {
    this.table.add(flow)
    insert(this.#ofLink, flow)
    if (this.#sweeper.deadline === Number.POSITIVE_INFINITY) this.#sweepLater()
    return flow
  }

  /** One more fits afterwards: the one that has been silent for longest has to go, of the machine that has too many before others. */
  #makeRoom(link: Outlet): void {
    const [alone] = this.#unanswered.get(link) ?? []
    if (alone !== undefined && this.#aloneOf(link) >= this.#options.mostUnanswered) {
      this.counters.evicted++
      this.close(alone)
      return
    }
    const mine = this.#ofLink.get(link)
    const tooMany = (mine?.size ?? 0) >= this.#options.mostOfLink
    if (!tooMany && this.table.size < this.#options.most) return
    let flows = mine
    if (!tooMany)
      for (const each of this.#ofLink.values())
        if (flows === undefined || each.size > flows.size) flows = each
    const victim = quietest(flows ?? [])
    if (victim === undefined) return
    this.counters.evicted++
    this.close(victim)
  }

  #aloneOf(link: Outlet): number {
    return this.#unanswered.get(link)?.size ?? 0
  }

  #toGuest(flow: DatagramFlow, payload: Parts, segmentSize: number): void {
    const { link, headers } = flow
    if (flow.isAlone) {
      flow.isAlone = false
      remove(this.#unanswered, flow)
    }
    this.counters.toGuest += segmentSize === 0 ? 1 : Math.ceil(payload.bytes / segmentSize)
    if (flow.protocol !== ip.PROTOCOL_UDP && !restoreEcho(link.memory, payload, flow.ends)) return
    const tooLong = segmentSize === 0 && headers.packetLength(payload.bytes) > link.mtu
    headers.finish(link, payload, tooLong, segmentSize)
    if (tooLong) this.#options.cut(link, headers.bytes, headers.length, payload)
    else link.send(headers.bytes, 0, headers.length, payload, headers.offload)
  }

  #failed(flow: DatagramFlow, errno: number): void {
    this.counters.hostErrors++
    this.#refuse(flow.link, flow.quote, errno, flow.ends.guestMac)
  }

  #fault(flow: DatagramFlow, error: unknown): void {
    const { onFault } = this.#options
    if (onFault === undefined) throw error
    this.counters.faults++
    flow.drop()
    try {
      this.close(flow)
    } catch {
      // It is in no table any more; the exception that counts is the one before, which is told.
    }
    onFault(flow.link, error)
  }

  #refuse(link: Outlet, quote: Uint8Array, errno: number, from: number): void {
    if (errno === EACCES) this.counters.refused++
    else this.counters.unreachable++
    if (quote.length > 0) this.#options.unreachable(link, quote, errno === 0 ? ECONNREFUSED : errno, from)
  }

  #sweep(): void {
    const now = this.#options.clock.now()
    for (const flow of this.table.all()) {
      if (now - flow.usedAt < idleOf(flow)) continue
      this.counters.expired++
      this.close(flow)
    }
    if (this.table.size > 0) this.#sweepLater()
  }

  #sweepLater(): void {
    this.#sweeper.at(this.#options.clock.now() + SWEEP_MS)
  }
}

/** What the packet says, beside its IP header. */
export interface Datagram {
  /** The MACs of the guest and of the gateway. */
  readonly from: number
  readonly to: number
  /** Where the two ports are; for an echo request its identifier, which is one. */
  readonly portsAt: number
  readonly ports: 1 | 2
  readonly guestPort: number
  readonly otherPort: number
  readonly payloadAt: number
  readonly payloadEnd: number
}

function idleOf(flow: DatagramFlow): number {
  if (!flow.answered) return UNANSWERED_MS
  return flow.ends.otherPort === DNS ? DNS_MS : ANSWERED_MS
}

function insert(sets: Map<Outlet, Set<DatagramFlow>>, flow: DatagramFlow): void {
  const flows = sets.get(flow.link)
  if (flows === undefined) sets.set(flow.link, new Set([flow]))
  else flows.add(flow)
}

function remove(sets: Map<Outlet, Set<DatagramFlow>>, flow: DatagramFlow): void {
  const flows = sets.get(flow.link)
  flows?.delete(flow)
  if (flows?.size === 0) sets.delete(flow.link)
}

/** Unanswered ones first: a flood is made of those. Sets are in the order of their beginning, so the first will do. */
function quietest(flows: Iterable<DatagramFlow>): DatagramFlow | undefined {
  let first: DatagramFlow | undefined
  for (const flow of flows) {
    if (!flow.answered) return flow
    if (first === undefined || flow.usedAt < first.usedAt) first = flow
  }
  return first
}

function quoteOf(frame: Frame, view: ip.IpView): Uint8Array {
  return frame.bytes.slice(view.headerAt, Math.min(frame.at + frame.head, view.headerAt + QUOTE))
}
