/**
 * What must have been lost, in order, and which of it has gone out again since.
 *
 * A retransmission that is lost too is noticed by the order of sending, as RACK does (RFC 8985) but by count instead of time: when what went out
 * later has arrived and this has not, it goes out once more.
 *
 * @module
 */
import { after, before, distance } from "./seq.ts"

/** Not sent again yet. */
const WAITING = 0
/** Later sendings that must have arrived before one is taken for lost again: the network may reorder a little. */
const TOLERANCE = 2
const HOLES = 256

interface Hole {
  start: number
  end: number
  /** The order of its last sending, or `WAITING`. */
  order: number
}

export class Holes {
  readonly #list: Hole[] = []
  /** Ends of what was sent for the first time while there were holes, with its order. */
  readonly #later: { readonly end: number; readonly order: number }[] = []
  #order = 0
  #arrived = 0

  /** Bytes that are lost and not on their way again. */
  get bytes(): number {
    let sum = 0
    for (const { start, end, order } of this.#list) if (order === WAITING) sum += distance(end, start)
    return sum
  }

  /** The first that has to go out. */
  first(): { readonly start: number; readonly end: number } | undefined {
    for (const hole of this.#list) if (hole.order === WAITING) return hole
    return undefined
  }

  /** [start, end) is lost. Returns whether any of it was not known to be. */
  add(start: number, end: number): boolean {
    let from = start
    let isNew = false
    for (let index = 0; index <= this.#list.length; index++) {
      const hole = this.#list[index]
      if (hole !== undefined && !after(hole.end, from)) continue
      const to = hole === undefined || after(hole.start, end) ? end : hole.start
      if (before(from, to) && this.#list.length < HOLES) {
        this.#list.splice(index, 0, { start: from, end: to, order: WAITING })
        isNew = true
        index++
      }
      if (hole === undefined || !before(hole.end, end)) break
      from = hole.end
    }
    return isNew
  }

  /** [from, to) went out again. */
  sent(from: number, to: number): void {
    this.#order++
    for (let index = 0; index < this.#list.length; index++) {
      const hole = this.#list[index]!
      if (!before(hole.start, to) || !after(hole.end, from)) continue
      if (after(hole.end, to))
        this.#list.splice(index + 1, 0, { start: to, end: hole.end, order: hole.order })
      if (before(hole.start, from)) {
        this.#list.splice(index, 0, { start: hole.start, end: from, order: hole.order })
        index++
      }
      const part = this.#list[index]!
      part.start = before(hole.start, from) ? from : hole.start
      part.end = after(hole.end, to) ? to : hole.end
      part.order = this.#order
    }
  }

  /** New data up to `end` went out. */
  sentNew(end: number): void {
    if (this.#list.length === 0) return
    this.#order++
    if (this.#later.length < HOLES) this.#later.push({ end, order: this.#order })
  }

  /** [start, end) has arrived. */
  filled(start: number, end: number): void {
    if (this.#list.length === 0) return
    while (this.#later.length > 0 && !after(this.#later[0]!.end, end)) this.#mark(this.#later.shift()!.order)
    for (let index = 0; index < this.#list.length; index++) {
      const hole = this.#list[index]!
      if (!before(hole.start, end)) break
      if (!after(hole.end, start)) continue
      this.#mark(hole.order)
      const { end: holeEnd, order } = hole
      const keepsFront = before(hole.start, start)
      const keepsBack = after(holeEnd, end)
      if (keepsFront && keepsBack) {
        hole.end = start
        this.#list.splice(index + 1, 0, { start: end, end: holeEnd, order })
      } else if (keepsFront) hole.end = start
      else if (keepsBack) hole.start = end
      else this.#list.splice(index--, 1)
    }
    if (this.#list.length === 0) this.#later.length = 0
    else this.#again()
  }

  clear(): void {
    this.#list.length = 0
    this.#later.length = 0
  }

  #mark(order: number): void {
    if (order > this.#arrived) this.#arrived = order
  }

  #again(): void {
    for (const hole of this.#list) {
      if (hole.order !== WAITING && this.#arrived >= hole.order + TOLERANCE) hole.order = WAITING
    }
  }
}
