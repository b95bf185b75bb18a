/**
 * Which of many leases may have something in common, an address or a client: by sorted numbers, which costs less than a table of texts. Pure.
 *
 * @module
 */
import type { Lease } from "../model.ts"
import { numberOf } from "./address-number.ts"

/** Whether the number of a lease is that of another one too. What has no number may always be. Nothing is kept of those that are alone. */
export class Repeated {
  readonly #of: (lease: Lease) => number | undefined
  readonly #repeated = new Set<number>()
  readonly #allNumbered: boolean

  constructor(leases: readonly Lease[], of: (lease: Lease) => number | undefined) {
    this.#of = of
    const numbers = Float64Array.from(leases, (lease) => of(lease) ?? Number.NaN).sort()
    // Those come last.
    this.#allNumbered = !Number.isNaN(numbers.at(-1) ?? 0)
    for (let index = 1; index < numbers.length; index++) {
      const number = numbers[index] ?? Number.NaN
      if (number === numbers[index - 1]) this.#repeated.add(number)
    }
  }

  mayBe(lease: Lease): boolean {
    if (this.#allNumbered && this.#repeated.size === 0) return false
    const number = this.#of(lease)
    return number === undefined || this.#repeated.has(number)
  }
}

const known = new WeakMap<readonly Lease[], Repeated>()

/** Of their addresses; looked for once. */
export function repeatedAddresses(leases: readonly Lease[]): Repeated {
  let found = known.get(leases)
  if (found === undefined) {
    found = new Repeated(leases, ({ address }) => numberOf(address))
    known.set(leases, found)
  }
  return found
}
