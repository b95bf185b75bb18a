/**
 * Bytes in several places: addresses and lengths in two arrays, used again for each frame.
 *
 * @module
 */

/** Pieces of memory in order. What an address means is said by the `Memory` that the pieces lie in. */
export class Parts {
  readonly addresses: number[] = []
  readonly lengths: number[] = []
  count = 0
  /** The sum of the lengths. */
  bytes = 0

  clear(): void {
    this.count = 0
    this.bytes = 0
  }

  push(address: number, length: number): void {
    this.addresses[this.count] = address
    this.lengths[this.count] = length
    this.count++
    this.bytes += length
  }

  addressAt(index: number): number {
    return this.addresses[index]!
  }

  lengthAt(index: number): number {
    return this.lengths[index]!
  }

  /** Appends `length` bytes of `from`, after its first `skip`. At most what is there. */
  append(from: Parts, skip: number, length: number): void {
    let before = skip
    let left = length
    for (let index = 0; index < from.count && left > 0; index++) {
      const there = from.lengthAt(index)
      if (before >= there) {
        before -= there
        continue
      }
      const part = Math.min(there - before, left)
      this.push(from.addressAt(index) + before, part)
      before = 0
      left -= part
    }
  }
}
