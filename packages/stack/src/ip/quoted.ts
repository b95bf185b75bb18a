/**
 * What a machine tells us by an ICMP or ICMPv6 error about a packet that we sent: RFC 1122 section 3.2.2, RFC 1191, RFC 8201, RFC 4443.
 *
 * @module
 */
import { u16, u32 } from "@skep/wire/bytes"
import * as icmp from "@skep/wire/icmp"
import * as icmpv6 from "@skep/wire/icmpv6"
import * as ip from "@skep/wire/ip"

/** What went wrong. "other" is to be passed over. */
export type Told = "unreachable" | "port-unreachable" | "too-big" | "other"

/** The packet is a view into the bytes of the error, of which it is a part; its end may not be there. */
export interface Quoted {
  told: Told
  /** What the next link takes, of "too-big"; 0 where the machine does not say. */
  mtu: number
  readonly packet: ip.IpView
  /** Of UDP and TCP, whose ports are in the first four bytes. */
  sourcePort: number
  destinationPort: number
  /** Of TCP: whether it is of a segment that was sent (RFC 5927, section 4). */
  sequence: number
}

export type Unquoted = "not-an-error" | "quote-truncated" | `quote-${ip.Malformed}`

/** Longer than any packet says it is. */
const LENGTH_MAX = 0x2_0000
/** The part that routers have to quote (RFC 792). */
const QUOTE_MIN = 8

export function quoted(): Quoted {
  return {
    told: "other",
    mtu: 0,
    packet: ip.ipView(),
    sourcePort: 0,
    destinationPort: 0,
    sequence: 0,
  }
}

/** Reads the error `message`, which `icmp.parse` read, of this IP version. Bytes up to `head` can be read. */
export function parseQuoted(
  bytes: Uint8Array,
  message: Readonly<icmp.View>,
  version: 4 | 6,
  head: number,
  into: Quoted,
): Quoted | Unquoted {
  const isError = version === 4 ? icmp.isError(message.type) : icmpv6.isError(message.type)
  if (!isError) return "not-an-error"
  const limit = Math.min(head, message.payloadEnd)
  const { packet } = into
  const read = ip.parse(bytes, message.payloadAt, limit, message.payloadAt + LENGTH_MAX, packet)
  if (typeof read === "string") return read === "truncated" ? "quote-truncated" : `quote-${read}`
  if (limit - packet.payloadAt < QUOTE_MIN || packet.version !== version) return "quote-truncated"
  into.sourcePort = u16(bytes, packet.payloadAt)
  into.destinationPort = u16(bytes, packet.payloadAt + 2)
  into.sequence = u32(bytes, packet.payloadAt + 4)
  into.told = version === 4 ? toldByIcmp(message) : toldByIcmpv6(message)
  into.mtu = into.told === "too-big" ? (version === 4 ? message.rest & 0xffff : message.rest) : 0
  return into
}

function toldByIcmp(message: Readonly<icmp.View>): Told {
  if (message.type !== icmp.UNREACHABLE) return "other"
  if (message.code === icmp.FRAGMENTATION_NEEDED) return "too-big"
  return message.code === icmp.PORT_UNREACHABLE ? "port-unreachable" : "unreachable"
}

function toldByIcmpv6(message: Readonly<icmp.View>): Told {
  if (message.type === icmpv6.PACKET_TOO_BIG) return "too-big"
  if (message.type !== icmpv6.UNREACHABLE) return "other"
  return message.code === icmpv6.PORT_UNREACHABLE ? "port-unreachable" : "unreachable"
}
