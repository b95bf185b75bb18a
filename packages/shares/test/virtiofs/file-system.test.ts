/**
 * The specification of file systems through a guest's queues.
 *
 * @module
 */
import { memoryFileSystem } from "@skep/vfs"
import { BEHIND_FUSE } from "../../../fuse/test/gaps.ts"
import { fileSystemSuite } from "../../../vfs/test/suite/file-system-suite.ts"
import { FakeGuest, mounted, serve } from "./rig.ts"

fileSystemSuite({
  name: "memory, behind virtiofs",
  gaps: BEHIND_FUSE,
  make: () => {
    const memory = memoryFileSystem()
    const guest = new FakeGuest()
    const served = serve(guest, { fileSystem: memory, locks: "host" })
    return {
      fs: mounted(guest),
      clear: () => {
        for (const each of [served, guest, memory]) each[Symbol.dispose]()
      },
    }
  },
})
