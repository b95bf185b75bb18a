/**
 * Timers in a binary heap, ordered by deadline and then by when they were set. Pure: time is a parameter.
 *
 * A timer that is moved later, as each acknowledgement moves a retransmission, costs no heap operation: its old entry comes up early and is
 * put back where it belongs then. So `nextAt` may be too early, never too late.
 *
 * @module
 */

/** One timer, made once and set many times. */
export interface Entry {
  /** When it is due; Infinity while it is not set. */
  deadline: number
  /** Counts settings: who was set first fires first among equals. */
  order: number
  /** Its place in the heap, -1 outside. */
  index: number
  /** What the heap sorts by: at or before `deadline`. */
  key: number
  keyOrder: number
  /** Taken to be fired, and neither set nor cancelled since. */
  due: boolean
  readonly fire: () => void
}

export function entry(fire: () => void): Entry {
  return { deadline: Number.POSITIVE_INFINITY, order: 0, index: -1, key: 0, keyOrder: 0, due: false, fire }
}

export class TimerHeap {
  readonly #heap: Entry[] = []
  #order = 0

  /** Entries in the heap: timers that are set. */
  get size(): number {
    return this.#heap.length
  }

  /** When `take` has to be called next, at the latest; Infinity for never. */
  get nextAt(): number {
    return this.#heap[0]?.key ?? Number.POSITIVE_INFINITY
  }

  set(timer: Entry, deadline: number): void {
    timer.due = false
    timer.deadline = deadline
    timer.order = ++this.#order
    if (timer.index < 0) this.#insert(timer)
    else if (deadline < timer.key) {
      timer.key = deadline
      timer.keyOrder = timer.order
      this.#up(timer)
    }
  }

  /** Does nothing to one that is not set. */
  cancel(timer: Entry): void {
    timer.due = false
    timer.deadline = Number.POSITIVE_INFINITY
    if (timer.index >= 0) this.#delete(timer)
  }

  /** Takes up to `limit` due timers into `into`, in the order they are to fire. They are not set any more, but `due`. */
  take(now: number, limit: number, into: Entry[]): void {
    let taken = 0
    for (let top = this.#heap[0]; top !== undefined && top.key <= now && taken < limit; top = this.#heap[0]) {
      if (top.key === top.deadline && top.keyOrder === top.order) {
        this.#delete(top)
        top.deadline = Number.POSITIVE_INFINITY
        top.due = true
        into.push(top)
        taken++
      } else {
        top.key = top.deadline
        top.keyOrder = top.order
        this.#down(top)
      }
    }
  }

  #insert(timer: Entry): void {
    timer.key = timer.deadline
    timer.keyOrder = timer.order
    timer.index = this.#heap.length
    this.#heap.push(timer)
    this.#up(timer)
  }

  #delete(timer: Entry): void {
    const last = this.#heap.pop()
    if (last !== undefined && last !== timer) {
      last.index = timer.index
      this.#heap[last.index] = last
      this.#up(last)
      this.#down(last)
    }
    timer.index = -1
  }

  #up(timer: Entry): void {
    const heap = this.#heap
    let index = timer.index
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || !before(timer, parent)) break
      heap[index] = parent
      parent.index = index
      index = above
    }
    heap[index] = timer
    timer.index = index
  }

  #down(timer: Entry): void {
    const heap = this.#heap
    let index = timer.index
    for (;;) {
      let below = 2 * index + 1
      let child = heap[below]
      const right = heap[below + 1]
      if (child !== undefined && right !== undefined && before(right, child)) {
        child = right
        below++
      }
      if (child === undefined || !before(child, timer)) break
      heap[index] = child
      child.index = index
      index = below
    }
    heap[index] = timer
    timer.index = index
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.key < b.key || (a.key === b.key && a.keyOrder < b.keyOrder)
}
