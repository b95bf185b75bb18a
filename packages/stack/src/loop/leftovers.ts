/**
 * Sockets from which bytes that the guest has are still to be thrown away: done for all of them together, soon.
 *
 * Where the kernel runs short of memory for TCP it opens no window over a few bytes that are left, and the other side would wait for ever.
 *
 * @module
 */
import type { Scope, Timer } from "@skep/loop"

const SOON_MS = 50

export interface Leftover {
  /** Throws away what the guest has. Nothing where that was done already, or the socket is gone. */
  settle(): void
}

export class Leftovers {
  readonly #timer: Timer
  #waiting: Leftover[] = []

  /** The timer ends with `scope`. */
  constructor(scope: Scope) {
    this.#timer = scope.timer(() => this.#settle())
  }

  add(leftover: Leftover): void {
    if (this.#waiting.length === 0) this.#timer.after(SOON_MS)
    this.#waiting.push(leftover)
  }

  #settle(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const leftover of waiting) leftover.settle()
  }
}
