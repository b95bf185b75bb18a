/**
 * How long an acknowledgement may wait for data that carries it (RFC 9293, section 3.8.6.3: MUST-58 and SHLD-18; RFC 5681, section 4.2).
 *
 * ```
 *  data ──► waits ──► data of ours carries it          worth it: one segment, not two
 *                └──► a millisecond went by            in vain: this host does not answer at once
 * ```
 *
 * A program on this host that answers does so within microseconds. One that does not, as a server that reads a stream of small pieces, keeps a guest
 * waiting that sends no second small piece before the first is acknowledged (RFC 896). So a flow waits only as long as that has mostly been worth it.
 *
 * @module
 */
import { distance } from "./seq.ts"

/** RFC 9293, section 3.8.6.3, allows half a second. */
const DELAY_MS = 1
/** What waiting in vain counts, as against 1 for waiting with success. */
const IN_VAIN = 2
const SCORE_MOST = 8
/** MUST-58: at least every second full segment. */
const SEGMENTS = 2

export class AckDelay {
  /** When an acknowledgement is to go at the latest: Infinity where none is due, in the past where it cannot wait. */
  at: number = Number.POSITIVE_INFINITY
  /** The end of what was acknowledged. */
  #told: number
  /** When one went out alone that no data of ours has followed yet. */
  #aloneAt = Number.NEGATIVE_INFINITY
  /** Waits while this is more than 0: a connection begins with a question, mostly. */
  #score = 1

  constructor(next: number) {
    this.#told = next
  }

  /** One is due and cannot wait. */
  now(): void {
    this.at = Number.NEGATIVE_INFINITY
  }

  /** The stream was received up to `next`; the guest's segments have up to `segment` bytes. */
  received(next: number, segment: number, now: number): void {
    // It has sent on before there was an answer.
    if (now - this.#aloneAt <= DELAY_MS) this.#inVain()
    this.#aloneAt = Number.NEGATIVE_INFINITY
    if (this.#score <= 0 || distance(next, this.#told) >= SEGMENTS * segment) this.now()
    else if (this.at === Number.POSITIVE_INFINITY) this.at = now + DELAY_MS
  }

  /** A segment that acknowledges everything up to `next` went out. */
  told(next: number, withData: boolean, now: number): void {
    const waited = this.at > now && this.at !== Number.POSITIVE_INFINITY
    if (withData) {
      if (waited || now - this.#aloneAt <= DELAY_MS) this.#score = Math.min(SCORE_MOST, this.#score + 1)
      this.#aloneAt = Number.NEGATIVE_INFINITY
    } else if (this.at <= now) {
      if (this.at > Number.NEGATIVE_INFINITY) this.#inVain()
      else this.#aloneAt = now
    }
    this.at = Number.POSITIVE_INFINITY
    this.#told = next
  }

  #inVain(): void {
    this.#score = Math.max(-SCORE_MOST, this.#score - IN_VAIN)
  }
}
