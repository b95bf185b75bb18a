/**
 * Tells when nobody was connected for a while: how a sidecar notices that its machine is gone.
 *
 * @module
 */
import type { Scope } from "@skep/loop"

export interface Company {
  /** Somebody is connected from now on. */
  came(): void
  /** Nobody is any more. */
  left(): void
}

/** Calls `onLonely` when nobody was connected for `lonelyMs`, from now or the last `left` on; never where that is 0. */
export function watchCompany(scope: Scope, lonelyMs: number, onLonely: () => void): Company {
  const timer = scope.timer(onLonely)
  const left = (): void => {
    if (lonelyMs > 0) timer.after(lonelyMs)
  }
  left()
  return { came: () => timer.cancel(), left }
}
