/**
 * How long to wait before another attempt: 10 ms, then twice as long each time, up to 1 s.
 *
 * @module
 */

const FIRST_MS = 10
const MAX_MS = 1000

export class Backoff {
  #ms = FIRST_MS

  /** The wait before the next attempt. */
  next(): number {
    const ms = this.#ms
    this.#ms = Math.min(2 * ms, MAX_MS)
    return ms
  }

  /** An attempt brought something. */
  reset(): void {
    this.#ms = FIRST_MS
  }
}
