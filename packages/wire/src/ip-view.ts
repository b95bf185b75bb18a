/**
 * What a received IP packet says, in one form for both versions: RFC 791, RFC 8200.
 *
 * @module
 */
import { formatAt } from "./address.ts"

export const PROTOCOL_ICMP = 1
export const PROTOCOL_TCP = 6
export const PROTOCOL_UDP = 17
export const PROTOCOL_ICMPV6 = 58

/** Filled by `parse` and valid until it is filled again. Each `…At` and `…End` is an offset in the bytes that were parsed. */
export interface IpView {
  version: 4 | 6
  headerAt: number
  /** The destination follows the source at once, in both versions. */
  sourceAt: number
  destinationAt: number
  /** Bytes of each address. */
  addressLength: 4 | 16
  /** That of the payload, behind all extension headers. */
  protocol: number
  /** Where the packet says so: what an ICMPv6 Parameter Problem points at. */
  protocolAt: number
  payloadAt: number
  /** By the packet's own length; what follows in the frame is padding. */
  payloadEnd: number
  hopLimit: number
  trafficClass: number
  /** 16 bits in IPv4; 32 in IPv6, and 0 without a fragment header. */
  identification: number
  /** Bytes of the original payload before this one. */
  fragmentOffset: number
  moreFragments: boolean
  /** As in IPv6 always. */
  dontFragment: boolean
  /** The fragment header of IPv6, or -1. */
  fragmentHeaderAt: number
  /** After "unknown-option" and "unknown-routing": where the cause lies, or -1 where the sender is not to be told. */
  problemAt: number
}

/** What to write. Addresses are 4 bytes each or 16 each. */
export interface IpFields {
  readonly source: Uint8Array
  readonly destination: Uint8Array
  readonly protocol: number
  readonly payloadLength: number
  readonly hopLimit: number
  readonly trafficClass?: number
  /** Of IPv4; IPv6 has one only in fragments. */
  readonly identification?: number
  readonly dontFragment?: boolean
  /** Bytes, a multiple of 8. IPv4 only: IPv6 puts it into an extension header. */
  readonly fragmentOffset?: number
  readonly moreFragments?: boolean
}

export type Malformed =
  | "truncated"
  | "bad-version"
  | "bad-header-length"
  /** The packet says that it is longer than the frame, or shorter than its own header. */
  | "bad-length"
  /** A fragment that ends beyond the longest packet, or one before the last whose length is no multiple of 8. */
  | "bad-fragment"
  /** An option that does not end within its header. */
  | "bad-option"
  /** IPv4 source routing: RFC 7126 has it dropped. */
  | "source-route"
  /** IPv6: an option that must be understood, and is not (RFC 8200, section 4.2). */
  | "unknown-option"
  /** IPv6: a routing header that wants the packet sent on (RFC 8200, section 4.4). */
  | "unknown-routing"
  /** IPv6: hop-by-hop options that do not come first, or more extension headers than anybody needs. */
  | "bad-extension"

export function ipView(): IpView {
  return {
    version: 4,
    headerAt: 0,
    sourceAt: 0,
    destinationAt: 0,
    addressLength: 4,
    protocol: 0,
    protocolAt: 0,
    payloadAt: 0,
    payloadEnd: 0,
    hopLimit: 0,
    trafficClass: 0,
    identification: 0,
    fragmentOffset: 0,
    moreFragments: false,
    dontFragment: false,
    fragmentHeaderAt: -1,
    problemAt: -1,
  }
}

/** Whether it is a part of a packet. An IPv6 packet in one "fragment" is whole (RFC 6946). */
export function isFragment(packet: Readonly<IpView>): boolean {
  return packet.moreFragments || packet.fragmentOffset > 0
}

const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  [PROTOCOL_ICMP]: "icmp",
  [PROTOCOL_TCP]: "tcp",
  [PROTOCOL_UDP]: "udp",
  [PROTOCOL_ICMPV6]: "icmpv6",
}

/** One line: `192.168.64.2 > 192.168.64.1 udp, len 13, ttl 64, id 4660`. */
export function pretty(bytes: Uint8Array, packet: Readonly<IpView>): string {
  const source = formatAt(bytes, packet.sourceAt, packet.addressLength)
  const destination = formatAt(bytes, packet.destinationAt, packet.addressLength)
  const protocol = PROTOCOL_NAMES[packet.protocol] ?? `protocol ${packet.protocol}`
  const length = packet.payloadEnd - packet.payloadAt
  const part = `${packet.fragmentOffset}${packet.moreFragments ? "+" : ""}`
  const fragment = isFragment(packet) ? `, fragment ${part} of id ${packet.identification}` : ""
  return `${source} > ${destination} ${protocol}, len ${length}, ttl ${packet.hopLimit}${fragment}`
}
