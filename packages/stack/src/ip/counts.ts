/**
 * Counters by name: each reason for dropping something is one.
 *
 * @module
 */

export class Counts<Name extends string> {
  readonly #counts = new Map<Name, number>()

  constructor(names: readonly Name[]) {
    for (const name of names) this.#counts.set(name, 0)
  }

  add(name: Name): void {
    this.#counts.set(name, this.get(name) + 1)
  }

  get(name: Name): number {
    return this.#counts.get(name) ?? 0
  }

  /** A copy of how things stand. */
  snapshot(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts)
  }
}
