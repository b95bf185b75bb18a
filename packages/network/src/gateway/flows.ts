/**
 * Flows between machines and the host: where each may go, by the policy, and how what comes back is sent.
 *
 * @module
 */
import { type Frame, type Memory, type Outlet, Parts, type Port, sumParts } from "@skep/link"
import {
  Cutter,
  type Datagram,
  DatagramFlows,
  type DatagramHeaders,
  type Ends,
  FlowKey,
  type Gateway,
  host,
  owns,
  type ProblemKind,
  TcpFlows,
} from "@skep/stack"
import { u16 } from "@skep/wire/bytes"
import * as ethernet from "@skep/wire/ethernet"
import * as icmp from "@skep/wire/icmp"
import * as icmpv6 from "@skep/wire/icmpv6"
import * as ip from "@skep/wire/ip"
import * as transport from "@skep/wire/transport"
import * as udp from "@skep/wire/udp"
import type { GatewayService } from "../links/link-spec.ts"
import { decide, LOOPBACK4, LOOPBACK6, type Policy, type Refusal } from "../policy/policy.ts"
import type { Refusals } from "../policy/refusals.ts"
import type { FlowsDriver } from "./driver.ts"
import type { Machine, Machines } from "./machines.ts"
import { type NameEndpoint, NameStreams } from "./name-streams.ts"
import { randomWords } from "./random-words.ts"

const DNS = 53
const IDENTIFIER = 4
/** Bytes of both ports. */
const PORTS = 4

export interface FlowsOptions {
  readonly gateway: Gateway
  readonly driver: FlowsDriver
  readonly machines: Machines
  readonly refusals: Refusals
  /** The socket that takes DNS over TCP. */
  readonly dnsSocket: string
  readonly maxFlows: number
  readonly maxFlowsPerMachine: number
  readonly maxHeldBytes: number
  readonly tell: (port: Port, kind: ProblemKind, packet: Uint8Array, mac: number) => void
  /** An exception of ours has ended a flow of that machine. */
  readonly onFault: (machine: string | undefined, error: unknown) => void
  readonly trace?: (text: string) => void
}

export class Flows {
  readonly memory: Memory
  readonly tcp: TcpFlows
  readonly datagrams: DatagramFlows
  /** For all machines that have none of their own. */
  policy: Policy
  /** UDP packets of guests that were dropped: by their header, and by their checksum. */
  malformed = 0
  badChecksum = 0
  /** Messages of our own that were not sent, since memory has run out. */
  noMemory = 0
  readonly #options: FlowsOptions
  readonly #udp = udp.view()
  /** Filled for each datagram. */
  readonly #datagram: { -readonly [Key in keyof Datagram]: Datagram[Key] }
  readonly #cutter = new Cutter()
  readonly #copy = new Parts()
  readonly #key = new FlowKey()
  #identification = 0
  #settling = false

  constructor(options: FlowsOptions, policy: Policy) {
    this.#options = options
    this.policy = policy
    const { driver } = options
    this.#datagram = {
      from: 0,
      to: options.gateway.mac,
      portsAt: 0,
      ports: 2,
      guestPort: 0,
      otherPort: 0,
      payloadAt: 0,
      payloadEnd: 0,
    }
    this.memory = driver.memory
    const route = (link: Outlet, bytes: Uint8Array, packet: ip.IpView, port: number) =>
      this.#route(link, bytes, packet, port)
    const unreachable = (link: Outlet, packet: Uint8Array, errno: number, from: number) => {
      const machine = this.#machineOf(link)
      if (machine !== undefined) options.tell(machine.port, problemOf(errno), packet, from)
    }
    const onFault = (link: Outlet, error: unknown): void =>
      options.onFault(this.#machineOf(link)?.name, error)
    this.tcp = new TcpFlows({
      host: new NameStreams(driver.streams, driver.memory),
      clock: driver.clock,
      random32: randomWords(),
      route,
      unreachable,
      mostFlows: options.maxFlows,
      mostOfLink: options.maxFlowsPerMachine,
      onFault,
      mostKept: options.maxHeldBytes,
      ...(options.trace === undefined ? {} : { trace: options.trace }),
    })
    this.datagrams = new DatagramFlows({
      host: driver.datagrams,
      clock: driver.clock,
      memory: driver.memory,
      route: (link, bytes, packet, port) => {
        const to = route(link, bytes, packet, port)
        return typeof to === "object" && "path" in to ? host.EACCES : to
      },
      unreachable,
      cut: (link, headers, length, payload) => this.#cut(link, headers, length, payload),
      later: driver.later,
      most: options.maxFlows,
      mostOfLink: options.maxFlowsPerMachine,
      onFault,
    })
  }

