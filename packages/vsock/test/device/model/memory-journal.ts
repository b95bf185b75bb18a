/**
 * A journal without a file, for devices that come after each other in one test.
 *
 * @module
 */
import type { Journal, Pair } from "../../../src/device/journal.ts"

export class MemoryJournal implements Journal {
  readonly left: readonly Pair[]
  readonly #open = new Map<string, Pair>()

  constructor(left: readonly Pair[] = []) {
    this.left = left
    for (const pair of left) this.open(pair)
  }

  /** What a device that comes after this one finds. */
  get pairs(): readonly Pair[] {
    return [...this.#open.values()]
  }

  open({ guestPort, hostPort }: Pair): void {
    this.#open.set(`${guestPort}.${hostPort}`, { guestPort, hostPort })
  }

  close({ guestPort, hostPort }: Pair): void {
    this.#open.delete(`${guestPort}.${hostPort}`)
  }
}
