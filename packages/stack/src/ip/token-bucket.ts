/**
 * So many in a burst, so many a second after that: RFC 4443, section 2.4 (f).
 *
 * @module
 */

interface Bucket {
  tokens: number
  filledMs: number
}

/** A bucket for each machine. */
export class TokenBuckets {
  readonly #burst: number
  readonly #perSecond: number
  readonly #buckets = new Map<number, Bucket>()

  constructor(burst: number, perSecond: number) {
    this.#burst = burst
    this.#perSecond = perSecond
  }

  /** Whether there is one left for the machine; then it is taken. */
  take(machine: number, nowMs: number): boolean {
    const bucket = this.#buckets.get(machine) ?? { tokens: this.#burst, filledMs: nowMs }
    this.#buckets.set(machine, bucket)
    const gained = ((nowMs - bucket.filledMs) * this.#perSecond) / 1000
    bucket.tokens = Math.min(this.#burst, bucket.tokens + gained)
    bucket.filledMs = nowMs
    if (bucket.tokens < 1) return false
    bucket.tokens--
    return true
  }

  forget(machine: number): void {
    this.#buckets.delete(machine)
  }
}
