/**
 * The gateway: what becomes of each frame that machines send to it, or to all.
 *
 * ```
 *  frame ─► ARP ─► neighbours
 *        ─► IP ─► checked, screened, put together ─┬─► ICMP: neighbours (NDP), echo of ours, echo beyond
 *                                                  ├─► UDP: DHCP, DNS, associations
 *                                                  └─► TCP: connections
 * ```
 *
 * RFC 1122 and RFC 1812 for what a packet must be; what is wrong is dropped and counted by its reason.
 *
 * @module
 */
import type { Frame, Port, Gateway as Station } from "@skep/link"
import {
  Counts,
  EchoReply,
  Errors,
  type Gateway,
  isForMany,
  isNdp,
  Neighbours,
  OUT_SIZE,
  owns,
  type ProblemKind,
  Reassembly,
  screen,
} from "@skep/stack"
import { isUnspecified } from "@skep/wire/address"
import { copy, same, u8, u32 } from "@skep/wire/bytes"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import * as ipv4 from "@skep/wire/ipv4"
import type { Flows } from "./flows.ts"
import { GuestErrors } from "./guest-errors.ts"
import type { Machine, Machines } from "./machines.ts"
import type { Services } from "./services.ts"

export interface GatewayOptions {
  readonly gateway: Gateway
  readonly machines: Machines
  readonly neighbours: Neighbours
  readonly reassembly: Reassembly
  readonly errors: Errors
  readonly services: Services
  readonly flows: Flows
  readonly now: () => number
  /** The machine's link came up, or went down. */
  readonly onCarrier: (port: Port, up: boolean) => void
}

/** RFC 1812, section 5.3.1, and RFC 8200, section 3: with a hop limit of 1 a packet goes no further than its first router, which is what traceroute asks for. */
const HOPS_SPENT = 1
const IPV4_PARSE_TELLS: Readonly<Record<string, ProblemKind>> = {
  "unknown-option": "unknown-option",
  "unknown-routing": "unknown-routing",
}

export class NetworkGateway implements Station {
  readonly reasons: Counts<string> = new Counts([])
  readonly guestErrors: GuestErrors
  readonly #options: GatewayOptions
  readonly #ethernet = ethernet.view()
  readonly #packet = ip.ipView()
  readonly #echo = new EchoReply()
  readonly #out = new Uint8Array(OUT_SIZE)

  constructor(options: GatewayOptions) {
    this.#options = options
    this.guestErrors = new GuestErrors(options.flows)
  }

  onFrame(port: Port, frame: Frame): void {
    const header = ethernet.parse(
      frame.bytes,
      frame.at,
      frame.at + frame.head,
      frame.at + frame.length,
      this.#ethernet,
    )
    if (typeof header === "string") return this.reasons.add(header)
    const machine = this.#options.machines.at(port)
    if (machine !== undefined) machine.mac = header.source
    if (header.type === ethernet.TYPE_IPV4 || header.type === ethernet.TYPE_IPV6) this.#onIp(port, frame)
    else if (header.type === ethernet.TYPE_ARP) {
      const size = this.#options.neighbours.onArp(frame, port.number, this.#options.now(), this.#out)
      this.#reply(port, size)
    } else this.reasons.add("unknown-ethertype")
  }

  onSettle(_port: Port): void {
    this.#options.flows.settle()
    this.#options.reassembly.settle()
  }

  onRoom(port: Port): void {
    this.#options.flows.onRoom(port)
  }

  onCarrier(port: Port, up: boolean): void {
    this.#options.onCarrier(port, up)
  }

