/**
 * From a key to the slot that has it: open addressing with linear probing over a typed array, 8 to 16 bytes an entry. The keys stay with their owner.
 *
 * @module
 */
import { i32 } from "./cells.ts"

const SMALLEST = 1024

/** The keys, as their owner keeps them. */
export interface Keys {
  /** A well mixed hash of the key of a slot. */
  hashOf(slot: number): number
}

export class SlotIndex {
  readonly #keys: Keys
  /** Slot + 1, 0 where there is none. */
  #table = new Int32Array(SMALLEST)
  #mask: number = SMALLEST - 1
  #count = 0

  constructor(keys: Keys) {
    this.#keys = keys
  }

  /** The first place where a key of this hash would be. */
  first(hash: number): number {
    return hash & this.#mask
  }

  next(place: number): number {
    return (place + 1) & this.#mask
  }

  /** The slot at a place, -1 where the search ends. */
  at(place: number): number {
    return i32(this.#table, place) - 1
  }

  add(slot: number): void {
    if ((this.#count + 1) * 2 > this.#table.length) this.#grow()
    this.#count++
    this.#put(slot)
  }

  /** Takes a slot out, if it is in. */
  remove(slot: number): void {
    let place = this.first(this.#keys.hashOf(slot))
    for (;;) {
      const found = this.at(place)
      if (found < 0) return
      if (found === slot) break
      place = this.next(place)
    }
    this.#count--
    this.#close(place)
  }

  #put(slot: number): void {
    let place = this.first(this.#keys.hashOf(slot))
    while (i32(this.#table, place) !== 0) place = this.next(place)
    this.#table[place] = slot + 1
  }

  /** Moves entries back that would not be found beyond a gap: no tombstones, so that nothing slows down with time. */
  #close(start: number): void {
    const mask = this.#mask
    let gap = start
    let place = start
    for (;;) {
      this.#table[gap] = 0
      for (;;) {
        place = (place + 1) & mask
        const slot = this.at(place)
        if (slot < 0) return
        const home = this.first(this.#keys.hashOf(slot))
        // It may move to the gap where its home is not between the two.
        if (((place - home) & mask) >= ((place - gap) & mask)) break
      }
      this.#table[gap] = i32(this.#table, place)
      gap = place
    }
  }

  #grow(): void {
    const old = this.#table
    this.#table = new Int32Array(old.length * 2)
    this.#mask = this.#table.length - 1
    for (const entry of old) if (entry !== 0) this.#put(entry - 1)
  }
}

/** Mixes two words well enough for a mask. */
export function mix(one: number, two: number): number {
  let hash = Math.imul(one ^ Math.imul(two, 0x9e3779b1), 0x85ebca6b)
  hash ^= hash >>> 15
  hash = Math.imul(hash, 0xc2b2ae35)
  return (hash ^ (hash >>> 13)) >>> 0
}
