/**
 * Names that files have besides their first: hard links, and where a file may be while it is renamed. Few files have any.
 *
 * Each is a row of the store, `| id f64 | place f64 |`, so that a successor knows it. It counts from when its id is stored.
 *
 * @module
 */
import type { NodeId } from "../filesystem.ts"
import { f64 } from "./cells.ts"
import { OTHER_BYTES, OTHERS, type Store } from "./store.ts"

const NUMBERS = OTHER_BYTES / 8
const PLACE = 1
const MOST = 8

export class OtherNames {
  readonly #store: Store
  readonly #numbers: Float64Array
  readonly #free: number[] = []
  /** Rows by slot, oldest first. */
  readonly #rows = new Map<number, number[]>()

  constructor(store: Store) {
    this.#store = store
    this.#numbers = store.others.numbers
  }

  has(slot: number): boolean {
    return this.#rows.has(slot)
  }

  count(slot: number): number {
    return this.#rows.get(slot)?.length ?? 0
  }

  /** Returns false where there is no room, or there are enough. */
  add(slot: number, id: NodeId, place: number): boolean {
    const rows = this.#rows.get(slot) ?? []
    if (rows.length >= MOST) return false
    const row = this.#take()
    if (row < 0) return false
    this.#numbers[row * NUMBERS + PLACE] = place
    this.#numbers[row * NUMBERS] = id
    rows.push(row)
    this.#rows.set(slot, rows)
    return true
  }

  /** Takes out the first place that matches. */
  take(slot: number, matches: (place: number) => boolean): number | undefined {
    const rows = this.#rows.get(slot)
    const index = rows?.findIndex((row) => matches(this.#place(row))) ?? -1
    const row = rows?.[index]
    if (rows === undefined || row === undefined) return undefined
    const place = this.#place(row)
    this.#release(row)
    rows.splice(index, 1)
    if (rows.length === 0) this.#rows.delete(slot)
    return place
  }

  /** Takes out the oldest and puts `former` behind the others. */
  rotate(slot: number, former: number): number | undefined {
    const rows = this.#rows.get(slot)
    const row = rows?.shift()
    if (rows === undefined || row === undefined) return undefined
    const place = this.#place(row)
    this.#numbers[row * NUMBERS + PLACE] = former
    rows.push(row)
    return place
  }

  each(visit: (slot: number, place: number) => void): void {
    for (const [slot, rows] of this.#rows) for (const row of rows) visit(slot, this.#place(row))
  }

  /** Takes over a predecessor's. `first` is the first place of a slot. Returns false where one cannot be right. */
  inherit(
    slotOf: (id: NodeId) => number,
    valid: (place: number) => boolean,
    first: (slot: number) => number,
  ): boolean {
    const used = this.#store.usedOthers
    if (!this.#store.others.reserve(used * OTHER_BYTES)) return false
    for (let row = 0; row < used; row++) {
      const id = f64(this.#numbers, row * NUMBERS)
      const slot = id === 0 ? -1 : slotOf(id)
      const place = this.#place(row)
      // The predecessor was ended while it dropped the node, or while it made this place the first one.
      if (slot <= 0 || place === first(slot)) {
        this.#release(row)
        continue
      }
      if (!valid(place)) return false
      this.#rows.set(slot, [...(this.#rows.get(slot) ?? []), row])
    }
    return true
  }

  #place(row: number): number {
    return f64(this.#numbers, row * NUMBERS + PLACE)
  }

  #take(): number {
    const free = this.#free.pop()
    if (free !== undefined) return free
    const row = this.#store.usedOthers
    if (row >= OTHERS || !this.#store.others.reserve((row + 1) * OTHER_BYTES)) return -1
    this.#store.usedOthers = row + 1
    return row
  }

  #release(row: number): void {
    this.#numbers[row * NUMBERS] = 0
    this.#free.push(row)
  }
}
