/**
 * The specification of file systems, on the far side of FUSE.
 *
 * @module
 */
import { memoryFileSystem } from "@skep/vfs"
import { fileSystemSuite } from "@skep/vfs/suite"
import { DirectChannel, FuseClient } from "../src/driver/index.ts"
import { BEHIND_FUSE } from "./gaps.ts"

for (const plus of [false, true])
  fileSystemSuite({
    name: `memory, behind FUSE${plus ? " with READDIRPLUS" : ""}`,
    gaps: BEHIND_FUSE,
    make: () => {
      const memory = memoryFileSystem()
      const channel = new DirectChannel({ fileSystem: memory, locks: "host" })
      const fs = new FuseClient({ channel, plus })
      fs.init()
      return { fs, clear: () => memory[Symbol.dispose]() }
    },
  })
