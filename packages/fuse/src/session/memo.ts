/**
 * What outlives a session whose process is killed: the guest never says INIT twice, and asks again what was not answered.
 *
 * A request that changes something is written down before and after it is done, at a place of its own. A successor that is given the request again
 * answers what its predecessor would have answered (`repeat.ts`).
 *
 * @module
 */

/** What was agreed upon in INIT. */
export interface Negotiated {
  readonly minor: number
  readonly flags: number
  readonly flags2: number
  readonly maxWrite: number
}

/** What is known of a request that comes again. */
export interface Outcome {
  /** "begun": whether it was done cannot be known. */
  readonly phase: "unknown" | "begun" | "done"
  /** `-errno`, or what was moved, or 0. */
  readonly result: number
  readonly node: number
  readonly handle: number
}

export interface Memo {
  readonly negotiated: Negotiated | undefined
  setNegotiated(negotiated: Negotiated | undefined): void
  begin(slot: number, uniqueLow: number, uniqueHigh: number): void
  end(slot: number, result: number, node: number, handle: number): void
  recall(slot: number, uniqueLow: number, uniqueHigh: number): Outcome
}

/** For sessions whose machine ends with them. */
export class Forgetful implements Memo {
  #negotiated: Negotiated | undefined

  get negotiated(): Negotiated | undefined {
    return this.#negotiated
  }

  setNegotiated(negotiated: Negotiated | undefined): void {
    this.#negotiated = negotiated
  }

  begin(): void {
    // Nobody comes after.
  }

  end(): void {
    // Nobody comes after.
  }

  recall(): Outcome {
    return { phase: "unknown", result: 0, node: 0, handle: -1 }
  }
}
