import { describe, expect, it } from "vitest"
import { forwarding, memoryFileSystem } from "../../src/index.ts"
import { fileSystemSuite } from "../suite/file-system-suite.ts"
import { bytes, Rig, sure } from "../suite/rig.ts"

describe("memoryFileSystem()", () => {
  it("keeps what is written, in pieces of any size", async () => {
    const rig = new Rig(memoryFileSystem())
    const { node, handle } = rig.create("a")
    expect(await rig.write(handle, 10, "hello", 2)).toBe(5)
    expect(await rig.read(handle, 8, 100, 3)).toEqual(bytes("\0\0hello"))
    expect(rig.stat(node)).toMatchObject({ size: 15, links: 1, mode: 0o100644, blocks: 8 })
  })

  it("says how much space is left, and ENOSPC when none is", async () => {
    const rig = new Rig(memoryFileSystem({ capacityBytes: 8192, files: 3 }))
    const { node, handle } = rig.create("a")
    expect(await rig.write(handle, 0, new Uint8Array(10_000))).toBe(8192)
    expect(await rig.write(handle, 8192, "x")).toBe("ENOSPC")
    expect(await rig.write(handle, 0, "still there")).toBe(11)
    expect(await rig.allocate(handle, 0, 8192, 1)).toBe("ENOSPC")
    expect(rig.usage()).toMatchObject({ blocks: 2, freeBlocks: 0, files: 3, freeFiles: 1 })
    sure(rig.mkdir("b"))
    expect(rig.mkdir("c")).toBe("ENOSPC")
    expect(rig.unlink("a")).toBe(0)
    expect(rig.usage()).toMatchObject({ freeBlocks: 0 })
    rig.fs.release(handle)
    rig.fs.forget(node, 1)
    expect(rig.usage()).toMatchObject({ freeBlocks: 2, freeFiles: 1 })
  })

  it("refuses every change of a read-only tree with EROFS", () => {
    const rig = new Rig(memoryFileSystem({ readOnly: true }))
    expect([rig.mkdir("a"), rig.create("a").answer, rig.symlink("a", "b"), rig.mknod("a", 0o010644)]).toEqual(
      Array.from({ length: 4 }, () => "EROFS"),
    )
    expect(rig.change(rig.root, { mode: 0o700 })).toBe("EROFS")
    expect(rig.setExtended(rig.root, "user.a", "b")).toBe("EROFS")
    expect(rig.names()).toEqual([])
  })

  it("marks times by the clock it was given", async () => {
    let seconds = 100
    const rig = new Rig(memoryFileSystem({ clock: () => ({ seconds: seconds++, nanoseconds: 7 }) }))
    const node = await rig.file("a", rig.root, "x")
    const before = rig.stat(node)
    expect(before.modifyNanoseconds).toBe(7)
    sure(rig.change(node, { mode: 0o600 }))
    const after = rig.stat(node)
    expect(after.changeSeconds).toBeGreaterThan(before.changeSeconds)
    expect(after.modifySeconds).toBe(before.modifySeconds)
  })

  it("has no extended attributes where it was told so, and hides those of layers above", () => {
    const without = new Rig(memoryFileSystem({ extended: false }))
    expect(without.setExtended(without.root, "user.a", "b")).toBe("EOPNOTSUPP")
    expect(without.listExtended(without.root)).toBe("EOPNOTSUPP")
    const fs = memoryFileSystem()
    const shown = new Rig(fs)
    const kept = new Rig({ ...forwarding(fs), ...fs.reserved })
    expect(shown.setExtended(fs.root, "user.skep.owner", "b")).toBe("EPERM")
    expect(kept.setExtended(fs.root, "user.skep.owner", "b")).toBe(0)
    expect(kept.setExtended(fs.root, "user.mine", "b")).toBe("EPERM")
    expect([shown.listExtended(fs.root), kept.listExtended(fs.root)]).toEqual([[], ["user.skep.owner"]])
    expect(shown.getExtended(fs.root, "user.skep.owner")).toBe("EPERM")
    expect(kept.getExtended(fs.root, "user.skep.owner")).toBe("b")
  })
})

fileSystemSuite({ name: "memory", make: () => ({ fs: memoryFileSystem() }) })
