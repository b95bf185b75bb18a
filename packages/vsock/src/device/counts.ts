/**
 * Counters of one device by name. Each reason for dropping or resetting something is one of them.
 *
 * @module
 */

const ZERO = {
  "packets-in": 0,
  "packets-out": 0,
  "bytes-to-host": 0,
  "bytes-to-guest": 0,
  "guest-connects": 0,
  "host-connects": 0,
  established: 0,
  "resets-in": 0,
  "resets-out": 0,
  // RSTs for streams of an earlier device.
  orphans: 0,
  // Dropped: the header is wrong.
  truncated: 0,
  "bad-cid": 0,
  "wrong-source": 0,
  "wrong-destination": 0,
  // Dropped: it says nothing that matters.
  "unknown-op": 0,
  "empty-data": 0,
  "unwanted-data": 0,
  "after-reset": 0,
  // Answered with RST.
  "unknown-type": 0,
  "unknown-stream": 0,
  "over-limit": 0,
  // The stream ends with RST, because the guest broke the protocol.
  "duplicate-request": 0,
  "unasked-response": 0,
  "out-of-state": 0,
  "after-shutdown": 0,
  "over-credit": 0,
  "false-credit": 0,
  "short-payload": 0,
  // The stream ends with RST, for other reasons.
  "over-budget": 0,
  refused: 0,
  "host-failed": 0,
  aborted: 0,
  "connect-timeout": 0,
  "linger-timeout": 0,
  // Dropped: a RST that there was no room to remember.
  "reset-lost": 0,
}

export type Counter = keyof typeof ZERO

export class Counts {
  readonly #counts: Record<Counter, number> = { ...ZERO }

  add(name: Counter, by = 1): void {
    this.#counts[name] += by
  }

  /** A copy of how things stand. */
  snapshot(): Readonly<Record<Counter, number>> {
    return { ...this.#counts }
  }
}
