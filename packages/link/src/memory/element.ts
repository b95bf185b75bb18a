/**
 * The one place of the memories where an index is trusted.
 *
 * @module
 */

/** The element at `index`, which must be inside. */
export function element(array: Uint8Array | Int32Array, index: number): number {
  return array[index]!
}

/** Longer ones are worth the price of a view. */
const BY_HAND = 128

/** Copies bytes, few of them as a rule: a loop beats a view of each side. */
export function copyBytes(from: Uint8Array, at: number, length: number, to: Uint8Array, toAt: number): void {
  if (length > BY_HAND) to.set(from.subarray(at, at + length), toAt)
  else for (let index = 0; index < length; index++) to[toAt + index] = from[at + index]!
}
