import { mkdirSync } from "node:fs"
import { temporaryDirectory } from "@skep/testkit"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  type FileSystem,
  forwarding,
  memoryFileSystem,
  openPassthrough,
  withOwnership,
} from "../../src/index.ts"
import { doIn, doOnHost, pictureIn, pictureOfHost } from "./host.ts"
import { Rig } from "./rig.ts"
import { steps } from "./steps.ts"

/** Each by what it makes in an empty directory of the host, if it wants one. */
const FILE_SYSTEMS: Readonly<Record<string, (path: string) => FileSystem>> = {
  memory: () => memoryFileSystem(),
  "memory with owners": () => withOwnership(memoryFileSystem()),
  "memory without extended attributes, with owners": () =>
    withOwnership(forwarding(memoryFileSystem({ extended: false }))),
  passthrough: (path) => openPassthrough({ path }),
  "passthrough with owners": (path) => withOwnership(openPassthrough({ path })),
}

describe("file systems beside the host's kernel", () => {
  it.each(Object.entries(FILE_SYSTEMS))(
    "%s answers any sequence as the kernel does, and comes to the same tree",
    async (_, make) => {
      await fc.assert(
        fc.asyncProperty(steps, async (all) => {
          await using directory = await temporaryDirectory()
          const [host, ours] = [directory.at("host"), directory.at("ours")]
          for (const path of [host, ours]) mkdirSync(path)
          using fs = make(ours)
          const rig = new Rig(fs)
          for (const [index, step] of all.entries())
            expect([index, step, await doIn(rig, step)]).toEqual([index, step, doOnHost(host, step)])
          expect(await pictureIn(rig)).toEqual(pictureOfHost(host))
        }),
        { numRuns: 40 },
      )
    },
  )
})
