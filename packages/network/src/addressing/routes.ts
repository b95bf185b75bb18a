/**
 * The host's routes, as Linux shows them: proc(5), /proc/net/route and /proc/net/ipv6_route.
 *
 * ```
 *  route        Iface Destination Gateway Flags RefCnt Use Metric Mask …      u32 as the processor keeps them, in hexadecimal
 *  ipv6_route   destination bits source bits next-hop metric references use flags Iface      in hexadecimal, in network order
 * ```
 *
 * @module
 */
import * as address from "@skep/wire/address"
import { parseSubnet } from "./subnet.ts"

export interface Route {
  readonly subnet: address.Prefix
  readonly interface: string
}

const UP = 0x1
const REJECT = 0x200
const BITS_4 = 32
const BITS_6 = 128

/** The routes of /proc/net/route that lead somewhere. Lines that are none are passed over. */
export function parseRoutes4(text: string, littleEndian = true): readonly Route[] {
  return text.split("\n").flatMap((line) => {
    const [name, destination, , flags, , , , mask] = line.split("\t")
    const bytes = wordOf(destination, littleEndian)
    const maskBytes = wordOf(mask, littleEndian)
    if (name === undefined || bytes === undefined || maskBytes === undefined || !leads(flags)) return []
    return [{ interface: name, subnet: { address: bytes, length: prefixOf(maskBytes) } }]
  })
}

/** The same of /proc/net/ipv6_route. */
export function parseRoutes6(text: string): readonly Route[] {
  return text.split("\n").flatMap((line) => {
    const [destination, bits, , , , , , , flags, name] = line.trim().split(/\s+/)
    const bytes = bytesOf(destination, BITS_6 / 8)
    if (name === undefined || bytes === undefined || !leads(flags)) return []
    const length = Number.parseInt(bits ?? "", 16)
    return length >= 0 && length <= BITS_6 ? [{ interface: name, subnet: { address: bytes, length } }] : []
  })
}

/**
 * The route that leads to addresses of `subnet` already: guests would not reach what is there. Default routes lead everywhere and do not
 * count, nor do those through `ours`, which lead to guests.
 */
export function routeInTheWay(
  routes: readonly Route[],
  subnet: address.Prefix,
  ours: readonly string[] = [],
): Route | undefined {
  return routes.find(
    (route) =>
      route.subnet.length > 0 && !ours.includes(route.interface) && address.overlaps(route.subnet, subnet),
  )
}

/** The first /24 of private addresses that no route leads to, from 192.168.64.0 on; undefined where there is none. */
export function freeSubnet(routes: readonly Route[], ours: readonly string[] = []): string | undefined {
  for (const candidate of candidates()) {
    const subnet = parseSubnet(candidate)
    if (subnet !== undefined && routeInTheWay(routes, subnet, ours) === undefined) return candidate
  }
  return undefined
}

/** `10.0.0.0/8 by wg0` */
export function describeRoute(route: Route): string {
  return `${address.formatPrefix(route.subnet)} by ${route.interface}`
}

function* candidates(): Generator<string> {
  for (let third = 64; third < 128; third++) yield `192.168.${third}.0/24`
  for (let second = 64; second < 128; second++) yield `10.${second}.64.0/24`
  for (let second = 16; second < 32; second++) yield `172.${second}.64.0/24`
}

function leads(flags: string | undefined): boolean {
  const value = Number.parseInt(flags ?? "", 16)
  return (value & UP) !== 0 && (value & REJECT) === 0
}

function prefixOf(mask: Uint8Array): number {
  const bits = [...mask].map((byte) => byte.toString(2).padStart(8, "0")).join("")
  const end = bits.indexOf("0")
  return end < 0 ? BITS_4 : end
}

function wordOf(hex: string | undefined, littleEndian: boolean): Uint8Array | undefined {
  const bytes = bytesOf(hex, BITS_4 / 8)
  return littleEndian ? bytes?.reverse() : bytes
}

function bytesOf(hex: string | undefined, length: number): Uint8Array | undefined {
  if (hex === undefined || hex.length !== 2 * length || !/^[0-9a-fA-F]+$/.test(hex)) return undefined
  return Uint8Array.from(Buffer.from(hex, "hex"))
}
