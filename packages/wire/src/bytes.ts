/**
 * Unsigned integers in bytes. Network order (RFC 1700, "Data Notation") unless the name ends in `le`.
 *
 * The only file with `bytes[i]!`: who calls has checked the bounds.
 *
 * @module
 */

export function u8(bytes: Uint8Array, at: number): number {
  return bytes[at]!
}

export function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

export function u32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}

/** 48 bits: a MAC address. */
export function u48(bytes: Uint8Array, at: number): number {
  return u16(bytes, at) * 0x1_0000_0000 + u32(bytes, at + 2)
}

export function u16le(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8)
}

export function u32le(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

export function putU8(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
}

export function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8
  bytes[at + 1] = value
}

export function putU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24
  bytes[at + 1] = value >>> 16
  bytes[at + 2] = value >>> 8
  bytes[at + 3] = value
}

export function putU48(bytes: Uint8Array, at: number, value: number): void {
  putU16(bytes, at, Math.floor(value / 0x1_0000_0000))
  putU32(bytes, at + 2, value >>> 0)
}

export function putU16le(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
}

export function putU32le(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}

/** Copies `length` bytes that may overlap. Faster than `set` and `subarray` for the few bytes of an address. */
export function copy(from: Uint8Array, at: number, length: number, into: Uint8Array, to: number): void {
  if (from === into) into.copyWithin(to, at, at + length)
  else for (let index = 0; index < length; index++) into[to + index] = from[at + index]!
}

/** Whether `length` bytes at two places are the same. */
export function same(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number, length: number): boolean {
  for (let index = 0; index < length; index++) if (a[aAt + index] !== b[bAt + index]) return false
  return true
}

/** Whether `count` bytes at `at` may be read, where nothing from `limit` on may. */
export function readable(bytes: Uint8Array, at: number, limit: number, count: number): boolean {
  return at >= 0 && limit - at >= count && at + count <= bytes.length
}
