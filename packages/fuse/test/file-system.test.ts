/**
 * The specification of file systems, on the far side of FUSE.
 *
 * @module
 */
import { memoryFileSystem } from "@skep/vfs"
import { fileSystemSuite } from "../../vfs/test/suite/file-system-suite.ts"
import { DirectChannel, FuseClient } from "../src/driver/index.ts"

const DURABLE = "the protocol has no durable handles"
const GAPS = {
  "a durable handle leads back to its node, with one reference more": DURABLE,
  "durable handles are the same each time, and differ from file to file": DURABLE,
  "a durable handle survives a rename, into another directory too": DURABLE,
  "a durable handle of a file that is gone is ESTALE, though its name has come again": DURABLE,
  "what is no durable handle is refused with EBADF or ESTALE": DURABLE,
  "find gives a file without a name back as long as its process has it open, or ESTALE": DURABLE,
  "names with a slash or NUL, and the empty one, are refused with EINVAL": "a NUL ends a name in a request",
}

for (const plus of [false, true])
  fileSystemSuite({
    name: `memory, behind FUSE${plus ? " with READDIRPLUS" : ""}`,
    gaps: GAPS,
    make: () => {
      const memory = memoryFileSystem()
      const channel = new DirectChannel({ fileSystem: memory, locks: "host" })
      const fs = new FuseClient({ channel, plus })
      fs.init()
      return { fs, clear: () => memory[Symbol.dispose]() }
    },
  })
