/**
 * HalfSipHash-2-4 with 64 bits of result (Aumasson and Bernstein, "SipHash: a fast short-input PRF", in its form for 32-bit words): what makes a handle
 * one that we gave out.
 *
 * @module
 */

/** The key, as two words. */
export interface Key {
  readonly low: number
  readonly high: number
}

/** The result of the last call: nothing is allocated where a handle is made for each entry of a directory. */
export const result: { low: number; high: number } = { low: 0, high: 0 }

let v0 = 0
let v1 = 0
let v2 = 0
let v3 = 0

/** Hashes `length` bytes from `at` on into `result`. */
export function hash(key: Key, bytes: Uint8Array, at: number, length: number): void {
  v0 = key.low
  v1 = key.high ^ 0xee
  v2 = 0x6c796765 ^ key.low
  v3 = 0x74656462 ^ key.high
  const whole = at + (length & ~3)
  let next = at
  for (; next < whole; next += 4) compress(word(bytes, next, 4))
  compress((length << 24) | word(bytes, next, length & 3))
  v2 ^= 0xee
  rounds(4)
  result.low = (v1 ^ v3) >>> 0
  v1 ^= 0xdd
  rounds(4)
  result.high = (v1 ^ v3) >>> 0
}

function word(bytes: Uint8Array, at: number, count: number): number {
  let value = 0
  for (let index = 0; index < count; index++) value |= (bytes[at + index] ?? 0) << (8 * index)
  return value
}

function compress(m: number): void {
  v3 ^= m
  rounds(2)
  v0 ^= m
}

function rounds(count: number): void {
  for (let round = 0; round < count; round++) {
    v0 = (v0 + v1) | 0
    v1 = rotate(v1, 5) ^ v0
    v0 = rotate(v0, 16)
    v2 = (v2 + v3) | 0
    v3 = rotate(v3, 8) ^ v2
    v0 = (v0 + v3) | 0
    v3 = rotate(v3, 7) ^ v0
    v2 = (v2 + v1) | 0
    v1 = rotate(v1, 13) ^ v2
    v2 = rotate(v2, 16)
  }
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}
