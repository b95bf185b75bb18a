import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { forwarding, memoryFileSystem, withOwnership } from "../../src/index.ts"
import { doIn, doOnHost, pictureIn, pictureOfHost, type Step } from "../suite/host.ts"
import { Rig } from "../suite/rig.ts"
import { steps } from "../suite/steps.ts"

/** What both have said to each step, and what both have come to. */
async function both(rig: Rig, all: readonly Step[]) {
  const root = mkdtempSync(join(tmpdir(), "host-"))
  try {
    const host: unknown[] = []
    const ours: unknown[] = []
    for (const step of all) {
      host.push([step, doOnHost(root, step)])
      ours.push([step, await doIn(rig, step)])
    }
    return { host: [host, pictureOfHost(root)], ours: [ours, await pictureIn(rig)] }
  } finally {
    rmSync(root, { recursive: true })
  }
}

describe("file systems beside the host's kernel", () => {
  it.each([
    ["memory", () => memoryFileSystem()],
    ["memory with owners", () => withOwnership(memoryFileSystem())],
    [
      "memory without extended attributes, with owners",
      () => withOwnership(forwarding(memoryFileSystem({ extended: false }))),
    ],
  ] as const)("%s answers any sequence as the kernel does, and comes to the same tree", async (_, make) => {
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        using fs = make()
        const { host, ours } = await both(new Rig(fs), all)
        expect(ours).toEqual(host)
      }),
      { numRuns: 60 },
    )
  })
})
