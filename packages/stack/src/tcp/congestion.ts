/**
 * How much may be on its way to the guest at once.
 *
 * Deviation from RFC 5681: nothing but a cable lies between us and the guest, so a connection begins with what the guest's window takes. When
 * something is lost after all (a queue in the guest ran over, or a fault is being injected) the window becomes what got through in the last round
 * trip, as in TCP Westwood, so a queue that runs over is found and a random loss costs next to nothing. A timeout begins again with one segment
 * (section 3.1).
 *
 * @module
 */

const LEAST_SEGMENTS = 4
/** Growth of a window that is known to have been too large once: a sixteenth a round trip. */
const GROWTH = 16

export class Congestion {
  /** Bytes; Infinity before the first loss. */
  window: number = Number.POSITIVE_INFINITY
  #threshold = Number.POSITIVE_INFINITY
  readonly #segment: number
  /** Delivered in the round trip that goes on, and in the last whole one. */
  #now = 0
  #last = 0

  constructor(segment: number) {
    this.#segment = segment
  }

  /** The guest has got `bytes` more, in order or not. */
  delivered(bytes: number): void {
    this.#now += bytes
    if (this.window === Number.POSITIVE_INFINITY) return
    // Doubling in a round trip below the threshold, slowly above.
    this.window += this.window < this.#threshold ? bytes : bytes / GROWTH
  }

  /** What was on its way when the round trip began has been acknowledged. */
  roundTrip(): void {
    this.#last = this.#now
    this.#now = 0
  }

  /** A loss was noticed, the first of its round trip. */
  lost(inFlight: number): void {
    const through = Math.max(this.#last, this.#now, LEAST_SEGMENTS * this.#segment)
    this.#threshold = Math.min(through, Math.max(inFlight, LEAST_SEGMENTS * this.#segment))
    this.window = this.#threshold
  }

  timeout(inFlight: number): void {
    this.#threshold = Math.max(this.#last, inFlight / 2, LEAST_SEGMENTS * this.#segment)
    this.window = this.#segment
  }
}
