/**
 * The checksum that UDP, TCP and ICMPv6 have in common: over a pseudo-header of the IP addresses, their own header and the payload.
 * RFC 768, RFC 9293 section 3.1, RFC 4443 section 2.3, RFC 8200 section 8.1.
 *
 * To be used behind a header that `ip.emit` wrote, which says the rest.
 *
 * @module
 */
import { putU16, u8, u16 } from "./bytes.ts"
import { append, finish as invert, pseudo, sum } from "./checksum/sum.ts"
import { type IpView, PROTOCOL_ICMPV6, PROTOCOL_TCP, PROTOCOL_UDP } from "./ip-view.ts"
import * as ipv4 from "./ipv4.ts"
import * as ipv6 from "./ipv6.ts"

const IPV4_LENGTH = 2
const IPV4_PROTOCOL = 9
const IPV6_LENGTH = 4
const IPV6_NEXT = 6

/** Where in its header a transport has its checksum, or -1 where it has none of this kind. */
export function checksumOffset(protocol: number): number {
  switch (protocol) {
    case PROTOCOL_TCP:
      return 16
    case PROTOCOL_UDP:
      return 6
    case PROTOCOL_ICMPV6:
      return 2
    default:
      return -1
  }
}

/**
 * Puts the checksum into the transport header behind the IP header at `ipAt`. `headerEnd` is where the payload begins, of which only the sum is
 * needed.
 */
export function finish(bytes: Uint8Array, ipAt: number, headerEnd: number, payloadSum: number): void {
  const at = transportAt(bytes, ipAt)
  const protocol = protocolOf(bytes, ipAt)
  const field = at + checksumOffset(protocol)
  putU16(bytes, field, 0)
  const headers = sum(bytes, at, headerEnd, pseudoOf(bytes, ipAt))
  const checksum = invert(append(headers, payloadSum, headerEnd - at))
  // RFC 768: a UDP checksum of 0 says that there is none.
  putU16(bytes, field, checksum === 0 && protocol === PROTOCOL_UDP ? 0xffff : checksum)
}

/** Puts the sum of the pseudo-header only, for a receiver that finishes the checksum (virtio's NEEDS_CSUM, Linux's CHECKSUM_PARTIAL). */
export function begin(bytes: Uint8Array, ipAt: number): void {
  const field = transportAt(bytes, ipAt) + checksumOffset(protocolOf(bytes, ipAt))
  putU16(bytes, field, pseudoOf(bytes, ipAt))
}

/**
 * Whether the checksum of a received packet is right; `payloadSum` is the sum of all that lies behind the IP header, transport header included. A
 * UDP datagram over IPv4 may have none.
 */
export function checksumOk(bytes: Uint8Array, packet: Readonly<IpView>, payloadSum: number): boolean {
  if (packet.protocol === PROTOCOL_UDP && packet.version === 4 && u16(bytes, packet.payloadAt + 6) === 0) {
    return true
  }
  const { sourceAt, addressLength, protocol, payloadAt, payloadEnd } = packet
  return (
    append(payloadSum, pseudo(bytes, sourceAt, addressLength, protocol, payloadEnd - payloadAt), 0) === 0xffff
  )
}

function isIpv4(bytes: Uint8Array, ipAt: number): boolean {
  return u8(bytes, ipAt) >> 4 === 4
}

function transportAt(bytes: Uint8Array, ipAt: number): number {
  return ipAt + (isIpv4(bytes, ipAt) ? ipv4.HEADER : ipv6.HEADER)
}

function protocolOf(bytes: Uint8Array, ipAt: number): number {
  return u8(bytes, ipAt + (isIpv4(bytes, ipAt) ? IPV4_PROTOCOL : IPV6_NEXT))
}

function pseudoOf(bytes: Uint8Array, ipAt: number): number {
  const protocol = protocolOf(bytes, ipAt)
  return isIpv4(bytes, ipAt)
    ? pseudo(bytes, ipAt + ipv4.SOURCE, 4, protocol, u16(bytes, ipAt + IPV4_LENGTH) - ipv4.HEADER)
    : pseudo(bytes, ipAt + ipv6.SOURCE, 16, protocol, u16(bytes, ipAt + IPV6_LENGTH))
}
