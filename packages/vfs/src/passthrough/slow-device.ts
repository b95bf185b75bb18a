/**
 * Whether a device makes writes wait now: dirty pages are throttled (balance_dirty_pages), and a thread that serves others has better things to do.
 *
 * A write that takes long may only have lost the processor to another program. So the first one is a suspicion, and the writes after it are asked whether they
 * waited, which costs a system call each, and a second one where they were long.
 *
 * ```
 *                                  ┌───────────── a second ──────────────┐
 *                                  ▼                                      │
 *  trusted ── a long write ──► suspected ── a long write that waited ──► slow
 *     ▲                           │ a second
 *     └───────────────────────────┘
 * ```
 *
 * @module
 */

/** What a write to the page cache never takes by itself. */
const LONG_MS = 8
const SUSPECTED_MS = 1000
const SLOW_MS = 1000
const NOT_ASKED = -1

export class SlowDevice {
  readonly #waits: () => number
  #suspectedUntil = 0
  #slowUntil = 0
  #began = 0
  #waitsBefore = NOT_ASKED

  /** `waits` counts how often the calling thread has waited for something. */
  constructor(waits: () => number) {
    this.#waits = waits
  }

  isSlow(now: number): boolean {
    return now < this.#slowUntil
  }

  /** A write begins, in milliseconds of any clock that never goes back. */
  begin(now: number): void {
    this.#began = now
    this.#waitsBefore = now < this.#suspectedUntil ? this.#waits() : NOT_ASKED
  }

  /** It has ended. */
  end(now: number): void {
    if (now - this.#began <= LONG_MS) return
    this.#suspectedUntil = now + SUSPECTED_MS
    if (this.#waitsBefore === NOT_ASKED || this.#waits() <= this.#waitsBefore) return
    this.#slowUntil = now + SLOW_MS
    // One that is slow still shows it by the first write after.
    this.#suspectedUntil = this.#slowUntil + SUSPECTED_MS
  }
}
