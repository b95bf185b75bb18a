/**
 * Whether a machine has its shares over NFS, and on which port of its gateway.
 *
 * @module
 */
import type { MachineRecord } from "../../../machine/record.ts"

/** IANA's port of NFS. */
export const NFS_PORT = 2049

export function servesNfs({
  shareProtocol,
  sharesProvider = "skep",
}: Pick<MachineRecord, "shareProtocol" | "sharesProvider">): boolean {
  return shareProtocol === "nfs" && sharesProvider === "skep"
}