  onTcp(port: Port, frame: Frame, packet: ip.IpView): void {
    const { bytes, at } = frame
    this.tcp.onPacket(port, frame, packet, ethernet.sourceOf(bytes, at), this.#options.gateway.mac)
  }

  onUdp(port: Port, frame: Frame, packet: ip.IpView): void {
    const { bytes, at } = frame
    const view = udp.parse(bytes, packet.payloadAt, at + frame.head, packet.payloadEnd, this.#udp)
    if (typeof view === "string") {
      this.malformed++
      return
    }
    if (!this.intact(frame, packet)) {
      this.badChecksum++
      return
    }
    const datagram = this.#datagram
    datagram.portsAt = packet.payloadAt
    datagram.ports = 2
    datagram.guestPort = view.source
    datagram.otherPort = view.destination
    datagram.payloadAt = view.payloadAt
    datagram.payloadEnd = view.payloadEnd
    this.#handOn(port, frame, packet)
  }

  /** Whether the packet is of a flow that a client of the host began. */
  knows(port: Port, frame: Frame, packet: ip.IpView): boolean {
    if (packet.payloadAt + PORTS > frame.at + frame.head) return false
    const key = this.#key.fromPacket(frame.bytes, packet, packet.payloadAt)
    const flow = packet.protocol === ip.PROTOCOL_TCP ? this.tcp.table.get(key) : this.datagrams.table.get(key)
    return flow?.link === port && flow.direction === "in"
  }

  /** Echo requests beyond the gateway leave by a ping socket; other messages of ICMP go nowhere. */
  onEcho(port: Port, frame: Frame, packet: ip.IpView): void {
    const { bytes } = frame
    if (packet.payloadAt + icmp.HEADER > frame.at + frame.head) return
    const type = bytes[packet.payloadAt]
    if (type !== (packet.version === 4 ? icmp.ECHO : icmpv6.ECHO)) return
    const datagram = this.#datagram
    datagram.portsAt = packet.payloadAt + IDENTIFIER
    datagram.ports = 1
    datagram.guestPort = u16(bytes, packet.payloadAt + IDENTIFIER)
    datagram.otherPort = 0
    datagram.payloadAt = packet.payloadAt
    datagram.payloadEnd = packet.payloadEnd
    this.#handOn(port, frame, packet)
  }

  /** Sends a packet whose checksums are whole; cut where it is longer than the machine's MTU. */
  sendWhole(port: Outlet, headers: Uint8Array, length: number, payload: Parts): void {
    if (length - ethernet.HEADER + payload.bytes > port.mtu) this.#cut(port, headers, length, payload)
    else port.send(headers, 0, length, payload)
  }

  /** Sends a datagram whose payload is given as bytes. */
  sendCopy(port: Outlet, headers: DatagramHeaders, bytes: Uint8Array): void {
    const { memory } = this
    const address = memory.allocate(Math.max(1, bytes.length))
    if (address === 0) {
      this.noMemory++
      return
    }
    memory.write(bytes, 0, bytes.length, address)
    this.#copy.clear()
    this.#copy.push(address, bytes.length)
    headers.finish(port, this.#copy, true)
    this.sendWhole(port, headers.bytes, headers.length, this.#copy)
    memory.free(address, Math.max(1, bytes.length))
  }

  /** What a turn brought goes on, both ways. */
  settle(): void {
    this.datagrams.settle()
    if (!this.tcp.settle() || this.#settling) return
    // Somebody has more to send: others first.
    this.#settling = true
    this.#options.driver.later(() => {
      this.#settling = false
      this.settle()
    })
  }

  onRoom(port: Outlet): void {
    this.tcp.onRoom(port)
    this.settle()
  }

  /** Ends all flows of guests that the policy of now does not let out; guests are told. Flows that clients of the host began stay. */
  enforce(): void {
    for (const flow of this.tcp.table.all()) {
      if (flow.direction === "out" && !this.#allows(flow.link, ip.PROTOCOL_TCP, flow.ends)) flow.reset()
    }
    for (const flow of this.datagrams.table.all()) {
      if (flow.direction === "out" && !this.#allows(flow.link, flow.protocol, flow.ends))
        this.datagrams.close(flow)
    }
  }

  /** The machine is gone, and all its flows with it. */
  detach(port: Outlet): void {
    this.tcp.detach(port)
    this.datagrams.detach(port)
  }

  stop(): void {
    this.tcp.stop()
    this.datagrams.stop()
  }

  #handOn(port: Port, frame: Frame, packet: ip.IpView): void {
    this.#datagram.from = ethernet.sourceOf(frame.bytes, frame.at)
    this.datagrams.fromGuest(port, frame, packet, this.#datagram)
  }

  /** Whether the checksum of a transport is right, or the sender vouches for it. */
  intact(frame: Frame, packet: ip.IpView): boolean {
    if (frame.trusted) return true
    const { payloadAt, payloadEnd } = packet
    const sum = sumParts(this.memory, frame.parts, payloadAt - frame.at, payloadEnd - payloadAt, 0)
    return transport.checksumOk(frame.bytes, packet, sum)
  }

  #route(
    link: Outlet,
    bytes: Uint8Array,
    packet: ip.IpView,
    port: number,
  ): host.Endpoint | host.LocalEndpoint | NameEndpoint | number {
    const { destinationAt: at, addressLength: width, protocol } = packet
    const machine = this.#machineOf(link)
    const isV4 = width === 4
    if (protocol === ip.PROTOCOL_TCP && owns(this.#options.gateway, bytes, at, width)) {
      if (port === DNS) return { path: this.#options.dnsSocket, machine: machine?.name ?? "" }
      const service = serviceOf(machine, port)
      if (service !== undefined) return { path: service.socket }
    }
    const verdict = this.#verdict(machine, protocol, bytes.subarray(at, at + width), port)
    if (verdict === "out") return { address: bytes.slice(at, at + width), port }
    if (verdict === "host")
      return isV4 ? loopback(LOOPBACK4, LOOPBACK6, port) : loopback(LOOPBACK6, LOOPBACK4, port)
    this.#refused(machine, verdict, { protocol, bytes, at, width, port })
    return host.EACCES
  }

  #allows(link: Outlet, protocol: number, { other, otherPort }: Ends): boolean {
    const machine = this.#machineOf(link)
    // What the gateway itself answers, no policy forbids.
    if (
      protocol === ip.PROTOCOL_TCP &&
      owns(this.#options.gateway, other, 0, other.length) &&
      (otherPort === DNS || serviceOf(machine, otherPort) !== undefined)
    )
      return true
    const verdict = this.#verdict(machine, protocol, other, otherPort)
    return verdict === "out" || verdict === "host"
  }

  #verdict(machine: Machine | undefined, protocol: number, other: Uint8Array, port: number) {
    const policy = machine?.policy ?? this.policy
    return decide(other.length === 4 ? policy.four : policy.six, protocol, other, 0, port)
  }

  #refused(
    machine: Machine | undefined,
    verdict: Refusal,
    destination: Parameters<Refusals["note"]>[2],
  ): void {
    this.#options.refusals.note(machine?.name ?? "", verdict, destination, this.#options.driver.clock.now())
  }

  #machineOf(link: Outlet): Machine | undefined {
    // Every outlet of a flow is a port of the switch.
    return "number" in link && typeof link.number === "number"
      ? this.#options.machines.at({ number: link.number })
      : undefined
  }

  #cut(link: Outlet, headers: Uint8Array, length: number, payload: Parts): void {
    this.#identification = (this.#identification + 1) >>> 0
    this.#cutter.cut({ bytes: headers, at: 0, length }, payload, link.mtu, this.#identification, (...frame) =>
      link.send(...frame),
    )
  }
}

/** What listens on the host's "localhost" may have only one of its two addresses, and the guest cannot know which. */
function serviceOf(machine: Machine | undefined, port: number): GatewayService | undefined {
  return machine?.spec.services?.find((service) => service.port === port)
}

function loopback(address: Uint8Array, other: Uint8Array, port: number): host.Endpoint {
  return { address, port, or: { address: other, port } }
}

/** RFC 1812, section 5.2.7.1: what a guest is told of what its host said. */
function problemOf(errno: number): ProblemKind {
  switch (errno) {
    case host.EACCES:
      return "prohibited"
    case host.ECONNREFUSED:
      return "port-unreachable"
    case host.ENETUNREACH:
      return "no-route"
    default:
      return "host-unreachable"
  }
}
