/**
 * What every link begins with.
 *
 * @module
 */
import type { LinkCounters, Receiver } from "./link.ts"

export function newLinkCounters(): LinkCounters {
  return { framesIn: 0, bytesIn: 0, framesOut: 0, bytesOut: 0, malformed: 0, droppedOut: 0 }
}

/** The owner of a link that has none yet. */
export const nobody: Receiver = {
  onFrame: () => undefined,
  onSettle: () => undefined,
  onRoom: () => undefined,
  onCarrier: () => undefined,
}
