/**
 * What may be kept of memory that others need too: by the flows of one machine, and by those of all machines.
 *
 * @module
 */

export class Allowance {
  readonly #of: Allowance | undefined
  #left: number

  /** What is taken of it is taken `of` the other too. */
  constructor(bytes: number, of?: Allowance) {
    this.#left = bytes
    this.#of = of
  }

  /** Returns false, and takes nothing, where less than that is left. */
  take(bytes: number): boolean {
    if (bytes > this.#left || this.#of?.take(bytes) === false) return false
    this.#left -= bytes
    return true
  }

  /** Gives back what was taken. */
  give(bytes: number): void {
    this.#left += bytes
    this.#of?.give(bytes)
  }
}
