/**
 * The specification of file systems through a guest's queues.
 *
 * @module
 */

import { BEHIND_FUSE } from "@skep/fuse/gaps"
import { memoryFileSystem } from "@skep/vfs"
import { fileSystemSuite } from "@skep/vfs/suite"
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
