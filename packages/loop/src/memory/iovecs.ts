/**
 * An array of struct iovec in scratch memory, filled by address and length: `| base u64 | length u64 |` each.
 *
 * @module
 */
import { IOVEC } from "../sys/abi.ts"
import { IOV_MAX } from "../sys/constants.ts"
import type { Scratch } from "./scratch.ts"
import { getU64, setU64 } from "./words.ts"

const WORDS = IOVEC.size / 4
const LENGTH = IOVEC.length / 4

/** Pieces of memory for one readv, writev or sendmsg. Filled, used and cleared again; allocates nothing. */
export class Iovecs {
  readonly capacity: number
  readonly #words: Uint32Array
  readonly #base: number
  #first = 0
  #end = 0
  #bytes = 0

  /** `capacity` is at most 1024, what the kernel takes in one call. */
  constructor(scratch: Scratch, name: string, capacity: number = IOV_MAX) {
    if (capacity > IOV_MAX) throw new RangeError(`Cannot make ${capacity} iovecs: one call takes ${IOV_MAX}`)
    const region = scratch.region(name, capacity * IOVEC.size)
    this.capacity = capacity
    this.#words = region.u32
    this.#base = region.address
  }

  /** The address of the first piece that is left: what the kernel is given, with `count`. */
  get address(): number {
    return this.#base + this.#first * IOVEC.size
  }

  get count(): number {
    return this.#end - this.#first
  }

  /** The sum of what is left. */
  get bytes(): number {
    return this.#bytes
  }

  clear(): void {
    this.#first = 0
    this.#end = 0
    this.#bytes = 0
  }

  /** Adds a piece. Returns false where there is no room. */
  push(address: number, length: number): boolean {
    if (this.#end >= this.capacity) return false
    const word = this.#end * WORDS
    setU64(this.#words, word, address)
    setU64(this.#words, word + LENGTH, length)
    this.#end++
    this.#bytes += length
    return true
  }

  /** Takes off what the kernel has taken, so that the rest can be given again. At most `bytes`. */
  consume(taken: number): void {
    let left = Math.min(taken, this.#bytes)
    this.#bytes -= left
    while (this.#first < this.#end) {
      const word = this.#first * WORDS
      const length = getU64(this.#words, word + LENGTH)
      if (left < length) {
        setU64(this.#words, word, getU64(this.#words, word) + left)
        setU64(this.#words, word + LENGTH, length - left)
        return
      }
      left -= length
      this.#first++
    }
  }

  addressAt(index: number): number {
    return getU64(this.#words, (this.#first + index) * WORDS)
  }

  lengthAt(index: number): number {
    return getU64(this.#words, (this.#first + index) * WORDS + LENGTH)
  }
}
