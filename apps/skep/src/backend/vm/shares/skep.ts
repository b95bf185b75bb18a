/**
 * Skep's own share manager: all shares of a machine behind one device, added and removed while it runs.
 *
 * @module
 */
import { orAborted } from "@skep/runtime"
import { adoptShares, type SharesOptions, sharesProcess } from "@skep/shares/client"
import { connectPath } from "@skep/vsock/dialect"
import { hiddenDirectories } from "../../shares.ts"
import { SHARES_TAG } from "../prepare.ts"
import { NFS_PORT, servesNfs } from "./over.ts"
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
      ...(await nfsOf(machine, context.signal)),
      lonelyMs: LONELY_MS,
    })
    return await sidecar.start(options, context)
  },
}

/** A Unix socket, as a port of loopback would be open to every user of the host. */
async function nfsOf(
  { record, paths, hostAddress }: Pick<Served, "record" | "paths" | "hostAddress">,
  signal: AbortSignal,
): Promise<Pick<SharesOptions, "nfs" | "nfsAddress" | "nfsPort">> {
  if (!servesNfs(record)) return {}
  const nfsAddress = await orAborted(hostAddress(), signal)
  return { nfs: { socket: paths.sharesNfsSocket }, nfsAddress, nfsPort: NFS_PORT }
}