  /** Tells a machine of a problem with a packet of its own, whose beginning is given. */
  tell(port: Port, kind: ProblemKind, packet: Uint8Array, mac: number): void {
    const original = { bytes: packet, at: 0, head: packet.length, mac }
    this.#reply(
      port,
      this.#options.errors.write({ kind }, original, port.number, this.#options.now(), this.#out),
    )
  }

  #onIp(port: Port, frame: Frame): void {
    const { bytes, at } = frame
    const packetAt = at + ethernet.HEADER
    const packet = ip.parse(bytes, packetAt, at + frame.head, at + frame.length, this.#packet)
    if (typeof packet === "string") {
      this.reasons.add(packet)
      const kind = IPV4_PARSE_TELLS[packet]
      if (kind !== undefined) this.#tellOf(port, kind, frame)
      return
    }
    if (packet.version === 4 && !ipv4.checksumOk(bytes, packet)) return this.reasons.add("ip-checksum")
    const unwelcome = screen(this.#options.gateway, bytes, packet)
    // A forward to the guest's own loopback is answered from there.
    const answers = unwelcome === "source-loopback" && this.#options.flows.knows(port, frame, packet)
    if (unwelcome !== undefined && !answers) return this.reasons.add(unwelcome)
    if (unwelcome === undefined) this.#noteSource(port, frame, packet)
    if (!ip.isFragment(packet)) return this.#onPacket(port, frame, packet)
    const whole = this.#options.reassembly.receive(frame, packet, port.number, this.#options.now())
    if (whole !== undefined) this.#onWhole(port, whole)
  }

  /** Remembers who a machine is: one that was here before us asks nobody for an address, and may not ask for ours again. */
  #noteSource(port: Port, frame: Frame, packet: ip.IpView): void {
    const machine = this.#options.machines.at(port)
    const { sourceAt, addressLength } = packet
    if (machine === undefined || !isNews(machine, frame.bytes, packet)) return
    this.#options.neighbours.learn(frame, sourceAt, addressLength, port.number)
  }

  /** A packet that came in fragments. */
  #onWhole(port: Port, frame: Frame): void {
    const { bytes, at } = frame
    const end = at + frame.length
    const packet = ip.parse(bytes, at + ethernet.HEADER, at + frame.head, end, this.#packet)
    if (typeof packet === "string") this.reasons.add(packet)
    else this.#onPacket(port, frame, packet)
  }

  #onPacket(port: Port, frame: Frame, packet: ip.IpView): void {
    const { gateway, services, flows } = this.#options
    const { destinationAt, addressLength } = packet
    if (packet.hopLimit <= HOPS_SPENT && this.#goesBeyond(frame, packet)) {
      this.reasons.add("hops-exceeded")
      return this.#tellOf(port, "hops-exceeded", frame)
    }
    switch (packet.protocol) {
      case ip.PROTOCOL_TCP:
        // RFC 9293, section 3.9.2.3: MUST-57.
        if (isForMany(gateway, frame.bytes, destinationAt, addressLength)) return this.reasons.add("for-many")
        return flows.onTcp(port, frame, packet)
      case ip.PROTOCOL_UDP:
        if (services.onUdp(port, frame, packet)) return
        // What machines tell each other, as in mDNS: the switch has handed it on, and it goes no further. Nobody is refused anything.
        if (isForMany(gateway, frame.bytes, destinationAt, addressLength)) return this.reasons.add("for-many")
        return flows.onUdp(port, frame, packet)
      case ip.PROTOCOL_ICMP:
      case ip.PROTOCOL_ICMPV6:
        return this.#onIcmp(port, frame, packet)
      default:
        this.reasons.add("unknown-protocol")
        this.#tellOf(port, "protocol-unreachable", frame)
    }
  }

  /** Whether a packet is for somebody who is not on this link. */
  #goesBeyond({ bytes }: Frame, { destinationAt, addressLength }: ip.IpView): boolean {
    const { gateway } = this.#options
    return (
      !owns(gateway, bytes, destinationAt, addressLength) &&
      !isForMany(gateway, bytes, destinationAt, addressLength)
    )
  }

  #onIcmp(port: Port, frame: Frame, packet: ip.IpView): void {
    const { gateway, neighbours, flows } = this.#options
    if (packet.payloadAt >= frame.at + frame.head) return this.reasons.add("truncated")
    if (packet.version === 6 && isNdp(u8(frame.bytes, packet.payloadAt))) {
      const now = this.#options.now()
      return this.#reply(port, neighbours.onNdp(frame, packet, port.number, now, this.#out))
    }
    const no = this.#echo.answer(gateway, frame, packet)
    if (no === undefined) flows.sendWhole(port, this.#echo.headers, this.#echo.length, this.#echo.payload)
    else if (no !== "not-for-us") this.reasons.add(`echo-${no}`)
    else if (!this.guestErrors.take(port, frame, packet)) flows.onEcho(port, frame, packet)
  }

  #tellOf(port: Port, kind: ProblemKind, frame: Frame): void {
    const head = frame.bytes.subarray(frame.at + ethernet.HEADER, frame.at + frame.head)
    // The frame's own, which need not be the last that came where it was put together from fragments.
    this.tell(port, kind, head, ethernet.sourceOf(frame.bytes, frame.at))
  }

  #reply(port: Port, size: number): void {
    if (size > 0) port.send(this.#out, 0, size)
  }
}

/** Whether the source is another than that of the machine's last packet of this version; remembers it. */
function isNews(machine: Machine, bytes: Uint8Array, { version, sourceAt }: ip.IpView): boolean {
  if (version === 6) {
    if (same(bytes, sourceAt, machine.source6, 0, 16) || isUnspecified(bytes, sourceAt, 16)) return false
    copy(bytes, sourceAt, 16, machine.source6, 0)
    return true
  }
  const source = u32(bytes, sourceAt)
  if (source === 0 || source === machine.source) return false
  machine.source = source
  return true
}
