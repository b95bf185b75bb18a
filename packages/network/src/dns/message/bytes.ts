/**
 * Bytes of DNS messages that outlive what they came in. Their numbers are those of `@skep/wire/bytes`.
 *
 * @module
 */

/** A copy. `slice` is none where the bytes are one of Node's buffers. */
export function copyOf(bytes: Uint8Array, at = 0, end: number = bytes.length): Uint8Array {
  return new Uint8Array(bytes.subarray(at, end))
}
