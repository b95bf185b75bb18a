/**
 * So many in a burst, so many a second after that: RFC 4443, section 2.4 (f).
 *
 * @module
 */
import { Budget } from "@skep/link"

/** A bucket for each machine. */
export class TokenBuckets {
  readonly #burst: number
  readonly #perSecond: number
  readonly #buckets = new Map<number, Budget>()

  constructor(burst: number, perSecond: number) {
    this.#burst = burst
    this.#perSecond = perSecond
  }

  /** Whether there is one left for the machine; then it is taken. */
  take(machine: number, nowMs: number): boolean {
    let bucket = this.#buckets.get(machine)
    if (bucket === undefined) {
      bucket = new Budget(this.#perSecond, this.#burst, nowMs)
      this.#buckets.set(machine, bucket)
    }
    return bucket.take(nowMs)
  }

  forget(machine: number): void {
    this.#buckets.delete(machine)
  }
}
