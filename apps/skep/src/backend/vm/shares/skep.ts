/**
 * Skep's own share manager: all shares of a machine behind one device, added and removed while it runs.
 *
 * @module
 */
import { orAborted } from "@skep/runtime"
import { adoptShares, type SharesOptions, sharesProcess } from "@skep/shares/client"
import { addressOf } from "@skep/shares/exports"
import { connectPath } from "@skep/vsock/dialect"
import { hiddenDirectories } from "../../../home/hidden.ts"
import { exportName } from "../../../machine/export-name.ts"
import { SHARES_TAG } from "../prepare.ts"
import { MOUNT_PORT, NFS_PORT, servesNfs, usesExports } from "./over.ts"
import type { Served, SharesProgram } from "./program.ts"

/** It serves one machine: without that for so long, nobody is left who would want it. */
const LONELY_MS = 60_000
/** Where the guest's part of it listens on the vsock: packages/guest/SHARES.md. */
const GUEST_PORT = 1027

/** Each change of a file is for those who ask the sidecar for them. */
const WITHOUT = ["file-event"]

export const SKEP: SharesProgram = {
  provider: "skep",
  isLive: true,
  adopt: (options) => adoptShares({ ...options, without: WITHOUT }),
  start: async (machine, rules, stderr, context) => {
    const { home, paths, record, programs } = machine
    const sidecar = sharesProcess({ file: process.execPath, args: programs.shares, stderr, without: WITHOUT })
    const options = sidecar.parseOptions({
      machine: record.name,
      socket: paths.sharesSocket,
      stateDirectory: paths.sharesDirectory,
      guest: { connect: connectPath(paths.vsockDirectory), cid: record.guestCid, port: GUEST_PORT },
      shares: rules,
      hidden: await hiddenDirectories(home),
      tag: SHARES_TAG,
      protocol: record.shareProtocol ?? "auto",
      xattrs: record.shareXattrs ?? false,
      ...(await nfsOf(machine, context.signal)),
      lonelyMs: LONELY_MS,
    })
    return await sidecar.start(options, context)
  },
}

/** A Unix socket, as a port of loopback would be open to every user of the host. */
async function nfsOf(
  { home, record, paths, hostAddress }: Pick<Served, "home" | "record" | "paths" | "hostAddress">,
  signal: AbortSignal,
): Promise<Pick<SharesOptions, "nfs" | "nfsAddress" | "nfsPort" | "exports">> {
  const isExported = usesExports(record)
  if (!isExported && !servesNfs(record)) return {}
  const nfsAddress = await orAborted(hostAddress(), signal)
  if (isExported) {
    const platform = process.platform === "darwin" ? "macos" : "linux"
    const from = addressOf(exportName(home, record.name), platform)
    const [socket, mountSocket] = [paths.sharesNfsSocket, paths.sharesMountSocket]
    return { nfsAddress, exports: { socket, mountSocket, from, port: NFS_PORT, mountPort: MOUNT_PORT } }
  }
  return { nfs: { socket: paths.sharesNfsSocket }, nfsAddress, nfsPort: NFS_PORT }
}
