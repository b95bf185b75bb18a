/**
 * A timer of a loop: made once, set as often as wanted.
 *
 * @module
 */
import type { Scope } from "./scope.ts"
import { type Entry, entry, type TimerHeap } from "./timers.ts"

export class Timer {
  readonly #scope: Scope
  readonly #heap: TimerHeap
  readonly #entry: Entry

  constructor(scope: Scope, heap: TimerHeap, callback: () => void) {
    this.#scope = scope
    this.#heap = heap
    this.#entry = entry(() => scope.run("timer", callback))
  }

  /** When it fires, in the loop's time; Infinity while it is not set. */
  get deadline(): number {
    return this.#entry.deadline
  }

  /** Sets it, or moves it, to a moment of the loop's time. One in the past fires in the next round. Nothing after the scope's end. */
  at(deadline: number): void {
    // NaN would sort nowhere and stop the heap.
    if (Number.isNaN(deadline)) throw new RangeError("Cannot set a timer to NaN")
    if (deadline === Number.POSITIVE_INFINITY) this.cancel()
    else if (!this.#scope.disposed) this.#heap.set(this.#entry, deadline)
  }

  /** Sets it to `delayMs` from the beginning of this batch. */
  after(delayMs: number): void {
    this.at(this.#scope.loop.now + delayMs)
  }

  cancel(): void {
    this.#heap.cancel(this.#entry)
  }
}
