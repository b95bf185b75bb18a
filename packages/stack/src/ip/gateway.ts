/**
 * What we are on the network of the machines: one MAC address, some IP addresses, one network of each family.
 *
 * @module
 */

import * as address from "@skep/wire/address"
import { formatPrefix, isLinkLocal, linkLocalOf, type Prefix } from "@skep/wire/address"
import { same } from "@skep/wire/bytes"

export interface GatewayOptions {
  readonly mac: number
  readonly ipv4?: Family
  readonly ipv6?: Family
}

export interface Family {
  readonly prefix: Prefix
  /** Ours, of this network. The first is the one we speak with. */
  readonly addresses: readonly Uint8Array[]
}

export interface Gateway extends GatewayOptions {
  /** The link-local address, with which routers speak. */
  readonly linkLocal: Uint8Array
  /** Every address that is ours. */
  readonly own: readonly Uint8Array[]
  /** That of all machines, where the IPv4 network is large enough to have one. Every packet is compared with it. */
  readonly broadcast: Uint8Array | undefined
}

/** Throws where an address is not of its network: that is a mistake of whoever configures. */
export function gatewayOf(options: GatewayOptions): Gateway {
  const linkLocal = linkLocalOf(options.mac)
  const own = [options.ipv4, options.ipv6].flatMap((family) => family?.addresses ?? [])
  for (const family of [options.ipv4, options.ipv6]) {
    const { prefix, addresses } = family ?? { prefix: undefined, addresses: [] }
    if (prefix === undefined) continue
    if (addresses.length === 0) throw new RangeError(`no address of ours in ${formatPrefix(prefix)}`)
    if (!addresses.every((each) => address.contains(prefix, each))) {
      throw new RangeError(`an address of ours is not in ${formatPrefix(prefix)}`)
    }
  }
  const broadcast = options.ipv4 === undefined ? undefined : address.broadcastOf(options.ipv4.prefix)
  return { ...options, linkLocal, own: options.ipv6 === undefined ? own : [...own, linkLocal], broadcast }
}

/** Whether the address of `length` bytes at `at` is ours. */
export function owns(gateway: Gateway, bytes: Uint8Array, at: number, length: number): boolean {
  for (const each of gateway.own) {
    if (each.length === length && same(each, 0, bytes, at, length)) return true
  }
  return false
}

/** Whether the address could be that of a machine: a neighbour, not a group, not the network itself, and not ours. */
export function isMachine(gateway: Gateway, bytes: Uint8Array, at: number, length: number): boolean {
  if (!isOnLink(gateway, bytes, at, length) || owns(gateway, bytes, at, length)) return false
  return !isNetworkWide(gateway, bytes, at, length)
}

/** Whether the address belongs to the network of the machines, groups not counted. */
export function isOnLink(gateway: Gateway, bytes: Uint8Array, at: number, length: number): boolean {
  if (length === 4) return gateway.ipv4 !== undefined && address.contains(gateway.ipv4.prefix, bytes, at, 4)
  if (gateway.ipv6 === undefined) return false
  return isLinkLocal(bytes, at, 16) || address.contains(gateway.ipv6.prefix, bytes, at, 16)
}

/** Whether more than one listens to the address: multicast, or one of both kinds of broadcast. */
export function isForMany(gateway: Gateway, bytes: Uint8Array, at: number, length: number): boolean {
  if (address.isMulticast(bytes, at, length) || address.isLimitedBroadcast(bytes, at, length)) return true
  return length === 4 && isOnLink(gateway, bytes, at, 4) && isNetworkWide(gateway, bytes, at, 4)
}

/** The address of ours that speaks to `length`-byte addresses. */
export function speaker(gateway: Gateway, length: number): Uint8Array | undefined {
  return (length === 4 ? gateway.ipv4 : gateway.ipv6)?.addresses[0]
}

/** All bits behind the prefix 1, or all 0: broadcast (RFC 919), the network (RFC 1122); in IPv6 the routers' anycast (RFC 4291, section 2.6.1). */
function isNetworkWide(gateway: Gateway, bytes: Uint8Array, at: number, length: number): boolean {
  const family = length === 4 ? gateway.ipv4 : gateway.ipv6
  if (family === undefined || family.prefix.length >= length * 8 - 1) return false
  if (same(family.prefix.address, 0, bytes, at, length)) return true
  return length === 4 && gateway.broadcast !== undefined && same(gateway.broadcast, 0, bytes, at, 4)
}
