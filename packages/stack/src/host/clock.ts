/**
 * Time as the core asks for it: given by the driver, virtual in tests.
 *
 * @module
 */

/** One alarm, made once and set many times. */
export interface Alarm {
  /** When it is due; Infinity while it is not set. */
  readonly deadline: number
  /** Sets it to a time of `now`; Infinity cancels. */
  at(deadline: number): void
  cancel(): void
}

export interface Clock {
  /** Milliseconds, with fractions, that never go back. */
  now(): number
  alarm(callback: () => void): Alarm
}
