/**
 * Values as lease files write them, from bytes: addresses, octets, numbers, names. Each is undefined where it is not what it should be; none throws.
 *
 * @module
 */
import * as address from "@skep/wire/address"
import { u8 } from "@skep/wire/bytes"
import type { Network, Octets } from "../model.ts"

const DOT = 0x2e
const COLON = 0x3a
const ZERO = 0x30
const DIGITS = Buffer.from("0123456789abcdef", "latin1")
const NOT_HEX = 16
/** What an option of DHCP can have, twice over. */
const OCTETS_MAX = 512
const scratch = Buffer.alloc(OCTETS_MAX * 3)

/** A dotted quad without leading zeros. */
export function ipv4(bytes: Buffer, at: number, end: number): string | undefined {
  if (end - at < 7 || end - at > 15) return undefined
  let dots = 0
  let value = 0
  let digits = 0
  for (let place = at; place < end; place++) {
    const byte = u8(bytes, place)
    if (byte === DOT) {
      if (digits === 0) return undefined
      dots++
      digits = 0
      value = 0
      continue
    }
    const digit = byte - ZERO
    if (digit < 0 || digit > 9 || (digits > 0 && value === 0)) return undefined
    value = value * 10 + digit
    digits++
    if (value > 255) return undefined
  }
  return dots === 3 && digits > 0 ? bytes.toString("latin1", at, end) : undefined
}

/** IPv4 or IPv6, as `Lease.address` wants it. */
export function ip(bytes: Buffer, at: number, end: number): string | undefined {
  const quad = ipv4(bytes, at, end)
  if (quad !== undefined || end - at > 45) return quad
  const parsed = address.parse(bytes.toString("latin1", at, end))
  return typeof parsed === "string" || parsed.length !== 16 ? undefined : address.format(parsed)
}

export function isIpv6(text: string): boolean {
  return text.includes(":")
}

/** The network of this many bits that a server with this address is in. */
export function networkOf(server: string, length: number): Network | undefined {
  const bytes = address.parse(server)
  if (typeof bytes === "string" || !Number.isInteger(length) || length < 0 || length > 32) return undefined
  return {
    address: address.format(address.prefixOf(bytes, length).address),
    mask: address.format(address.maskOf(length, 4)),
    server,
  }
}

/** Bytes in hexadecimal, one or two digits each, between colons. At least one. */
export function octets(bytes: Uint8Array, at: number, end: number): Octets | undefined {
  return octetsBehind(0, bytes, at, end)
}

/** The same behind a first byte, which is not among them. */
export function typedOctets(type: number, bytes: Uint8Array, at: number, end: number): Octets | undefined {
  put(0, type)
  return octetsBehind(1, bytes, at, end)
}

/** The same behind those that are in the scratch memory. */
function octetsBehind(count: number, bytes: Uint8Array, at: number, end: number): Octets | undefined {
  let place = at
  for (let index = count; place < end && index < OCTETS_MAX; index++) {
    let value = hex(u8(bytes, place++))
    if (value === NOT_HEX) return undefined
    if (place < end && u8(bytes, place) !== COLON) {
      const low = hex(u8(bytes, place++))
      if (low === NOT_HEX) return undefined
      value = value * 16 + low
    }
    put(index, value)
    if (place === end) return scratch.toString("latin1", 0, index * 3 + 2)
    if (u8(bytes, place++) !== COLON) return undefined
  }
  return undefined
}

function put(index: number, byte: number): void {
  scratch[index * 3] = u8(DIGITS, byte >> 4)
  scratch[index * 3 + 1] = u8(DIGITS, byte & 15)
  scratch[index * 3 + 2] = COLON
}

/** Octets of bytes, or of the numbers of a list in JSON. */
export function octetsFrom(values: ArrayLike<number>): Octets | undefined {
  const { length } = values
  if (length === 0 || length > OCTETS_MAX) return undefined
  for (let index = 0; index < length; index++) {
    const value = values[index] ?? -1
    if (!Number.isInteger(value) || value < 0 || value > 255) return undefined
    put(index, value)
  }
  return scratch.toString("latin1", 0, length * 3 - 1)
}

/** A number in decimal. Infinity where it is beyond what counts. */
export function decimal(bytes: Uint8Array, at: number, end: number): number | undefined {
  if (at >= end) return undefined
  let value = 0
  for (let place = at; place < end; place++) {
    const digit = u8(bytes, place) - ZERO
    if (digit < 0 || digit > 9) return undefined
    value = value * 10 + digit
  }
  return value > Number.MAX_SAFE_INTEGER ? Number.POSITIVE_INFINITY : value
}

/** A number in hexadecimal, without a prefix. */
export function hexadecimal(bytes: Uint8Array, at: number, end: number): number | undefined {
  if (at >= end) return undefined
  let value = 0
  for (let place = at; place < end; place++) {
    const digit = hex(u8(bytes, place))
    if (digit === NOT_HEX) return undefined
    value = value * 16 + digit
  }
  return value > Number.MAX_SAFE_INTEGER ? Number.POSITIVE_INFINITY : value
}

/** Seconds of the epoch as milliseconds; what no clock will ever say is never. */
export function millisecondsOf(seconds: number): number {
  return seconds >= END_OF_TIME ? Number.POSITIVE_INFINITY : seconds * 1000
}

/** The last second that a Date can say. */
const END_OF_TIME = 8.64e12

/** Text in UTF-8; what is no UTF-8 becomes U+FFFD. */
export function text(bytes: Buffer, at: number, end: number): string {
  for (let place = at; place < end; place++) {
    if (u8(bytes, place) > 0x7f) return bytes.toString("utf8", at, end)
  }
  return bytes.toString("latin1", at, end)
}

/** Whether the bytes at `at` are this text, which has to be of ASCII. */
export function begins(bytes: Uint8Array, at: number, end: number, word: string): boolean {
  if (end - at < word.length) return false
  for (let index = 0; index < word.length; index++) {
    if (u8(bytes, at + index) !== word.charCodeAt(index)) return false
  }
  return true
}

/** Whether all that is between two places is this text. */
export function equals(bytes: Uint8Array, at: number, end: number, word: string): boolean {
  return end - at === word.length && begins(bytes, at, end, word)
}

function hex(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : NOT_HEX
}
