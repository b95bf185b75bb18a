/**
 * Sequence numbers: 32 bits that wrap (RFC 9293, section 3.4). Kept as numbers from 0 to 2^32 - 1; compared by their distance.
 *
 * @module
 */

/** A sequence number `count` further on, or back where `count` is negative. */
export function add(seq: number, count: number): number {
  return (seq + count) >>> 0
}

/** How far `a` is after `b`; negative where it is before. Right for distances below 2^31. */
export function distance(a: number, b: number): number {
  return (a - b) | 0
}

export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0
}

export function after(a: number, b: number): boolean {
  return ((a - b) | 0) > 0
}
