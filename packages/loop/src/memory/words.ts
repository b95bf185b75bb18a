/**
 * Numbers in typed arrays: the one place where an index is trusted, and where 64-bit values become numbers.
 *
 * @module
 */

const HIGH = 2 ** 32

/** The element at `index`, which must be inside. */
export function at(
  words: Uint32Array | Int32Array | Uint16Array | Uint8Array | Float64Array,
  index: number,
): number {
  // Not `?? 0`: this is on every path, and an index outside is our bug.
  return words[index]!
}

/** Writes a 64-bit value, below 2^53, as two words. The stores cut to 32 bits by themselves. */
export function setU64(words: Uint32Array, index: number, value: number): void {
  words[index] = value
  words[index + 1] = value / HIGH
}

/** Reads a 64-bit value; exact below 2^53. */
export function getU64(words: Uint32Array, index: number): number {
  return at(words, index) + at(words, index + 1) * HIGH
}
