/**
 * Time that passes when a test says so.
 *
 * @module
 */
import type { FaultClock } from "../../src/index.ts"

interface Entry {
  deadline: number
  readonly callback: () => void
}

export class VirtualClock implements FaultClock {
  now = 0
  readonly #entries: Entry[] = []

  timer(callback: () => void) {
    const entry = { deadline: Number.POSITIVE_INFINITY, callback }
    this.#entries.push(entry)
    return {
      at: (deadline: number) => {
        entry.deadline = deadline
      },
      cancel: () => {
        entry.deadline = Number.POSITIVE_INFINITY
      },
    }
  }

  /** Goes on to `end`, from timer to timer. */
  pass(end: number): void {
    for (;;) {
      const [next] = this.#entries.toSorted((a, b) => a.deadline - b.deadline)
      if (next === undefined || next.deadline > end) break
      this.now = Math.max(this.now, next.deadline)
      next.deadline = Number.POSITIVE_INFINITY
      next.callback()
    }
    this.now = Math.max(this.now, end)
  }
}
