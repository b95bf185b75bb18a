/**
 * What no machine may say to another, since it would deceive it: that it has the gateway's address or that of another machine (ARP, Neighbor
 * Discovery), that it is a router (RFC 6105), that it gives out addresses (RFC 7610), or anything in the gateway's name.
 *
 * What cannot be read far enough to be judged is not let through where it could matter (RFC 7113, section 2.1): Neighbor Discovery in fragments (RFC
 * 6980), a chain of headers longer than what is at hand. VLAN tags are looked behind: a tag that only sets a priority is nothing to a kernel.
 *
 * @module
 */
import type { Frame } from "@skep/link"
import * as arp from "@skep/wire/arp"
import { u8, u16, u48 } from "@skep/wire/bytes"
import * as ethernet from "@skep/wire/ethernet"
import * as icmp from "@skep/wire/icmp"
import * as ip from "@skep/wire/ip"
import * as ndp from "@skep/wire/ndp"
import { Counts } from "./counts.ts"
import { type Gateway, isMachine, owns } from "./gateway.ts"
import { isNdp, judgeNdp, type NdpRefusal, ndpVerdict } from "./ndp-responder.ts"

export type Deceit =
  /** An address of the gateway: said to be the machine's, or the source of a packet. */
  | "claims-gateway"
  /** An address that is another machine's. */
  | "claims-neighbour"
  /** It speaks of another station than it comes from. */
  | "other-station"
  /** A router's advertisement, or a redirect. */
  | "router"
  /** What only a DHCP server says. */
  | "dhcp-server"
  | "malformed"
  /** It may hide something: see above. */
  | "hidden"

const DECEITS: readonly Deceit[] = [
  "claims-gateway",
  "claims-neighbour",
  "other-station",
  "router",
  "dhcp-server",
  "malformed",
  "hidden",
]

const SOURCE_MAC = 6
const TYPE = 12
const TAG = 4
const TAGS_MAX = 4
const TYPE_VLAN = 0x8100
const TYPE_SERVICE_VLAN = 0x88a8
/** Clients of DHCP and DHCPv6 listen there. */
const DHCP_CLIENT = 68
const DHCPV6_CLIENT = 546
const PORTS = 4

export interface GuardOptions {
  /** Whether a machine may have the address of `length` bytes at `at`. */
  readonly mayHave: (machine: number, bytes: Uint8Array, at: number, length: number) => boolean
}

export class Guard {
  readonly counts: Counts<Deceit> = new Counts(DECEITS)
  readonly #gateway: Gateway
  readonly #options: GuardOptions
  readonly #arp = arp.view()
  readonly #packet = ip.ipView()
  readonly #ndp = ndpVerdict()

  constructor(gateway: Gateway, options: GuardOptions) {
    this.#gateway = gateway
    this.#options = options
  }

  /** Whether other machines may have this frame of a machine. */
  passes(frame: Frame, machine: number): boolean {
    const deceit = this.#judge(frame, machine)
    if (deceit === undefined) return true
    this.counts.add(deceit)
    return false
  }

