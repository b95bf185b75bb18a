/**
 * Numbers that nobody can guess, many at once: asking for each alone costs a connection more than any of its segments.
 *
 * @module
 */
import { randomFillSync } from "node:crypto"

const WORDS = 1024

/** Each call of what it returns gives another 32 bits, which are not kept. */
export function randomWords(fill: (words: Uint32Array) => void = randomFillSync): () => number {
  const words = new Uint32Array(WORDS)
  let left = 0
  return () => {
    if (left === 0) {
      fill(words)
      left = WORDS
    }
    left--
    const word = words[left] ?? 0
    words[left] = 0
    return word
  }
}
