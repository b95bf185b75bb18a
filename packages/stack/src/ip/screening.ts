/**
 * Addresses that no packet of a machine may have: RFC 1122 section 3.2.1.3, RFC 4291 section 2.5, RFC 2827 (nobody speaks in another's name).
 *
 * @module
 */
import { isLimitedBroadcast, isLinkLocal, isLoopback, isMulticast, isUnspecified } from "@skep/wire/address"
import type { IpView } from "@skep/wire/ip"
import * as ip from "@skep/wire/ip"
import { type Gateway, isForMany, isMachine, isOnLink, owns } from "./gateway.ts"

export type Unwelcome =
  /** A group or a broadcast address as source. */
  | "source-for-many"
  | "source-loopback"
  /** Ours: a spoof, or a LAND attack. */
  | "source-ours"
  /** No address, where one is needed: see `screen`. */
  | "source-unspecified"
  /** Of another network. */
  | "source-elsewhere"
  /** Link-local, to somewhere beyond the link (RFC 4007, section 9). */
  | "source-scope"
  | "destination-unspecified"
  | "destination-loopback"

/**
 * Says why a packet of a machine is to be dropped, or undefined. Without an address come only what asks for one: DHCP (UDP to 255.255.255.255), and
 * ICMPv6 to a group.
 */
export function screen(gateway: Gateway, bytes: Uint8Array, packet: Readonly<IpView>): Unwelcome | undefined {
  const { sourceAt, destinationAt, addressLength } = packet
  const source = screenSource(gateway, bytes, packet)
  if (source !== undefined) return source
  if (isUnspecified(bytes, destinationAt, addressLength)) return "destination-unspecified"
  if (isLoopback(bytes, destinationAt, addressLength)) return "destination-loopback"
  const isScoped = addressLength === 16 && isLinkLocal(bytes, sourceAt, 16)
  if (!isScoped || isMulticast(bytes, destinationAt, 16) || isOnLink(gateway, bytes, destinationAt, 16))
    return undefined
  return "source-scope"
}

function screenSource(gateway: Gateway, bytes: Uint8Array, packet: Readonly<IpView>): Unwelcome | undefined {
  const { sourceAt, addressLength } = packet
  if (isMachine(gateway, bytes, sourceAt, addressLength)) return undefined
  if (isUnspecified(bytes, sourceAt, addressLength)) {
    return mayBeNameless(bytes, packet) ? undefined : "source-unspecified"
  }
  if (owns(gateway, bytes, sourceAt, addressLength)) return "source-ours"
  if (isLoopback(bytes, sourceAt, addressLength)) return "source-loopback"
  return isForMany(gateway, bytes, sourceAt, addressLength) ? "source-for-many" : "source-elsewhere"
}

function mayBeNameless(bytes: Uint8Array, packet: Readonly<IpView>): boolean {
  const { destinationAt, protocol } = packet
  return packet.version === 4
    ? protocol === ip.PROTOCOL_UDP && isLimitedBroadcast(bytes, destinationAt, 4)
    : protocol === ip.PROTOCOL_ICMPV6 && isMulticast(bytes, destinationAt, 16)
}
