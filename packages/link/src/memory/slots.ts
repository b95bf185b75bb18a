/**
 * Places for single frames, all of one size, shared by the links of a thread: taken when a frame is lent, given back when it has gone.
 *
 * ```
 *  slot │ headroom 512: headers, put in front of the payload │ payload, up to 65,536 │
 * ```
 *
 * @module
 */
import { element } from "./element.ts"

/** Bytes before the payload of a slot. */
export const HEADROOM = 512
/** Not a power of two: equal places of neighbouring slots then lie in different sets of the processor's caches. */
export const SLOT: number = HEADROOM + 65_536 + 64
/** Bytes of payload that a slot takes. */
export const SLOT_PAYLOAD: number = SLOT - HEADROOM

export class Slots {
  readonly #free: Int32Array
  #count: number

  /** `count` slots from the offset `at` on. */
  constructor(at: number, count: number) {
    this.#free = Int32Array.from({ length: count }, (_, index) => at + (count - 1 - index) * SLOT)
    this.#count = count
  }

  /** How many are free. */
  get free(): number {
    return this.#count
  }

  /** The offset of a slot, or -1 where all are taken. The one given back last is the first: its memory is in the caches. */
  take(): number {
    if (this.#count === 0) return -1
    this.#count--
    return element(this.#free, this.#count)
  }

  give(slot: number): void {
    this.#free[this.#count] = slot
    this.#count++
  }
}
