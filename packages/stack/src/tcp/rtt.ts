/**
 * The retransmission timeout (RFC 6298), in milliseconds.
 *
 * Deviation: the least timeout is 200 ms, not 1 s (section 2.4), as in Linux: the path is a cable to a machine on this host.
 *
 * @module
 */

const INITIAL_MS = 1000
const LEAST_MS = 200
const MOST_MS = 60_000
/** The clock's granularity, G. */
const GRANULARITY_MS = 1

export class RoundTrip {
  /** The smoothed round trip; 0 before the first sample. */
  smoothedMs = 0
  #variationMs = 0
  #timeoutMs = INITIAL_MS
  #backoff = 0

  /** The timeout with the backoff of expiries in a row. */
  get timeoutMs(): number {
    return Math.min(MOST_MS, this.#timeoutMs * 2 ** this.#backoff)
  }

  /** Expiries since the last sample. */
  get backoff(): number {
    return this.#backoff
  }

  /** Takes the round trip of a segment that was sent once (section 3, Karn's algorithm). */
  sample(ms: number): void {
    if (this.smoothedMs === 0) {
      this.smoothedMs = ms
      this.#variationMs = ms / 2
    } else {
      this.#variationMs += (Math.abs(this.smoothedMs - ms) - this.#variationMs) / 4
      this.smoothedMs += (ms - this.smoothedMs) / 8
    }
    const timeout = this.smoothedMs + Math.max(GRANULARITY_MS, 4 * this.#variationMs)
    this.#timeoutMs = Math.min(MOST_MS, Math.max(LEAST_MS, timeout))
    this.#backoff = 0
  }

  /** Section 5.5: the timer has expired. */
  expired(): void {
    this.#backoff++
  }

  /** New data was acknowledged: the path lives, even where no sample could be taken. */
  progressed(): void {
    this.#backoff = 0
  }
}
