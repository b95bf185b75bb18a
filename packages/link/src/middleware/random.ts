/**
 * Numbers that look random and are the same for the same seed: Steele, Lea and Flood's SplitMix in 32 bits.
 *
 * @module
 */

/** Each call gives the next number, at least 0 and below 1. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x9e3779b9) | 0
    let word = state
    word = Math.imul(word ^ (word >>> 16), 0x21f0aaad)
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97)
    return ((word ^ (word >>> 15)) >>> 0) / 2 ** 32
  }
}
