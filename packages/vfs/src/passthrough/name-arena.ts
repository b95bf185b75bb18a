/**
 * Names as bytes in mapped memory: cells of 1 to 16 units of 16 bytes, the first byte of each its length.
 *
 * A cell is known by the number of its first unit. Free cells of each size are kept in memory only: a successor finds out which are free by those that are used.
 *
 * @module
 */
import { u8 } from "./cells.ts"

const UNIT = 16
const SIZES = 16

/** What may still grow: returns whether there are `bytes` of it. */
export type Reserve = (bytes: number) => boolean

export class NameArena {
  readonly #bytes: Uint8Array
  readonly #reserve: Reserve
  /** By size in units. */
  readonly #free: number[][] = Array.from({ length: SIZES + 1 }, () => [])
  /** Unit 0 is no name. */
  #used = 1

  constructor(bytes: Uint8Array, reserve: Reserve) {
    this.#bytes = bytes
    this.#reserve = reserve
  }

  /** The cell of a copy of the first `length` bytes of `name`; 0 where there is no room. */
  add(name: Uint8Array, length: number): number {
    const cell = this.#take(units(length))
    if (cell === 0) return 0
    const at = cell * UNIT
    for (let index = 0; index < length; index++) this.#bytes[at + 1 + index] = u8(name, index)
    this.#bytes[at] = length
    return cell
  }

  free(cell: number): void {
    this.#free[units(u8(this.#bytes, cell * UNIT))]?.push(cell)
  }

  length(cell: number): number {
    return u8(this.#bytes, cell * UNIT)
  }

  equals(cell: number, name: Uint8Array, length: number): boolean {
    const at = cell * UNIT
    if (u8(this.#bytes, at) !== length) return false
    for (let index = 0; index < length; index++)
      if (u8(this.#bytes, at + 1 + index) !== u8(name, index)) return false
    return true
  }

  /** Writes the name with a NUL behind it; returns its length. */
  copy(cell: number, into: Uint8Array): number {
    const at = cell * UNIT
    const length = u8(this.#bytes, at)
    for (let index = 0; index < length; index++) into[index] = u8(this.#bytes, at + 1 + index)
    into[length] = 0
    return length
  }

  /** Whether a cell that a predecessor left lies inside. */
  inside(cell: number): boolean {
    return (
      cell > 0 &&
      cell * UNIT < this.#bytes.length &&
      (cell + units(this.length(cell))) * UNIT <= this.#bytes.length
    )
  }

  /** Takes over what a predecessor left. Returns false where two of the cells overlap. */
  adopt(cells: readonly number[]): boolean {
    const sorted = Float64Array.from(cells).sort()
    let end = 1
    for (const cell of sorted) {
      if (cell < end) return false
      this.#give(end, cell - end)
      end = cell + units(this.length(cell))
    }
    this.#used = end
    return true
  }

  #take(size: number): number {
    for (let larger = size; larger <= SIZES; larger++) {
      const cell = this.#free[larger]?.pop()
      if (cell === undefined) continue
      this.#give(cell + size, larger - size)
      return cell
    }
    const cell = this.#used
    const end = cell + size
    if (end * UNIT > this.#bytes.length || !this.#reserve(end * UNIT)) return 0
    this.#used = end
    return cell
  }

  #give(cell: number, count: number): void {
    for (let at = cell, left = count; left > 0; ) {
      const size = Math.min(left, SIZES)
      this.#free[size]?.push(at)
      at += size
      left -= size
    }
  }
}

function units(length: number): number {
  return (length + UNIT) >> 4
}
