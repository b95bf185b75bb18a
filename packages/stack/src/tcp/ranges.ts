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

  /** Whether all of [start, end) is in one range. */
  covers(start: number, end: number): boolean {
    return this.list.some((range) => !before(start, range.start) && !after(end, range.end))
  }

  /** Takes [start, end) out. Where a range would become two beyond the bound, its end goes too. */
  remove(start: number, end: number): void {
    const { list } = this
    for (let index = 0; index < list.length; index++) {
      const range = list[index]!
      if (!after(range.end, start)) continue
      if (!before(range.start, end)) return
      const { end: rangeEnd } = range
      if (after(rangeEnd, end) && !before(range.start, start)) range.start = end
      else if (!before(range.start, start)) list.splice(index--, 1)
      else {
        range.end = start
        if (after(rangeEnd, end) && list.length < this.#most)
          list.splice(++index, 0, { start: end, end: rangeEnd })
      }
    }
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
