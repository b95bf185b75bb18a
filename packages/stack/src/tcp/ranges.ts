/**
 * Ranges of a stream in order: what arrived out of order, what the other side says it has. Ranges never touch nor overlap.
 *
 * @module
 */
import { after, before, distance } from "./seq.ts"

export interface Range {
  /** The first sequence number of the range. */
  start: number
  /** The one after its last. */
  end: number
}

/** A sorted list with a bound: whoever makes more holes than that is not remembered. */
export class Ranges {
  readonly list: Range[] = []
  readonly #most: number

  constructor(most: number) {
    this.#most = most
  }

  get bytes(): number {
    return this.list.reduce((sum, { start, end }) => sum + distance(end, start), 0)
  }

  /** The end of the last range; only where there is one. */
  get highest(): number | undefined {
    return this.list.at(-1)?.end
  }

  /** Whether `seq` is inside a range. */
  has(seq: number): boolean {
    return this.list.some(({ start, end }) => !before(seq, start) && before(seq, end))
  }

  /** Adds [start, end) and joins what touches. Returns false where the bound is reached and nothing was added. */
  add(start: number, end: number): boolean {
    const { list } = this
    let from = 0
    while (from < list.length && before(list[from]!.end, start)) from++
    let to = from
    let low = start
    let high = end
    while (to < list.length && !after(list[to]!.start, end)) {
      if (before(list[to]!.start, low)) low = list[to]!.start
      if (after(list[to]!.end, high)) high = list[to]!.end
      to++
    }
    if (from === to && list.length >= this.#most) return false
    list.splice(from, to - from, { start: low, end: high })
    return true
  }

  /** Forgets everything before `seq`. */
  forgetBefore(seq: number): void {
    const { list } = this
    while (list.length > 0 && !after(list[0]!.end, seq)) list.shift()
    if (list.length > 0 && before(list[0]!.start, seq)) list[0]!.start = seq
  }

  clear(): void {
    this.list.length = 0
  }
}
