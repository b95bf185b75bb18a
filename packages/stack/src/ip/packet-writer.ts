/**
 * Whole frames from the gateway, for what it says itself: ARP, Neighbor Discovery, errors.
 *
 * Each function writes from the first byte of `out` on, which has at least `OUT_SIZE` bytes, and returns the size of the frame.
 *
 * @module
 */
import * as arp from "@skep/wire/arp"
import { sum } from "@skep/wire/checksum"
import * as ethernet from "@skep/wire/ethernet"
import * as icmp from "@skep/wire/icmp"
import * as ip from "@skep/wire/ip"
import * as transport from "@skep/wire/transport"

/** No frame that is written here is longer. */
export const OUT_SIZE = 640

/** Who says something to whom. */
export interface Envelope {
  readonly fromMac: number
  readonly toMac: number
  readonly source: Uint8Array
  readonly destination: Uint8Array
  readonly hopLimit: number
}

/** Where the payload goes, before `sealIcmp`. */
export function payloadAt(addressLength: number): number {
  return ethernet.HEADER + ip.headerSize(addressLength)
}

/** Puts the headers before an ICMP or ICMPv6 message of `length` bytes that is at `payloadAt`, and its checksum into it. */
export function sealIcmp(out: Uint8Array, envelope: Envelope, length: number): number {
  const { source, destination, hopLimit } = envelope
  const isIpv4 = source.length === 4
  ethernet.emit(out, 0, envelope.toMac, envelope.fromMac, isIpv4 ? ethernet.TYPE_IPV4 : ethernet.TYPE_IPV6)
  const at =
    ethernet.HEADER +
    ip.emit(out, ethernet.HEADER, {
      source,
      destination,
      protocol: isIpv4 ? ip.PROTOCOL_ICMP : ip.PROTOCOL_ICMPV6,
      payloadLength: length,
      hopLimit,
    })
  if (isIpv4) icmp.finish(out, at, sum(out, at + icmp.HEADER, at + length))
  else transport.finish(out, ethernet.HEADER, at + length, 0)
  return at + length
}

export function writeArp(out: Uint8Array, toMac: number, fields: arp.Fields): number {
  ethernet.emit(out, 0, toMac, fields.senderMac, ethernet.TYPE_ARP)
  arp.emit(out, ethernet.HEADER, fields)
  return ethernet.HEADER + arp.SIZE
}
