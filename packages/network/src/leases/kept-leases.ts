/**
 * Leases in the file that the DHCP server documents (dhcp/lease-file.md), which others may prune.
 *
 * @module
 */
import { LeaseFile } from "../dhcp/lease-file.ts"
import { LeaseKeeper } from "../dhcp/lease-keeper.ts"
import type { LeaseStore, LeaseStoreOptions } from "./lease-store.ts"

export async function keepLeases({ path, subnet, log, onEdits }: LeaseStoreOptions): Promise<LeaseStore> {
  const file = new LeaseFile({ path, network: subnet, log })
  const found = await file.open()
  const keeper = new LeaseKeeper({ file, log, onEdits })
  return {
    found,
    save: (leases) => keeper.save(leases),
    [Symbol.asyncDispose]: async () => {
      try {
        await keeper[Symbol.asyncDispose]()
      } catch (error) {
        // Machines ask for their addresses again, and the same ones are found without the file.
        log.info("lease file not written", { path, reason: String(error) })
      }
    },
  }
}
