/**
 * Where leases outlive the sidecar, as it sees that.
 *
 * @module
 */
import type { Log } from "@skep/contract"
import type { LeaseEdits, LeaseRecord } from "../thread/calls.ts"

export interface LeaseStoreOptions {
  readonly path: string
  /** `192.168.64.0/24`, told to whoever reads the file. */
  readonly subnet: string
  readonly log: Log
  /** Somebody else changed the file, and the store took that over. */
  readonly onEdits: (edits: LeaseEdits) => void
}

/** Disposing it writes what is not written yet. */
export interface LeaseStore extends AsyncDisposable {
  /** As they were found. */
  readonly found: readonly LeaseRecord[]
  /** Returns at once, never throws. Of several during one write the last counts. */
  save(leases: readonly LeaseRecord[]): void
}

/** Throws what the world refuses, as a SidecarError. */
export type OpenLeaseStore = (options: LeaseStoreOptions) => Promise<LeaseStore>
