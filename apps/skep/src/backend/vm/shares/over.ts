/**
 * Whether a machine has its shares over NFS, whose server that is, and on which ports of its gateway.
 *
 * @module
 */
import type { GatewayService } from "@skep/network/client"
import type { MachinePaths } from "../../../home/paths.ts"
import type { MachineRecord } from "../../../machine/record.ts"

/** IANA's port of NFS. */
export const NFS_PORT = 2049
/** IANA's of the MOUNT protocol, which the host's own server has apart. */
export const MOUNT_PORT = 20_048

type Chosen = Pick<MachineRecord, "shareProtocol" | "sharesProvider">

/** By Skep's own server. */
export function servesNfs({ shareProtocol, sharesProvider = "skep" }: Chosen): boolean {
  return shareProtocol === "nfs" && sharesProvider === "skep"
}

/** By the server of the host's kernel. */
export function usesExports({ shareProtocol, sharesProvider = "skep" }: Chosen): boolean {
  return shareProtocol === "exports" && sharesProvider === "skep"
}

/** What the machine's gateway leads to, for it alone. */
export function servicesOf(
  record: Chosen,
  { sharesNfsSocket, sharesMountSocket }: Pick<MachinePaths, "sharesNfsSocket" | "sharesMountSocket">,
): readonly GatewayService[] {
  const nfs = { port: NFS_PORT, socket: sharesNfsSocket }
  if (servesNfs(record)) return [nfs]
  return usesExports(record) ? [nfs, { port: MOUNT_PORT, socket: sharesMountSocket }] : []
}
