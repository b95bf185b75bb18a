/**
 * Where the server's leases outlive it.
 *
 * @module
 */
import type { Lease } from "./lease.ts"
import { NOTHING_REMEMBERED, type Remembered } from "./remembered.ts"

/** Nothing here may wait: on the packet path nothing does. What writes a file takes the leases and returns. */
export interface Store {
  /** Called once, by the constructor. */
  load(): readonly Lease[]
  /** What was saved beside them; read once, by the constructor. */
  readonly remembered: Remembered
  /** All leases there are, the expired ones too, and what else is to be known by the next one. */
  save(leases: readonly Lease[], remembered: Remembered): void
}

/** Keeps them in memory. */
export function memoryStore(
  initial: readonly Lease[] = [],
  before: Remembered = NOTHING_REMEMBERED,
): Store & { readonly saved: readonly Lease[] } {
  let saved = initial
  let remembered = before
  return {
    get saved() {
      return saved
    },
    get remembered() {
      return remembered
    },
    load: () => saved,
    save: (leases, beside) => {
      saved = leases
      remembered = beside
    },
  }
}
