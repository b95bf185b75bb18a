import { EIO, ENOSPC } from "@skep/loop/sys"
import { describe, expect, it } from "vitest"
import {
  type FaultPlan,
  memoryFileSystem,
  newUsage,
  VirtualTime,
  withFaults,
  withOwnership,
} from "../../src/index.ts"
import { fileSystemSuite } from "../suite/file-system-suite.ts"
import { Rig, S_IFREG, sure } from "../suite/rig.ts"

function world(plan: FaultPlan) {
  const time = new VirtualTime()
  const fs = withFaults(memoryFileSystem(), plan, { time })
  return { fs, time, rig: new Rig(fs) }
}

describe("withFaults()", () => {
  it("fails the nth call of an operation, so many times, and no other", async () => {
    const { rig, fs } = world({ failures: [{ operation: "read", errno: EIO, nth: 2, times: 2 }] })
    const { handle } = rig.create("a")
    sure(await rig.write(handle, 0, "x"))
    const answers: string[] = []
    for (let round = 0; round < 5; round++) answers.push(await rig.readText(handle, 0, 1))
    expect(answers).toEqual(["x", "EIO", "EIO", "x", "x"])
    expect([fs.calls.of("read"), fs.calls.of("write"), fs.calls.of("sync")]).toEqual([5, 1, 0])
  })

  it("fails for good what it is told nothing more of, until the plan is another", () => {
    const { rig, fs } = world({ failures: [{ operation: "makeDirectory", errno: ENOSPC }] })
    expect([rig.mkdir("a"), rig.mkdir("b"), rig.names()]).toEqual(["ENOSPC", "ENOSPC", []])
    fs.plan = {}
    expect(fs.plan).toEqual({})
    sure(rig.mkdir("a"))
    expect(rig.names()).toEqual(["a"])
  })

  it("has every operation fail that it is told to", async () => {
    const { rig, fs } = world({})
    const { node, handle } = rig.create("a")
    const directory = sure(rig.openDirectory())
    const durable = rig.durable(node).slice()
    const operations = {
      lookup: () => rig.lookup("a"),
      durable: () => (fs.durable(node, new Uint8Array(52)) === -EIO ? "EIO" : 0),
      find: () => rig.find(durable),
      getAttributes: () => rig.tryStat(node),
      setAttributes: () => rig.change(node, { mode: 0 }),
      readLink: () => rig.readLink(node),
      makeNode: () => rig.mknod("b", S_IFREG),
      makeDirectory: () => rig.mkdir("b"),
      makeSymlink: () => rig.symlink("b", "c"),
      link: () => rig.link(node, "b"),
      unlink: () => rig.unlink("a"),
      removeDirectory: () => rig.rmdir("a"),
      rename: () => rig.rename("a", "b"),
      open: () => rig.open(node),
      create: () => rig.create("b").answer,
      read: () => rig.readText(handle, 0, 1),
      write: () => rig.write(handle, 0, "x"),
      sync: () => rig.sync(handle),
      allocate: () => rig.allocate(handle, 0, 0, 1),
      seek: () => rig.seek(handle, 0, 3),
      copy: () => rig.copy([handle, 0], [handle, 10], 1),
      openDirectory: () => rig.openDirectory(),
      readDirectory: () => (fs.readDirectory(directory, 0n, () => true) === -EIO ? "EIO" : 0),
      getExtended: () => rig.getExtended(node, "user.a"),
      setExtended: () => rig.setExtended(node, "user.a", "x"),
      listExtended: () => rig.listExtended(node),
      removeExtended: () => rig.removeExtended(node, "user.a"),
      getLock: () => rig.testLock(handle, 1n, "read"),
      setLock: () => rig.lock(handle, 1n, "read"),
      usage: () => (fs.usage(node, newUsage()) === -EIO ? "EIO" : 0),
    } as const
    fs.plan = {
      failures: Object.keys(operations).map((operation) => ({
        operation: operation as keyof typeof operations,
        errno: EIO,
      })),
    }
    for (const [operation, call] of Object.entries(operations))
      expect([operation, await call()]).toEqual([operation, "EIO"])
    fs.plan = {}
    expect(rig.names()).toEqual(["a"])
  })

  it("fills the disk: a write that meets the end is cut there, and the next one is ENOSPC", async () => {
    const { rig, fs } = world({ fullAfterBytes: 10 })
    const { node, handle } = rig.create("a")
    expect(await rig.write(handle, 0, "123456", 4)).toBe(6)
    expect(await rig.write(handle, 6, "789abcdef", 3)).toBe(4)
    expect(await rig.write(handle, 10, "x")).toBe("ENOSPC")
    expect(await rig.write(handle, 10, "")).toBe(0)
    expect(await rig.copy([handle, 0], [handle, 20], 1)).toBe("ENOSPC")
    expect(await rig.content(node)).toBe("123456789a")
    fs.plan = { fullAfterBytes: 3 }
    expect(await rig.copy([handle, 0], [handle, 20], 5)).toBe(3)
    expect(await rig.write(handle, 0, "x")).toBe("ENOSPC")
  })

  it("tells late what was done, in the order of time, and errors late too", async () => {
    const { rig, time, fs } = world({
      delays: [
        { operation: "write", delayMs: 20 },
        { operation: "sync", delayMs: 10 },
      ],
      failures: [{ operation: "sync", errno: EIO, nth: 2 }],
    })
    const { handle } = rig.create("a")
    const ended: string[] = []
    const note = (what: string) => (answer: unknown) =>
      void ended.push(`${what} ${String(answer)} at ${time.nowMs}`)
    const all = [
      rig.write(handle, 0, "x").then(note("write")),
      rig.sync(handle).then(note("sync")),
      rig.sync(handle).then(note("sync")),
    ]
    expect(await rig.readText(handle, 0, 1)).toBe("x")
    expect([ended, time.pending]).toEqual([[], 3])
    time.advance(9)
    expect(time.pending).toBe(3)
    time.advance(1)
    await Promise.all(all.slice(1))
    expect(ended).toEqual(["sync 0 at 10", "sync EIO at 10"])
    time.advance(100)
    await Promise.all(all)
    expect([ended.at(-1), time.nowMs, time.pending]).toEqual(["write 1 at 110", 110, 0])
    expect(fs.calls.of("sync")).toBe(2)
  })

  it("lets layers above reach what is kept for them", async () => {
    const { fs } = world({})
    const machine = new Rig(withOwnership(fs))
    const node = await machine.file("a")
    sure(machine.change(node, { uid: 5 }))
    expect(machine.stat(node).uid).toBe(5)
  })
})

describe("VirtualTime", () => {
  it("lets happen what was asked for meanwhile, when it is due", () => {
    const time = new VirtualTime()
    const seen: number[] = []
    time.after(5, () => {
      seen.push(time.nowMs)
      time.after(5, () => seen.push(time.nowMs))
      time.after(6, () => seen.push(time.nowMs))
    })
    time.advance(10)
    expect([seen, time.pending]).toEqual([[5, 10], 1])
  })
})

fileSystemSuite({
  name: "memory with no faults planned",
  make: () => ({ fs: withFaults(memoryFileSystem(), {}) }),
})
