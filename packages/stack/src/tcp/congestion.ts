/**
 * How much may be on its way to the guest at once.
 *
 * Deviation from RFC 5681: nothing but a cable lies between us and the guest, so a connection begins with what the guest's window takes. When
 * something is lost after all there are two cases, told apart as BBR does by how much of a round trip's bytes were lost. A few are bad luck (a fault
 * that is being injected) and mean nothing. More are a queue that runs over: the window becomes what got through, as in TCP Westwood, and grows
 * slowly from there. A timeout begins again with one segment (section 3.1).
 *
 * @module
 */

const LEAST_SEGMENTS = 4
/** The share of a round trip's bytes that may be lost by bad luck. */
const BAD_LUCK = 0.02
/** Growth of a window in a round trip, a segment at least, where the last loss was bad luck and where the queue ran over. */
const GROWTH = 1 / 8
const GROWTH_AFTER_OVERRUN = 1 / 64
/** Round trips without an overrun after which it is forgotten. */
const FORGOTTEN = 16
export class Congestion {
  /** Bytes; Infinity before the first loss. */
  window: number = Number.POSITIVE_INFINITY
  #threshold = Number.POSITIVE_INFINITY
  readonly #segment: () => number
  /** In the round trip that goes on. */
  #delivered = 0
  #lost = 0
  #overrun = false
  /** What got through in the last whole ones, the best of which counts. */
  readonly #through: number[] = [0, 0, 0, 0]
  #round = 0
  #overrunAt = Number.NEGATIVE_INFINITY

  /** `segment` tells the bytes of one. */
  constructor(segment: () => number) {
    this.#segment = segment
  }

  /** The guest has got `bytes` more, in order or not, with `out` still on their way before. */
  delivered(bytes: number, out: number): void {
    this.#delivered += bytes
    // RFC 7661: a window that is not used says nothing about a larger one.
    if (this.window === Number.POSITIVE_INFINITY || 2 * out < this.window) return
    const recent = this.#round - this.#overrunAt < FORGOTTEN
    const share = Math.max(recent ? GROWTH_AFTER_OVERRUN : GROWTH, this.#segment() / this.window)
    this.window += this.window < this.#threshold ? bytes : bytes * share
  }

  /** What was on its way when the round trip began has arrived or was overtaken. */
  roundTrip(): void {
    this.#through[this.#round++ % this.#through.length] = this.#delivered
    this.#delivered = 0
    this.#lost = 0
    this.#overrun = false
  }

  /** `bytes` were found to be lost, with `inFlight` not acknowledged. */
  lost(bytes: number, inFlight: number): void {
    this.#lost += bytes
    const sum = this.#delivered + this.#lost
    const luck = Math.max(BAD_LUCK * Math.max(sum, this.#best, inFlight), this.#segment())
    if (this.#lost <= luck || this.#overrun) {
      if (this.window === Number.POSITIVE_INFINITY)
        this.window = this.#threshold = Math.max(inFlight, this.#least)
      return
    }
    this.#overrun = true
    this.#overrunAt = this.#round
    this.#threshold = Math.max(Math.min(inFlight, Math.max(this.#best, this.#delivered)), this.#least)
    this.window = Math.min(this.window, this.#threshold)
  }

  /** RFC 5681, section 3.1. */
  timeout(inFlight: number): void {
    this.#threshold = Math.max(this.#best, Math.min(this.window, inFlight) / 2, this.#least)
    this.window = this.#segment()
    this.#overrunAt = this.#round
  }

  get #best(): number {
    return Math.max(...this.#through)
  }

  get #least(): number {
    return LEAST_SEGMENTS * this.#segment()
  }
}
