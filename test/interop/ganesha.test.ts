// nfs-ganesha in the shares role, with a client of our own in the guest's place.

import { mkdirSync } from "node:fs"
import { type SharesFixture, sharesContract } from "@skep/contract-tests"
import { temporaryDirectory } from "@skep/testkit"
import { GANESHA_PROGRAMS, startGanesha } from "./ganesha.ts"
import { HardRpc } from "./nfs-guest/call.ts"
import { nfsFiles } from "./nfs-guest/files.ts"
import { NfsMount } from "./nfs-guest/mount.ts"
import { missing } from "./requirements.ts"

async function open(): Promise<SharesFixture> {
  const place = await temporaryDirectory()
  const path = place.at("host/shared")
  mkdirSync(path, { recursive: true })
  const rule = {
    path,
    target: "/mnt/shared",
    readOnly: false,
    cache: "consistent",
    ownership: "real",
  } as const
  const running = await startGanesha(place.path, [rule])
  const nfs = new HardRpc({ path: running.sockets.nfs })
  const mount = new HardRpc({ path: running.sockets.mount })
  return {
    running,
    directory: place.at("host"),
    rule,
    openWithoutName: "renamed",
    files: async (target) => nfsFiles(await NfsMount.at(target, { nfs, mount }), ""),
    restart: () => running.restart(),
    [Symbol.asyncDispose]: async () => {
      await nfs[Symbol.asyncDispose]()
      await mount[Symbol.asyncDispose]()
      await running[Symbol.asyncDispose]()
      await place[Symbol.asyncDispose]()
    },
  }
}

const OWNERS = "owners are the host's own"
const unavailable = missing("nfs-ganesha", ...GANESHA_PROGRAMS)

sharesContract({
  name: "nfs-ganesha",
  open,
  ...(unavailable === undefined ? {} : { unavailable }),
  gaps: {
    "owners that the guest gives are kept, and the host's stay as they are": OWNERS,
    "files that nobody was given belong to whoever looks": OWNERS,
    "a directory that vanishes is gone, and is shared again when it is back":
      "its handles lead to a directory wherever that was moved",
  },
})
