/**
 * One machine's part of memory that all of them need.
 *
 * It may have as much as is free (Choudhury and Hahne, "Dynamic queue length thresholds", 1998, with a factor of 1): one that takes all it can has half of
 * it, two have a third each, and one such part is always left for a machine that has nothing yet.
 *
 * @module
 */

/** What is known of the memory. */
export interface Fill {
  readonly used: number
  readonly length: number
}

export class HeapShare {
  #taken = 0

  /** Bytes that were not given back. */
  get taken(): number {
    return this.#taken
  }

  /** How many more it may have. */
  left({ used, length }: Fill): number {
    return Math.max(0, length - used - this.#taken)
  }

  /** Returns false, and takes nothing, where that is more than it may have. */
  take(bytes: number, heap: Fill): boolean {
    if (bytes > this.left(heap)) return false
    this.#taken += bytes
    return true
  }

  /** Gives back what was taken. */
  give(bytes: number): void {
    this.#taken -= bytes
  }
}
