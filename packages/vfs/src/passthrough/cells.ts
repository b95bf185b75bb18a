/**
 * Elements of typed arrays: where an index is trusted. One function a kind of array, so that each stays fast.
 *
 * @module
 */

/** The word at `index`, which must be inside. */
export function u32(words: Uint32Array, index: number): number {
  return words[index]!
}

export function f64(numbers: Float64Array, index: number): number {
  return numbers[index]!
}

export function i32(words: Int32Array, index: number): number {
  return words[index]!
}

export function u8(bytes: Uint8Array, index: number): number {
  return bytes[index]!
}
