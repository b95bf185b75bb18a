/**
 * The Internet checksum: RFC 1071, updated by RFC 1624.
 *
 * A *sum* is what lies between: 16-bit big-endian words added with their carries folded in, not inverted. It is 0 only if every byte was 0.
 *
 * @module
 */
import { u8 } from "../bytes.ts"

const STEP = 8

/**
 * Adds the bytes from `at` to `end`, at most 16 MiB, to `seed`. A last odd byte counts as the upper half of a word. Upper and lower halves are
 * added apart, which takes a third off the time.
 */
export function sum(bytes: Uint8Array, at: number, end: number, seed = 0): number {
  let upper = 0
  let lower = 0
  let cursor = at
  for (const last = end - STEP; cursor <= last; cursor += STEP) {
    upper += u8(bytes, cursor) + u8(bytes, cursor + 2) + u8(bytes, cursor + 4) + u8(bytes, cursor + 6)
    lower += u8(bytes, cursor + 1) + u8(bytes, cursor + 3) + u8(bytes, cursor + 5) + u8(bytes, cursor + 7)
  }
  for (; cursor + 1 < end; cursor += 2) {
    upper += u8(bytes, cursor)
    lower += u8(bytes, cursor + 1)
  }
  if (cursor < end) upper += u8(bytes, cursor)
  return fold(seed + (upper >>> 8) + ((upper & 0xff) << 8) + lower)
}

/** Folds the carries of a number below 2^32 in. */
export function fold(total: number): number {
  const once = (total & 0xffff) + (total >>> 16)
  return (once & 0xffff) + (once >>> 16)
}

/** The checksum that a header carries for this sum. */
export function finish(total: number): number {
  return ~fold(total) & 0xffff
}

/** The sum of a whole of which `total` is the first `offset` bytes and `part` the sum of what follows. */
export function append(total: number, part: number, offset: number): number {
  return fold(total + ((offset & 1) === 0 ? part : swap(part)))
}

/** The checksum after a 16-bit word that it covers changed. RFC 1624, equation 3: HC' = ~(~HC + ~m + m'). */
export function update(checksum: number, from: number, to: number): number {
  return finish((~checksum & 0xffff) + (~from & 0xffff) + to)
}

/**
 * The sum of the pseudo-header of RFC 9293 section 3.1 and RFC 8200 section 8.1. In both IP headers the destination follows the source, so
 * `sourceAt` says where both are. `length` is that of the transport header and its payload.
 */
export function pseudo(
  bytes: Uint8Array,
  sourceAt: number,
  addressLength: 4 | 16,
  protocol: number,
  length: number,
): number {
  return sum(bytes, sourceAt, sourceAt + 2 * addressLength, protocol + (length >>> 16) + (length & 0xffff))
}

function swap(word: number): number {
  return ((word & 0xff) << 8) | (word >>> 8)
}
