/**
 * What suites with many rows may be told.
 *
 * @module
 */
export interface SuiteOptions {
  /** Parts of the names of the rows to be measured; all, if there is none. */
  readonly only: readonly string[]
  /** Once, and shortly. */
  readonly quick: boolean
  /** How often each contestant has its turn; a suite's own number where it is missing. */
  readonly rounds?: number | undefined
}

/** The number of `--rounds`; undefined for what is none. */
export function parseRounds(text: string): number | undefined {
  return /^[1-9]\d?$/.test(text) ? Number(text) : undefined
}
