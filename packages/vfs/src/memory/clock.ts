/**
 * What time it is in a file system in memory: a parameter, so that tests know every timestamp.
 *
 * @module
 */
import type { Timestamp } from "../filesystem.ts"

/** Read once for each operation that marks a time. */
export type FileClock = () => Timestamp

const BILLION = 1_000_000_000

/** A clock whose every reading is `stepNanoseconds` after the one before: no two changes have the same time. */
export function tickingClock(seconds = 1_600_000_000, stepNanoseconds = 1_000): FileClock {
  let at = { seconds, nanoseconds: 0 }
  return () => {
    const nanoseconds = at.nanoseconds + stepNanoseconds
    at = { seconds: at.seconds + Math.floor(nanoseconds / BILLION), nanoseconds: nanoseconds % BILLION }
    return at
  }
}
