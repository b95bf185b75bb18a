/**
 * Where the server's leases outlive it.
 *
 * @module
 */
import type { Lease } from "./lease.ts"

/** Neither call may wait: on the packet path nothing does. What writes a file takes the leases and returns. */
export interface Store {
  /** Called once, by the constructor. */
  load(): readonly Lease[]
  /** All leases there are, the expired ones too. */
  save(leases: readonly Lease[]): void
}

/** Keeps them in memory. */
export function memoryStore(initial: readonly Lease[] = []): Store & { readonly saved: readonly Lease[] } {
  let saved = initial
  return {
    get saved() {
      return saved
    },
    load: () => saved,
    save: (leases) => {
      saved = leases
    },
  }
}
