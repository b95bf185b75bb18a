/**
 * The loop's time for the core.
 *
 * @module
 */
import type { Scope } from "@skep/loop"
import type { Clock } from "../host/clock.ts"

/** Alarms end with the scope. */
export function loopClock(scope: Scope): Clock {
  const { loop } = scope
  return { now: () => loop.now, alarm: (callback) => scope.timer(callback) }
}
