/**
 * How long to wait before another attempt: 10 ms, then longer each time, up to 1 s.
 *
 * @module
 */

const FIRST_MS = 10
const MAX_MS = 1000

/** After one that came to nothing, though somebody was there: others have to be spared. */
export const DOUBLE: number = 2
/**
 * While nobody is there, which costs one system call to find out: whoever comes is found later by an eighth of the time that he was away. A back end that is
 * started again takes half a second for that, and its guest waits.
 */
export const AN_EIGHTH: number = 9 / 8

export class Backoff {
  #ms = FIRST_MS

  /** The wait before the next attempt. The one after that is longer by `growth`. */
  next(growth: number = DOUBLE): number {
    const ms = this.#ms
    this.#ms = Math.min(growth * ms, MAX_MS)
    return ms
  }

  /** An attempt brought something. */
  reset(): void {
    this.#ms = FIRST_MS
  }
}
