/**
 * Time that passes when it is told to: for operations that are to end late.
 *
 * @module
 */
interface Due {
  readonly atMs: number
  readonly run: () => void
}

export class VirtualTime {
  #nowMs = 0
  #due: readonly Due[] = []

  get nowMs(): number {
    return this.#nowMs
  }

  /** How many things are still to happen. */
  get pending(): number {
    return this.#due.length
  }

  /** Has `run` called when so much time has passed; those of one moment in the order in which they were asked for. */
  after(delayMs: number, run: () => void): void {
    const due = { atMs: this.#nowMs + delayMs, run }
    this.#due = [...this.#due, due].toSorted((one, other) => one.atMs - other.atMs)
  }

  /** Lets time pass, and with it happen what is due, and what that brings about. */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs
    for (;;) {
      const next = this.#due[0]
      if (next === undefined || next.atMs > endMs) break
      this.#due = this.#due.slice(1)
      this.#nowMs = next.atMs
      next.run()
    }
    this.#nowMs = endMs
  }
}
