/**
 * What may be kept of memory that others need too: by the flows of one machine, and by those of all machines.
 *
 * @module
 */

export class Allowance {
  readonly #of: Allowance | undefined
  readonly #bytes: number
  #taken = 0

  /** What is taken of it is taken `of` the other too. */
  constructor(bytes: number, of?: Allowance) {
    this.#bytes = bytes
    this.#of = of
  }

  /** Bytes that were not given back. */
  get taken(): number {
    return this.#taken
  }

  /** Returns false, and takes nothing, where less than that is left. */
  take(bytes: number): boolean {
    if (this.#taken + bytes > this.#bytes || this.#of?.take(bytes) === false) return false
    this.#taken += bytes
    return true
  }

  /** Gives back what was taken. */
  give(bytes: number): void {
    this.#taken -= bytes
    this.#of?.give(bytes)
  }
}
