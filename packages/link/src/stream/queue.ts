/**
 * Frames on their way out of a stream, one behind the other in a ring of memory, with their prefixes: one write takes them all.
 *
 * ```
 *  │ 4 │ headers │ payload │ 4 │ headers │ payload, lent … │ unused │ 4 │ … free …
 *  ▲ sent up to here                        ▲ goes no further before this is used or given back
 * ```
 *
 * The memory is taken when the first frame comes and given back with the last, so a quiet link has none.
 *
 * @module
 */
import type { ArenaMemory } from "../memory/arena.ts"

/** A place that was taken and is not filled, or not any more. */
const LENT = -1
const UNUSED = 0

/** Blocks that have gone are forgotten once there are so many. */
const FORGET = 1024

/** Where pieces of memory are gathered; one that is full says false. */
export interface Pieces {
  clear(): void
  push(address: number, length: number): boolean | void
}

export class Queue {
  readonly #memory: ArenaMemory
  readonly #size: number
  /** Where the ring is, 0 while nothing is in it. */
  #at = 0
  /** The first byte in use and the first free one. Where `#wrapped`, the free part lies between them. */
  #head = 0
  #tail = 0
  #wrapped = false
  /** Blocks by age: where their place begins, where their bytes do, and how many they are, or LENT. */
  readonly #places: number[] = []
  readonly #starts: number[] = []
  readonly #lengths: number[] = []
  #first = 0
  /** How many blocks came before those of the lists. */
  #forgotten = 0
  #bytes = 0

  /** `size` bytes, at most what the memory allocates at once. */
  constructor(memory: ArenaMemory, size: number) {
    this.#memory = memory
    this.#size = size
  }

  /** Bytes that are ready to go. */
  get bytes(): number {
    return this.#bytes
  }

  /** Whether nothing at all is in it. */
  get empty(): boolean {
    return this.#first === this.#places.length
  }

  /** Takes a place. Returns its block, to be used or given back, or -1 where there is no room. */
  take(length: number): number {
    if (this.#at === 0) this.#at = this.#memory.allocate(this.#size)
    if (this.#at === 0) return -1
    const place = this.#room(length)
    if (place < 0) {
      this.#rest()
      return -1
    }
    this.#tail = place + length
    this.#places.push(place)
    this.#starts.push(place)
    this.#lengths.push(LENT)
    return this.#forgotten + this.#places.length - 1
  }

  /** Where the place of a block that was just taken begins, as an offset into the memory's bytes. */
  placeOf(block: number): number {
    return this.#at - this.#memory.base + (this.#places[block - this.#forgotten] ?? 0)
  }

  /** Lets a block go: `length` bytes from `skip` bytes behind the beginning of its place. */
  use(block: number, skip: number, length: number): void {
    const index = block - this.#forgotten
    this.#starts[index] = (this.#places[index] ?? 0) + skip
    this.#lengths[index] = length
    this.#bytes += length
  }

  /** Gives back a block unused. The newest one first: then its place is free at once. */
  giveBack(block: number): void {
    const index = block - this.#forgotten
    if (index !== this.#places.length - 1) {
      this.#lengths[index] = UNUSED
      return
    }
    const place = this.#places.pop() ?? 0
    this.#starts.pop()
    this.#lengths.pop()
    // Back over the end of the ring.
    if (place > this.#tail) this.#wrapped = false
    this.#tail = place
    this.#rest()
  }

  /** Puts what is ready to go into these, in order, as far as there is room. */
  gather(into: Pieces): void {
    into.clear()
    let start = -1
    let end = -1
    for (let block = this.#first; block < this.#places.length; block++) {
      const length = this.#lengths[block] ?? 0
      if (length === LENT) break
      if (length === UNUSED) continue
      const at = this.#starts[block] ?? 0
      if (at !== end) {
        if (end > start && into.push(this.#at + start, end - start) === false) return
        start = at
      }
      end = at + length
    }
    if (end > start) into.push(this.#at + start, end - start)
  }

  /** Forgets `count` bytes that have gone. */
  sent(count: number): void {
    this.#bytes -= count
    let left = count
    while (this.#first < this.#places.length) {
      const length = this.#lengths[this.#first] ?? 0
      if (length === LENT) break
      if (left < length) {
        this.#starts[this.#first] = (this.#starts[this.#first] ?? 0) + left
        this.#lengths[this.#first] = length - left
        break
      }
      left -= length
      this.#first++
    }
    if (!this.empty) this.#moveHead()
    this.#rest()
  }

  /** Drops everything. */
  clear(): void {
    this.#first = this.#places.length
    this.#bytes = 0
    this.#rest()
  }

  #room(length: number): number {
    if (this.#wrapped) return this.#head - this.#tail > length ? this.#tail : -1
    if (this.#size - this.#tail >= length) return this.#tail
    if (this.empty || this.#head <= length) return -1
    this.#wrapped = true
    return 0
  }

  #moveHead(): void {
    const head = this.#places[this.#first] ?? 0
    if (head < this.#head) this.#wrapped = false
    this.#head = head
    if (this.#first < FORGET) return
    this.#places.splice(0, this.#first)
    this.#starts.splice(0, this.#first)
    this.#lengths.splice(0, this.#first)
    this.#forgotten += this.#first
    this.#first = 0
  }

  /** Gives the memory back where nothing is in it. */
  #rest(): void {
    if (!this.empty || this.#at === 0) return
    this.#memory.free(this.#at, this.#size)
    this.#at = 0
    this.#places.length = 0
    this.#starts.length = 0
    this.#lengths.length = 0
    this.#first = 0
    this.#forgotten = 0
    this.#head = 0
    this.#tail = 0
    this.#wrapped = false
  }
}
