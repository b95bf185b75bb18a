import { mkdirSync } from "node:fs"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { openPassthrough, withOwnership } from "../../src/index.ts"
import { fileSystemSuite } from "../suite/file-system-suite.ts"
import { Rig, S_IFIFO, sure } from "../suite/rig.ts"

fileSystemSuite({
  name: "passthrough with owners",
  make: async () => {
    const directory = await temporaryDirectory()
    const fs = withOwnership(openPassthrough({ path: directory.path }))
    return {
      fs,
      clear: async () => {
        await directory[Symbol.asyncDispose]()
      },
    }
  },
})

describe("withOwnership() on a directory of the host", () => {
  it("has the owners of all kinds of files again after a restart, moved ones too", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("root")
    mkdirSync(path)
    const database = directory.at("owners")
    const expected = { "d/file": 5, moved: 6, "d/fifo": 7, d: 8 }
    {
      using fs = withOwnership(openPassthrough({ path }), { database })
      const machine = new Rig(fs)
      const made = sure(machine.mkdir("made"))
      const nodes = {
        "d/file": await machine.file("file", made),
        moved: sure(machine.symlink("link", "x", made)),
        "d/fifo": sure(machine.mknod("fifo", S_IFIFO | 0o600, made)),
        d: made,
      }
      for (const [name, node] of Object.entries(nodes))
        sure(machine.change(node, { uid: expected[name as keyof typeof expected], gid: 1 }))
      sure(machine.rename("link", "moved", 0, [made, machine.root]))
      sure(machine.rename("made", "d"))
    }
    using fs = withOwnership(openPassthrough({ path }), { database })
    const machine = new Rig(fs)
    for (const [name, uid] of Object.entries(expected))
      expect([name, machine.stat(machine.walk(name)).uid]).toEqual([name, uid])
    expect([...fs.exportOwners()].toSorted()).toEqual(
      Object.entries(expected)
        .map(([name, uid]) => JSON.stringify({ path: name, uid, gid: 1 }))
        .toSorted(),
    )
  })
})