  #judge(frame: Frame, machine: number): Deceit | undefined {
    const { bytes, at } = frame
    const head = at + frame.head
    let typeAt = at + TYPE
    for (let tags = 0; isTag(bytes, typeAt, head); tags++) {
      if (tags === TAGS_MAX) return "hidden"
      typeAt += TAG
    }
    if (typeAt + 2 > head) return "malformed"
    const type = u16(bytes, typeAt)
    if (type === ethernet.TYPE_ARP) return this.#judgeArp(frame, machine, typeAt + 2)
    if (type !== ethernet.TYPE_IPV4 && type !== ethernet.TYPE_IPV6) return undefined
    return this.#judgeIp(frame, machine, typeAt + 2)
  }

  #judgeArp(frame: Frame, machine: number, packetAt: number): Deceit | undefined {
    const { bytes, at } = frame
    const packet = arp.parse(bytes, packetAt, at + frame.head, at + frame.length, this.#arp)
    if (typeof packet === "string") return "malformed"
    if (packet.senderMac !== u48(bytes, at + SOURCE_MAC)) return "other-station"
    return this.#judgeClaim(bytes, packet.senderAt, 4, machine)
  }

  #judgeClaim(bytes: Uint8Array, at: number, length: number, machine: number): Deceit | undefined {
    if (owns(this.#gateway, bytes, at, length)) return "claims-gateway"
    if (!isMachine(this.#gateway, bytes, at, length)) return undefined
    return this.#options.mayHave(machine, bytes, at, length) ? undefined : "claims-neighbour"
  }

  #judgeIp(frame: Frame, machine: number, packetAt: number): Deceit | undefined {
    const { bytes, at } = frame
    const packet = ip.parse(bytes, packetAt, at + frame.head, at + frame.length, this.#packet)
    if (typeof packet === "string") return this.#judgeUnread(bytes, packet)
    if (owns(this.#gateway, bytes, packet.sourceAt, packet.addressLength)) return "claims-gateway"
    if (packet.fragmentOffset > 0) return undefined
    const head = Math.min(at + frame.head, packet.payloadEnd)
    if (packet.protocol === ip.PROTOCOL_UDP) return judgeUdp(bytes, packet, head)
    if (packet.protocol !== ip.PROTOCOL_ICMPV6 || packet.version === 4) return undefined
    if (packet.payloadAt + icmp.HEADER > head) return "hidden"
    if (!isNdp(u8(bytes, packet.payloadAt))) return undefined
    if (ip.isFragment(packet)) return "hidden"
    return this.#judgeNdp(frame, machine)
  }

  /** Its receiver would drop it too, but for what we know nothing of; that can be no Neighbor Discovery where it may have crossed a router. */
  #judgeUnread(bytes: Uint8Array, why: ip.Malformed): Deceit | undefined {
    if (why !== "unknown-option" && why !== "unknown-routing") return "malformed"
    const { headerAt } = this.#packet
    return owns(this.#gateway, bytes, this.#packet.sourceAt, 16) ||
      u8(bytes, headerAt + HOP_LIMIT_AT) === ndp.HOP_LIMIT
      ? "hidden"
      : undefined
  }

  #judgeNdp(frame: Frame, machine: number): Deceit | undefined {
    const { bytes, at } = frame
    const station = u48(bytes, at + SOURCE_MAC)
    const { refusal, learnAt } = judgeNdp(this.#gateway, frame, this.#packet, station, this.#ndp)
    if (refusal !== undefined) return deceitOf(refusal)
    return learnAt === -1 ? undefined : this.#judgeClaim(bytes, learnAt, 16, machine)
  }
}

const HOP_LIMIT_AT = 7

function isTag(bytes: Uint8Array, typeAt: number, head: number): boolean {
  if (typeAt + TAG > head) return false
  const type = u16(bytes, typeAt)
  return type === TYPE_VLAN || type === TYPE_SERVICE_VLAN
}

function judgeUdp(bytes: Uint8Array, packet: Readonly<ip.IpView>, head: number): Deceit | undefined {
  if (packet.payloadAt + PORTS > head) return "hidden"
  const client = packet.version === 4 ? DHCP_CLIENT : DHCPV6_CLIENT
  return u16(bytes, packet.payloadAt + 2) === client ? "dhcp-server" : undefined
}

/** What its receiver would drop as well, or does no harm in a network of the machines' own, is let through. */
function deceitOf(refusal: NdpRefusal): Deceit | undefined {
  switch (refusal) {
    case "ndp-hop-limit":
    case "ndp-bad-sender":
      return undefined
    case "ndp-rogue-router":
      return "router"
    case "ndp-claims-ours":
      return "claims-gateway"
    case "ndp-other-station":
      return "other-station"
    case "ndp-truncated":
    case "ndp-bad-type":
    case "ndp-bad-code":
    case "ndp-bad-target":
    case "ndp-bad-option":
    case "ndp-checksum":
      return "malformed"
  }
}
