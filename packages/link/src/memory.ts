/**
 * The memory that frames and streams lie in, by address. Which addresses these are is the driver's affair: those of the process where system
 * calls move the bytes, offsets into one buffer where Node does.
 *
 * @module
 */

export interface Memory {
  /** Copies between two places that do not overlap. */
  copy(from: number, to: number, length: number): void
  /** Copies to `into`, from `at` on. */
  read(from: number, length: number, into: Uint8Array, at: number): void
  /** Copies `length` bytes of `from`, from `at` on, to an address. */
  write(from: Uint8Array, at: number, length: number, to: number): void
  /** The sum of RFC 1071 over these bytes, added to `seed`: 16-bit big-endian words with the carries folded in, not inverted. */
  sum(address: number, length: number, seed: number): number
  /** Memory of one's own, or 0 where the bound is reached: streams wait then. */
  allocate(length: number): number
  /** Gives back what `allocate` gave, with the same length. */
  free(address: number, length: number): void
}
