/**
 * How every call of this folder ends: a number that is not negative, or `-errno`.
 *
 * @module
 */
import { EINTR } from "./errno.ts"
import { errno } from "./libc.ts"

/** The result, or `-errno` where the C function said -1. To be called right after it. */
export function outcome(result: number): number {
  return result < 0 ? -errno() : result
}

/** Whether a signal arrived before the call did anything, so that it is to be made again. */
export function interrupted(result: number): boolean {
  return result < 0 && errno() === EINTR
}
