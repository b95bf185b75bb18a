/**
 * Time that moves when it is told to: alarms and deliveries in the order of their moments.
 *
 * @module
 */
import type { Alarm, Clock } from "../../src/host/clock.ts"

interface Entry {
  deadline: number
  order: number
  readonly run: () => void
}

/** As an entry was when it was set; one that was set anew since is passed over. */
interface Due {
  readonly deadline: number
  readonly order: number
  readonly entry: Entry
}

export class VirtualClock implements Clock {
  #now = 0
  #order = 0
  /** A binary heap. */
  readonly #heap: Due[] = []

  now(): number {
    return this.#now
  }

  alarm(callback: () => void): Alarm {
    const entry: Entry = { deadline: Number.POSITIVE_INFINITY, order: 0, run: callback }
    const set = (deadline: number): void => {
      entry.deadline = deadline
      entry.order = ++this.#order
      if (deadline < Number.POSITIVE_INFINITY) this.#push({ deadline, order: entry.order, entry })
    }
    return {
      get deadline() {
        return entry.deadline
      },
      at: set,
      cancel: () => set(Number.POSITIVE_INFINITY),
    }
  }

  /** Runs `callback` once, `delayMs` from now. */
  after(delayMs: number, callback: () => void): void {
    this.alarm(callback).at(this.#now + delayMs)
  }

  /** Moves on to the next thing that is due and does it. Returns false where nothing is, or nothing before `until`. */
  step(until: number = Number.POSITIVE_INFINITY): boolean {
    for (;;) {
      const next = this.#heap[0]
      if (next === undefined || next.deadline > until) return false
      this.#pop()
      if (next.entry.order !== next.order) continue
      this.#now = Math.max(this.#now, next.deadline)
      next.entry.deadline = Number.POSITIVE_INFINITY
      next.entry.run()
      return true
    }
  }

  /** Nothing is due before `until`: it is that time now. */
  rest(until: number): void {
    this.#now = Math.max(this.#now, until)
  }

  #push(due: Due): void {
    const heap = this.#heap
    let at = heap.push(due) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!earlier(due, heap[above])) break
      heap[at] = heap[above] ?? due
      at = above
    }
    heap[at] = due
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      const right = heap[child + 1]
      if (right !== undefined && earlier(right, heap[child])) child++
      const below = heap[child]
      if (below === undefined || !earlier(below, last)) break
      heap[at] = below
      at = child
    }
    heap[at] = last
  }
}

function earlier(a: Due, b: Due | undefined): boolean {
  return b !== undefined && (a.deadline < b.deadline || (a.deadline === b.deadline && a.order < b.order))
}
