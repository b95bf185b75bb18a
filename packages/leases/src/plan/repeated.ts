/**
 * Which of many leases may have something in common, an address or a client: by sorted numbers, which costs less than a table of texts. Pure.
 *
 * @module
 */
import type { Lease } from "../model.ts"

/** Whether the number of a lease is that of another one too. What has no number may always be. */
export class Repeated {
  readonly #numbers: Float64Array
  readonly #repeated = new Set<number>()

  constructor(leases: readonly Lease[], of: (lease: Lease) => number | undefined) {
    this.#numbers = new Float64Array(leases.length)
    leases.forEach((lease, index) => {
      this.#numbers[index] = of(lease) ?? Number.NaN
    })
    const sorted = this.#numbers.toSorted()
    for (let index = 1; index < sorted.length; index++) {
      const number = sorted[index] ?? Number.NaN
      if (number === sorted[index - 1]) this.#repeated.add(number)
    }
  }

  mayBe(index: number): boolean {
    const number = this.#numbers[index] ?? Number.NaN
    return Number.isNaN(number) || this.#repeated.has(number)
  }
}
