/**
 * Numbers in network order, for DNS messages.
 *
 * @module
 */

/** A copy. `slice` is none where the bytes are one of Node's buffers. */
export function copyOf(bytes: Uint8Array, at = 0, end: number = bytes.length): Uint8Array {
  return new Uint8Array(bytes.subarray(at, end))
}

/** `at` must lie inside. */
export function u8(bytes: Uint8Array, at: number): number {
  return bytes[at]!
}

/** Both bytes must lie inside. */
export function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

/** All four bytes must lie inside. */
export function u32(bytes: Uint8Array, at: number): number {
  return u16(bytes, at) * 0x1_0000 + u16(bytes, at + 2)
}

export function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8
  bytes[at + 1] = value
}

export function putU32(bytes: Uint8Array, at: number, value: number): void {
  putU16(bytes, at, Math.floor(value / 0x1_0000))
  putU16(bytes, at + 2, value & 0xffff)
}
