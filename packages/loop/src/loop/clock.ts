/**
 * Time as the loop sees it: milliseconds, with fractions, that never go back. Their origin means nothing.
 *
 * @module
 */

export interface Clock {
  now(): number
}

export const monotonic: Clock = { now: () => performance.now() }
