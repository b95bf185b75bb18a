/**
 * Where leases outlive the sidecar, as it sees that: the file of lease-file.md, which others may prune.
 *
 * @module
 */
import type { Log } from "@skep/contract"
import type { Lease } from "./lease.ts"
import { type Edits, LeaseFile } from "./lease-file.ts"
import { LeaseKeeper } from "./lease-keeper.ts"
import type { Remembered } from "./remembered.ts"

export interface LeaseStoreOptions {
  readonly path: string
  /** `192.168.64.0/24`, told to whoever reads the file. */
  readonly subnet: string
  readonly log: Log
  /** Somebody else changed the file, and the store took that over. */
  readonly onEdits: (edits: Edits) => void
}

/** Disposing it writes what is not written yet. */
export interface LeaseStore extends AsyncDisposable {
  /** As they were found. */
  readonly found: readonly Lease[]
  /** What was found beside them. */
  readonly remembered: Remembered
  /** Fulfils with whether they, or newer ones, are kept by now; never rejects. Of several during one write the last counts. */
  save(leases: readonly Lease[], remembered?: Remembered): Promise<boolean>
}

/** Throws what the world refuses, as a SidecarError. */
export type OpenLeaseStore = (options: LeaseStoreOptions) => Promise<LeaseStore>

/** Keeps them in the file at `path`. */
export async function keepLeases({ path, subnet, log, onEdits }: LeaseStoreOptions): Promise<LeaseStore> {
  const file = new LeaseFile({ path, network: subnet, log })
  const found = await file.open()
  const keeper = new LeaseKeeper({ file, log, onEdits })
  return {
    found,
    remembered: file.remembered,
    save: (leases, remembered) => keeper.save(leases, remembered),
    [Symbol.asyncDispose]: async () => {
      try {
        await keeper[Symbol.asyncDispose]()
      } catch (error) {
        // Machines ask for their addresses again, and the same ones are found without the file.
        log.info("lease file not written", {
          path,
          reason: error instanceof Error ? error.message : String(error),
        })
      }
    },
  }
}
