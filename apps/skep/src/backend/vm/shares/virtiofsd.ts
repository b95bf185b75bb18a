/**
 * virtiofsd: the shares of a machine's start, by a program of QEMU's authors.
 *
 * @module
 */
import { adoptVirtiofsd, virtiofsdProcess } from "@skep/adapters/virtiofsd/client"
import { connectPath } from "@skep/vsock/dialect"
import { hiddenDirectories } from "../../../home/hidden.ts"
import { SHARES_TAG } from "../prepare.ts"
import type { SharesProgram } from "./program.ts"

const LONELY_MS = 60_000
/** Where the guest's part of it listens on the vsock: packages/guest/SHARES.md. */
const GUEST_PORT = 1027

export const VIRTIOFSD: SharesProgram = {
  provider: "virtiofsd",
  isLive: false,
  adopt: adoptVirtiofsd,
  start: async ({ home, paths, record, programs }, rules, stderr, context) => {
    const sidecar = virtiofsdProcess({ file: process.execPath, args: programs.virtiofsd, stderr })
    const options = sidecar.parseOptions({
      machine: record.name,
      socket: paths.sharesSocket,
      guest: { connect: connectPath(paths.vsockDirectory), cid: record.guestCid, port: GUEST_PORT },
      shares: rules,
      hidden: await hiddenDirectories(home),
      tag: SHARES_TAG,
      xattrs: record.shareXattrs ?? false,
      lonelyMs: LONELY_MS,
    })
    return await sidecar.start(options, context)
  },
}
