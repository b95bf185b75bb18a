/**
 * IP addresses as text and as 4 or 16 bytes, and prefixes of them. RFC 4291, RFC 4632; text of IPv6 as RFC 5952 wants it.
 *
 * @module
 */
import ipaddr from "ipaddr.js"
import { same, u8 } from "./bytes.ts"

/** A network: every address that begins with the first `length` bits of `address`, of which the others are 0. */
export interface Prefix {
  readonly address: Uint8Array
  readonly length: number
}

/** Reads `192.168.64.1` or `fd00::1`. No zone, no port, no shortened or octal IPv4. */
export function parse(text: string): Uint8Array | "bad-address" {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) {
    return Uint8Array.from(ipaddr.IPv4.parse(text).toByteArray())
  }
  if (text.includes("%") || !ipaddr.IPv6.isValid(text)) return "bad-address"
  return Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray())
}

export function format(address: Uint8Array): string {
  return formatAt(address, 0, address.length)
}

/** The text of the address of `length` bytes that lies at `at`. */
export function formatAt(bytes: Uint8Array, at: number, length: number): string {
  const address = ipaddr.fromByteArray(Array.from(bytes.subarray(at, at + length)))
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString()
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && same(a, 0, b, 0, a.length)
}

/** Reads `192.168.64.0/24` or `fd00::/64`. Bits after the prefix are cleared. */
export function parsePrefix(text: string): Prefix | "bad-prefix" {
  const [addressText = "", lengthText = "", ...more] = text.split("/")
  const address = parse(addressText)
  if (typeof address === "string" || more.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(lengthText)) {
    return "bad-prefix"
  }
  const length = Number(lengthText)
  return length > address.length * 8 ? "bad-prefix" : prefixOf(address, length)
}

export function formatPrefix(prefix: Prefix): string {
  return `${format(prefix.address)}/${prefix.length}`
}

/** The network of `length` bits that an address is in. */
export function prefixOf(address: Uint8Array, length: number): Prefix {
  return { address: address.map((byte, index) => byte & maskByte(length, index)), length }
}

/** The mask of a prefix: `255.255.255.0`. `size` is 4 or 16. */
export function maskOf(length: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => maskByte(length, index))
}

/** Whether the address of `length` bytes at `at` belongs to the network. An address of the other family does not. */
export function contains(prefix: Prefix, bytes: Uint8Array, at = 0, length: number = bytes.length): boolean {
  if (length !== prefix.address.length) return false
  for (let index = 0; index * 8 < prefix.length; index++) {
    if ((u8(bytes, at + index) & maskByte(prefix.length, index)) !== u8(prefix.address, index)) return false
  }
  return true
}

export function overlaps(a: Prefix, b: Prefix): boolean {
  return a.length <= b.length ? contains(a, b.address) : contains(b, a.address)
}

/** The address `index` places after the first of the network; -1 is the last one. undefined where the network is smaller than that. */
export function nth(prefix: Prefix, index: number): Uint8Array | undefined {
  const size = 1n << BigInt(prefix.address.length * 8 - prefix.length)
  const place = index < 0 ? size + BigInt(index) : BigInt(index)
  return place < 0n || place >= size ? undefined : plus(prefix.address, place)
}

/** How far an address lies behind the first of its network: what `nth` undoes. */
export function indexIn(prefix: Prefix, address: Uint8Array): bigint {
  return toInteger(address) - toInteger(prefix.address)
}

/** The last address of an IPv4 network, which all of its hosts listen to (RFC 919); none in networks of one or two addresses (RFC 3021). */
export function broadcastOf(prefix: Prefix): Uint8Array | undefined {
  return prefix.address.length === 4 && prefix.length < 31 ? nth(prefix, -1) : undefined
}

/** 0.0.0.0 or ::. */
export function isUnspecified(bytes: Uint8Array, at: number, length: number): boolean {
  for (let index = 0; index < length; index++) if (u8(bytes, at + index) !== 0) return false
  return true
}

/** 127.0.0.0/8 or ::1. */
export function isLoopback(bytes: Uint8Array, at: number, length: number): boolean {
  if (length === 4) return u8(bytes, at) === 127
  return u8(bytes, at + 15) === 1 && isUnspecified(bytes, at, 15)
}

/** 224.0.0.0/4 or ff00::/8. */
export function isMulticast(bytes: Uint8Array, at: number, length: number): boolean {
  return length === 4 ? u8(bytes, at) >> 4 === 0xe : u8(bytes, at) === 0xff
}

/** 169.254.0.0/16 or fe80::/10. */
export function isLinkLocal(bytes: Uint8Array, at: number, length: number): boolean {
  if (length === 4) return u8(bytes, at) === 169 && u8(bytes, at + 1) === 254
  return u8(bytes, at) === 0xfe && (u8(bytes, at + 1) & 0xc0) === 0x80
}

/** 255.255.255.255. */
export function isLimitedBroadcast(bytes: Uint8Array, at: number, length: number): boolean {
  return length === 4 && (u8(bytes, at) & u8(bytes, at + 1) & u8(bytes, at + 2) & u8(bytes, at + 3)) === 0xff
}

/** The IPv4 address within ::ffff:0:0/96, or undefined. */
export function unmapped(address: Uint8Array): Uint8Array | undefined {
  return contains(MAPPED, address) ? address.slice(12) : undefined
}

/** The group that whoever has this IPv6 address listens to (RFC 4291, section 2.7.1): ff02::1:ff00:0/104 and its last three bytes. */
export function solicitedNode(bytes: Uint8Array, at: number): Uint8Array {
  const group = Uint8Array.from(SOLICITED_NODE)
  group.set(bytes.subarray(at + 13, at + 16), 13)
  return group
}

/** The link-local address that belongs to a MAC address: RFC 4291, appendix A. */
export function linkLocalOf(mac: number): Uint8Array {
  const company = Math.floor(mac / 0x100_0000)
  const serial = mac % 0x100_0000
  const bytes = [company >>> 16, company >>> 8, company, 0xff, 0xfe, serial >>> 16, serial >>> 8, serial]
  // The universal/local bit is inverted.
  return Uint8Array.from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, ...bytes].map((b, i) => (i === 8 ? b ^ 2 : b)))
}

const MAPPED: Prefix = { address: Uint8Array.from([...zeros(10), 0xff, 0xff, ...zeros(4)]), length: 96 }
const SOLICITED_NODE = [0xff, 0x02, ...zeros(9), 1, 0xff, 0, 0, 0]

function zeros(count: number): number[] {
  return Array.from({ length: count }, () => 0)
}

function maskByte(length: number, index: number): number {
  const bits = Math.min(8, Math.max(0, length - index * 8))
  return (0xff00 >> bits) & 0xff
}

function toInteger(address: Uint8Array): bigint {
  return address.reduce((value, byte) => value * 256n + BigInt(byte), 0n)
}

function plus(address: Uint8Array, count: bigint): Uint8Array {
  const sum = new Uint8Array(address.length)
  let left = toInteger(address) + count
  for (let index = sum.length - 1; index >= 0; index--) {
    sum[index] = Number(left & 0xffn)
    left >>= 8n
  }
  return sum
}
