/**
 * Blocks of memory by offset, in sizes of powers of two: the buddy system of Knowlton (1965).
 *
 * ```
 *  block 4 MiB │                               │ … each half of a half, down to a unit
 *              │ 1 MiB │ 1 MiB │     2 MiB     │ two free halves of one block become that block again
 * ```
 *
 * Taking and giving back touch at most one list for each size, of which there are a dozen. Nothing is written into the memory itself, so that a page
 * that was never used costs nothing.
 *
 * @module
 */
import { element } from "./element.ts"

const UNIT = 1024
const BLOCK = 4 * 1024 * 1024
/** What is given back to the system is counted in groups of so many bytes. */
const GROUP = 64 * 1024
const TAKEN = 0x80
const GROUP_UNITS = GROUP / UNIT

/** The most that one `allocate` gives. */
export const BLOCK_MAX: number = BLOCK

/** Marks of a group: never used or given back; used since the last `trim`; free for one `trim`. */
const CLEAN = 0
const USED = 1
const AGED = 2

export class Buddy {
  /** Bytes that can be in use at once, sizes rounded up to powers of two. */
  readonly length: number
  readonly #orders: number
  /** By unit. A free block's first one has its order + 1, a taken block's first one its order and `TAKEN`, all others 0. */
  readonly #state: Uint8Array
  /** Lists of free blocks by order: units, plus 1, so that zeroed memory is an empty list. */
  readonly #heads: Int32Array
  readonly #next: Int32Array
  readonly #previous: Int32Array
  readonly #groups: Uint8Array
  /** One bit for each order that has a free block. */
  #available = 0
  #used = 0

  /** `length` is a multiple of 4 MiB. */
  constructor(length: number) {
    if (length <= 0 || length % BLOCK !== 0)
      throw new RangeError(`Cannot divide ${length} bytes into blocks of ${BLOCK}`)
    this.length = length
    const units = length / UNIT
    this.#orders = Math.log2(BLOCK / UNIT) + 1
    this.#state = new Uint8Array(units)
    this.#heads = new Int32Array(this.#orders)
    this.#next = new Int32Array(units)
    this.#previous = new Int32Array(units)
    this.#groups = new Uint8Array(length / GROUP)
    for (let unit = units - BLOCK / UNIT; unit >= 0; unit -= BLOCK / UNIT) this.#link(unit, this.#orders - 1)
  }

  /** Bytes in use, sizes rounded up. */
  get used(): number {
    return this.#used
  }

  /** The offset of a block of at least `length` bytes, or -1 where there is none. */
  allocate(length: number): number {
    if (length > BLOCK) return -1
    const order = orderOf(length)
    // The smallest that is large enough: the lowest bit from `order` on.
    const candidates = this.#available & (-1 << order)
    if (candidates === 0) return -1
    let found = 31 - Math.clz32(candidates & -candidates)
    const unit = element(this.#heads, found) - 1
    this.#unlink(unit, found)
    while (found > order) {
      found--
      this.#link(unit + (1 << found), found)
    }
    this.#state[unit] = TAKEN | order
    this.#used += UNIT << order
    this.#mark(unit, 1 << order)
    return unit * UNIT
  }

  /** Gives back a block that was allocated with this `length`. Throws where it was not: that is a bug of the caller. */
  free(offset: number, length: number): void {
    let order = orderOf(length)
    let unit = offset / UNIT
    if (this.#state[unit] !== (TAKEN | order))
      throw new Error(`Cannot free ${length} bytes at ${offset}: they were not allocated so`)
    this.#used -= UNIT << order
    this.#state[unit] = 0
    while (order < this.#orders - 1) {
      const other = unit ^ (1 << order)
      if (element(this.#state, other) !== order + 1) break
      this.#unlink(other, order)
      unit = Math.min(unit, other)
      order++
    }
    this.#link(unit, order)
  }

  /**
   * Calls `release` for runs of whole groups of 64 KiB that were used and have now been free for two calls on end. Returns whether there are more
   * that may be ripe at the next call.
   */
  trim(release: (offset: number, length: number) => void): boolean {
    let ripening = false
    for (let order = Math.log2(GROUP_UNITS); order < this.#orders; order++) {
      for (let entry = element(this.#heads, order); entry !== 0; entry = element(this.#next, entry - 1)) {
        const first = (entry - 1) / GROUP_UNITS
        if (this.#trimBlock(first, first + (1 << order) / GROUP_UNITS, release)) ripening = true
      }
    }
    return ripening
  }

  #trimBlock(first: number, end: number, release: (offset: number, length: number) => void): boolean {
    let ripening = false
    let run = 0
    for (let group = first; group <= end; group++) {
      const mark = group === end ? CLEAN : element(this.#groups, group)
      if (mark === AGED) {
        run++
        this.#groups[group] = CLEAN
        continue
      }
      if (run > 0) release((group - run) * GROUP, run * GROUP)
      run = 0
      if (mark !== USED) continue
      this.#groups[group] = AGED
      ripening = true
    }
    return ripening
  }

  #mark(unit: number, units: number): void {
    const first = Math.floor(unit / GROUP_UNITS)
    if (units <= GROUP_UNITS) this.#groups[first] = USED
    else this.#groups.fill(USED, first, first + units / GROUP_UNITS)
  }

  #link(unit: number, order: number): void {
    const head = element(this.#heads, order)
    this.#state[unit] = order + 1
    this.#next[unit] = head
    this.#previous[unit] = 0
    if (head !== 0) this.#previous[head - 1] = unit + 1
    this.#heads[order] = unit + 1
    this.#available |= 1 << order
  }

  #unlink(unit: number, order: number): void {
    const next = element(this.#next, unit)
    const previous = element(this.#previous, unit)
    if (next !== 0) this.#previous[next - 1] = previous
    if (previous !== 0) this.#next[previous - 1] = next
    else this.#heads[order] = next
    if (element(this.#heads, order) === 0) this.#available &= ~(1 << order)
    this.#state[unit] = 0
  }
}

/** How often a unit must be doubled to hold `length` bytes. */
function orderOf(length: number): number {
  return length <= UNIT ? 0 : 32 - Math.clz32((length - 1) >>> 10)
}
