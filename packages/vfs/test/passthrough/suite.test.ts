import { mkdirSync } from "node:fs"
import { SyscallPool } from "@skep/loop"
import { temporaryDirectory } from "@skep/testkit"
import { afterAll, beforeAll, vi } from "vitest"
import { openPassthrough } from "../../src/index.ts"
import { fileSystemSuite } from "../suite/file-system-suite.ts"

/** Ten thousand files of a real file system, on a machine that may be busy. */
const BUSY_MS = 120_000
vi.setConfig({ testTimeout: BUSY_MS, hookTimeout: BUSY_MS })

let pool: SyscallPool
let polling: NodeJS.Timeout

beforeAll(async () => {
  pool = await SyscallPool.start()
  // In place of a loop.
  polling = setInterval(() => pool.poll(), 1)
})

afterAll(() => {
  clearInterval(polling)
  pool[Symbol.dispose]()
})

fileSystemSuite({
  name: "passthrough",
  make: async () => {
    const directory = await temporaryDirectory()
    const fs = openPassthrough({ path: directory.path })
    return { fs, clear: async () => directory[Symbol.asyncDispose]() }
  },
})

fileSystemSuite({
  name: "passthrough with journal, pool and few descriptors",
  make: async () => {
    const directory = await temporaryDirectory()
    const path = directory.at("root")
    mkdirSync(path)
    const fs = openPassthrough({
      path,
      journal: directory.at("journal"),
      pool,
      maxDescriptors: 64,
      maxNodes: 65536,
    })
    return { fs, clear: async () => directory[Symbol.asyncDispose]() }
  },
})
