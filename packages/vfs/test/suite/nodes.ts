/**
 * Cases about identity and attributes: nodes, references, durable handles, `setAttributes`.
 *
 * @module
 */
import { expect } from "vitest"
import { newAttributes } from "../../src/index.ts"
import type { Check } from "./check.ts"
import { bytes, O_RDONLY, O_RDWR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, S_IFSOCK, sure } from "./rig.ts"

const NO_NODE = 2 ** 53 - 5
const NO_HANDLE = 2 ** 31 - 5

export function nodeCases(check: Check): void {
  identityCases(check)
  durableCases(check)
  attributeCases(check)
  timeCases(check)
  handleCases(check)
}

function identityCases(check: Check): void {
  check("a name is the same node each time, and all hard links are one", async (rig) => {
    const node = await rig.file("a")
    expect(rig.lookup("a")).toBe(node)
    expect(rig.link(node, "b")).toBe(node)
    expect(rig.lookup("b")).toBe(node)
    expect(rig.stat(node).links).toBe(2)
    expect(await rig.file("c")).not.toBe(node)
  })

  check("node ids are whole numbers from 1 on, and the root has one", (rig) => {
    const node = sure(rig.mkdir("a"))
    for (const id of [rig.root, node]) {
      expect(Number.isSafeInteger(id)).toBe(true)
      expect(id).toBeGreaterThan(0)
    }
    expect(node).not.toBe(rig.root)
  })

  check("a node id is never given to another file", async (rig) => {
    const seen = new Set<number>()
    for (let round = 0; round < 50; round++) {
      const node = await rig.file("a")
      expect(seen.has(node)).toBe(false)
      seen.add(node)
      sure(rig.unlink("a"))
      rig.fs.forget(node, 1)
    }
  })

  check("a node lives as long as a reference to it is left", (rig) => {
    const node = sure(rig.mkdir("a"))
    expect(rig.lookup("a")).toBe(node)
    expect(rig.lookup("a")).toBe(node)
    rig.fs.forget(node, 2)
    expect(rig.tryStat(node)).toBe(0)
    rig.fs.forget(node, 1)
    const again = sure(rig.lookup("a"))
    expect(rig.tryStat(again)).toBe(0)
    expect(rig.stat(again).mode & S_IFMT).toBe(S_IFDIR)
  })

  check("forgetting what is not known, too often, or the root changes nothing", (rig) => {
    rig.fs.forget(NO_NODE, 1)
    const node = sure(rig.mkdir("a"))
    rig.fs.forget(node, 1_000)
    rig.fs.forget(node, 1)
    rig.fs.forget(rig.root, 1_000)
    expect(rig.tryStat(rig.root)).toBe(0)
    expect(rig.names()).toEqual(["a"])
  })

  check("a file whose node is forgotten while it is open stays open", async (rig) => {
    const { node, handle } = rig.create("a")
    rig.fs.forget(node, 1)
    expect(await rig.write(handle, 0, "kept")).toBe(4)
    expect(await rig.readText(handle, 0, 10)).toBe("kept")
    rig.fs.release(handle)
    expect(await rig.content(rig.walk("a"))).toBe("kept")
  })

  check("a node that is not known is ESTALE everywhere", (rig) => {
    expect([
      rig.tryStat(NO_NODE),
      rig.change(NO_NODE, { mode: 0o600 }),
      rig.lookup("a", NO_NODE),
      rig.mkdir("a", NO_NODE),
      rig.mknod("a", S_IFREG | 0o600, NO_NODE),
      rig.symlink("a", "b", NO_NODE),
      rig.create("a", NO_NODE).answer,
      rig.unlink("a", NO_NODE),
      rig.rmdir("a", NO_NODE),
      rig.link(NO_NODE, "a"),
      rig.link(sure(rig.mknod("there", S_IFREG | 0o600)), "a", NO_NODE),
      rig.rename("a", "b", 0, [NO_NODE, rig.root]),
      rig.rename("there", "b", 0, [rig.root, NO_NODE]),
      rig.readLink(NO_NODE),
      rig.open(NO_NODE),
      rig.openDirectory(NO_NODE),
      rig.getExtended(NO_NODE, "user.a"),
      rig.setExtended(NO_NODE, "user.a", ""),
      rig.listExtended(NO_NODE),
      rig.removeExtended(NO_NODE, "user.a"),
    ]).toEqual(Array.from({ length: 20 }, () => "ESTALE"))
  })
}

function durableCases(check: Check): void {
  check("a durable handle leads back to its node, with one reference more", async (rig) => {
    const node = await rig.file("a", rig.root, "x")
    const durable = rig.durable(node).slice()
    expect(rig.find(durable)).toBe(node)
    rig.fs.forget(node, 1)
    expect(rig.tryStat(node)).toBe(0)
    rig.fs.forget(node, 1)
    const found = sure(rig.find(durable))
    expect(await rig.content(found)).toBe("x")
    expect(rig.lookup("a")).toBe(found)
  })

  check("durable handles are the same each time, and differ from file to file", async (rig) => {
    const one = await rig.file("a")
    const other = await rig.file("b")
    expect(rig.durable(one)).toEqual(rig.durable(one))
    expect(rig.durable(one)).not.toEqual(rig.durable(other))
    expect(sure(rig.find(rig.durable(rig.root).slice()))).toBe(rig.root)
  })

  check("a durable handle is read from any view of its bytes, part of a larger memory too", async (rig) => {
    const node = await rig.file("a")
    const durable = rig.durable(node)
    const larger = new Uint8Array(100).fill(0xee)
    larger.set(durable, 17)
    expect(rig.find(larger.subarray(17, 17 + durable.length))).toBe(node)
    // A Buffer lies anywhere in memory that it shares, and its slice() is no copy.
    expect(rig.find(Buffer.from(durable))).toBe(node)
  })

  check("a durable handle survives a rename, into another directory too", async (rig) => {
    const node = await rig.file("a", rig.root, "x")
    const directory = sure(rig.mkdir("d"))
    const durable = rig.durable(node).slice()
    sure(rig.rename("a", "b"))
    expect(rig.find(durable)).toBe(node)
    sure(rig.rename("b", "c", 0, [rig.root, directory]))
    expect(rig.find(durable)).toBe(node)
  })

  check("a durable handle of a file that is gone is ESTALE, though its name has come again", async (rig) => {
    const node = await rig.file("a")
    const durable = rig.durable(node).slice()
    sure(rig.unlink("a"))
    rig.fs.forget(node, 1)
    await rig.file("a")
    expect(rig.find(durable)).toBe("ESTALE")
  })

  check("what is no durable handle is refused with EBADF or ESTALE", async (rig) => {
    const durable = rig.durable(await rig.file("a")).slice()
    expect(rig.find(new Uint8Array(0))).toBe("EBADF")
    expect(rig.find(durable.subarray(0, 3))).toBe("EBADF")
    expect(rig.find(new Uint8Array(52).fill(0xff))).toBe("EBADF")
    for (let at = 0; at < durable.length; at++) {
      const forged = durable.slice()
      forged[at] = (forged[at] ?? 0) ^ 0x40
      const found = rig.find(forged)
      if (typeof found === "string") expect(["EBADF", "ESTALE"]).toContain(found)
    }
  })
}

function attributeCases(check: Check): void {
  check("each kind of file shows its type and permissions", async (rig) => {
    const made = [
      sure(rig.mkdir("d", rig.root, 0o711)),
      sure(rig.mknod("f", S_IFIFO | 0o640)),
      sure(rig.mknod("s", S_IFSOCK | 0o600)),
      sure(rig.mknod("r", S_IFREG | 0o604)),
      sure(rig.symlink("l", "nowhere")),
      rig.create("c", rig.root, { mode: 0o751 }).node,
    ]
    expect(made.map((node) => rig.stat(node).mode)).toEqual([
      S_IFDIR | 0o711,
      S_IFIFO | 0o640,
      S_IFSOCK | 0o600,
      S_IFREG | 0o604,
      S_IFLNK | 0o777,
      S_IFREG | 0o751,
    ])
  })

  check("lookup fills the same attributes as getAttributes", async (rig) => {
    const node = await rig.file("a", rig.root, "12345")
    expect(rig.stat(node)).toMatchObject({ size: 5, links: 1 })
    expect(rig.stat(node).inoLow).not.toBe(0)
    expect(rig.stat(node).device).toBe(rig.stat(rig.root).device)
  })

  check("permissions are changed without the type, sticky bit and all", async (rig) => {
    const node = await rig.file("a")
    const directory = sure(rig.mkdir("d"))
    expect(rig.change(node, { mode: S_IFDIR | 0o640 })).toBe(0)
    expect(rig.stat(node).mode).toBe(S_IFREG | 0o640)
    expect(rig.change(directory, { mode: 0o1777 })).toBe(0)
    expect(rig.stat(directory).mode).toBe(S_IFDIR | 0o1777)
  })

  check("owner and group are changed, each alone too", async (rig) => {
    const node = await rig.file("a")
    expect(rig.change(node, { uid: 999, gid: 998 })).toBe(0)
    expect(rig.stat(node)).toMatchObject({ uid: 999, gid: 998 })
    expect(rig.change(node, { gid: 5 })).toBe(0)
    expect(rig.stat(node)).toMatchObject({ uid: 999, gid: 5 })
    expect(rig.change(node, { uid: 7 })).toBe(0)
    expect(rig.stat(node)).toMatchObject({ uid: 7, gid: 5 })
  })

  check("a link belongs to somebody too, and keeps its target", (rig) => {
    const node = sure(rig.symlink("l", "target"))
    expect(rig.change(node, { uid: 12, gid: 13 })).toBe(0)
    expect(rig.stat(node)).toMatchObject({ uid: 12, gid: 13 })
    expect(rig.readLink(node)).toBe("target")
  })

  check(
    "a change of owner takes the setuid bit of a program; one of mode in the same call gives it",
    async (rig) => {
      const node = await rig.file("a")
      sure(rig.change(node, { mode: 0o4755 }))
      expect(rig.stat(node).mode & 0o7777).toBe(0o4755)
      sure(rig.change(node, { uid: 999 }))
      expect(rig.stat(node).mode & 0o7777).toBe(0o755)
      sure(rig.change(node, { uid: 998, mode: 0o4711 }))
      expect(rig.stat(node)).toMatchObject({ uid: 998, mode: S_IFREG | 0o4711 })
    },
  )

  check("a file is cut and grown by its size, with zeros", async (rig) => {
    const node = await rig.file("a", rig.root, "0123456789")
    expect(rig.change(node, { size: 4 })).toBe(0)
    expect(rig.change(node, { size: 8 })).toBe(0)
    expect(await rig.content(node)).toBe("0123\0\0\0\0")
    expect(rig.change(node, { size: 0 })).toBe(0)
    expect(await rig.content(node)).toBe("")
  })

  check("only files have a size to change: EISDIR for directories, EINVAL for links and FIFOs", (rig) => {
    expect(rig.change(sure(rig.mkdir("d")), { size: 0 })).toBe("EISDIR")
    expect(rig.change(sure(rig.symlink("l", "d")), { size: 0 })).toBe("EINVAL")
    expect(rig.change(sure(rig.mknod("f", S_IFIFO | 0o600)), { size: 0 })).toBe("EINVAL")
  })

  check("no file has more than 2^53 bytes: EFBIG", async (rig) => {
    const node = await rig.file("a", rig.root, "x")
    for (const size of [2 ** 53, 2 ** 63]) expect(rig.change(node, { size })).toBe("EFBIG")
    expect(await rig.content(node)).toBe("x")
  })

  check("nothing to change changes nothing", async (rig) => {
    const node = await rig.file("a", rig.root, "x")
    const before = { ...rig.stat(node) }
    expect(rig.change(node, {})).toBe(0)
    expect(rig.stat(node)).toEqual(before)
  })

  check("several changes are made at once", async (rig) => {
    const node = await rig.file("a", rig.root, "0123456789")
    const modify = { seconds: 1_000_000_000, nanoseconds: 123_456_789 }
    expect(rig.change(node, { uid: 5, gid: 6, mode: 0o600, size: 3, modify })).toBe(0)
    expect(rig.stat(node)).toMatchObject({
      uid: 5,
      gid: 6,
      mode: S_IFREG | 0o600,
      size: 3,
      modifySeconds: 1_000_000_000,
      modifyNanoseconds: 123_456_789,
    })
  })
}

function timeCases(check: Check): void {
  check("times are kept to the nanosecond, of every kind of file", async (rig) => {
    const nodes = [
      await rig.file("a"),
      sure(rig.mkdir("d")),
      sure(rig.symlink("l", "d")),
      sure(rig.mknod("f", S_IFIFO | 0o600)),
    ]
    for (const node of nodes) {
      const access = { seconds: 1_234_567_890, nanoseconds: 1 }
      const modify = { seconds: 987_654_321, nanoseconds: 999_999_999 }
      expect(rig.change(node, { access, modify })).toBe(0)
      expect(rig.stat(node)).toMatchObject({
        accessSeconds: 1_234_567_890,
        accessNanoseconds: 1,
        modifySeconds: 987_654_321,
        modifyNanoseconds: 999_999_999,
      })
    }
  })

  check("one time is changed without the other, and before 1970 and after 2038 too", async (rig) => {
    const node = await rig.file("a")
    sure(rig.change(node, { access: { seconds: -86_400, nanoseconds: 5 } }))
    sure(rig.change(node, { modify: { seconds: 4_000_000_000, nanoseconds: 6 } }))
    expect(rig.stat(node)).toMatchObject({
      accessSeconds: -86_400,
      accessNanoseconds: 5,
      modifySeconds: 4_000_000_000,
      modifyNanoseconds: 6,
    })
  })

  check('"now" is later than what was long ago', async (rig) => {
    const node = await rig.file("a")
    const old = { seconds: 1000, nanoseconds: 0 }
    sure(rig.change(node, { access: old, modify: old }))
    sure(rig.change(node, { access: "now" }))
    expect(rig.stat(node).accessSeconds).toBeGreaterThan(1000)
    expect(rig.stat(node).modifySeconds).toBe(1000)
    sure(rig.change(node, { modify: "now" }))
    expect(rig.stat(node).modifySeconds).toBeGreaterThan(1000)
  })

  check("writing marks the file as modified, making and removing names their directory", async (rig) => {
    const directory = sure(rig.mkdir("d"))
    const old = { seconds: 1000, nanoseconds: 0 }
    const modified = (node: number): boolean => rig.stat(node).modifySeconds !== 1000
    const aged = (node: number): void => void sure(rig.change(node, { modify: old }))
    const { node, handle } = rig.create("a", directory)
    const changes: [number, () => unknown][] = [
      [node, () => rig.write(handle, 0, "x")],
      [node, () => rig.change(node, { size: 0 })],
      [directory, () => rig.link(node, "b", directory)],
      [directory, () => rig.unlink("b", directory)],
      [directory, () => rig.rename("a", "c", 0, [directory, directory])],
      [directory, () => rig.symlink("l", "c", directory)],
      [directory, () => rig.mkdir("e", directory)],
      [directory, () => rig.rmdir("e", directory)],
    ]
    for (const [changed, change] of changes) {
      aged(changed)
      await change()
      expect(modified(changed)).toBe(true)
    }
    aged(directory)
    sure(await rig.write(handle, 0, "y"))
    expect(modified(directory)).toBe(false)
    rig.fs.release(handle)
  })
}

function handleCases(check: Check): void {
  check("an open file without a name is read, written and changed by its handle", async (rig) => {
    const { node, handle } = rig.create("a")
    sure(await rig.write(handle, 0, "before"))
    sure(rig.unlink("a"))
    expect(rig.lookup("a")).toBe("ENOENT")
    expect(await rig.write(handle, 6, " and after")).toBe(10)
    expect(await rig.readText(handle, 0, 100)).toBe("before and after")
    expect(rig.stat(node, handle)).toMatchObject({ links: 0, size: 16 })
    expect(rig.change(node, { size: 6, mode: 0o400 }, handle)).toBe(0)
    expect(rig.stat(node, handle)).toMatchObject({ size: 6, mode: S_IFREG | 0o400 })
    expect(await rig.sync(handle)).toBe(0)
    rig.fs.release(handle)
  })

  check("an open file that another was renamed over keeps its bytes", async (rig) => {
    const { handle } = rig.create("a")
    sure(await rig.write(handle, 0, "old"))
    await rig.file("b", rig.root, "new")
    sure(rig.rename("b", "a"))
    expect(await rig.readText(handle, 0, 10)).toBe("old")
    expect(await rig.content(rig.walk("a"))).toBe("new")
    rig.fs.release(handle)
  })

  check("a handle that is not open is EBADF everywhere, and releasing it changes nothing", async (rig) => {
    const { handle } = rig.create("a")
    rig.fs.release(handle)
    rig.fs.release(handle)
    rig.fs.release(NO_HANDLE)
    rig.fs.releaseDirectory(NO_HANDLE)
    for (const closed of [handle, NO_HANDLE, -1]) {
      expect([
        await rig.readText(closed, 0, 1),
        await rig.write(closed, 0, "x"),
        await rig.sync(closed),
        await rig.allocate(closed, 0, 0, 1),
        rig.seek(closed, 0, 3),
        rig.lock(closed, 1n, "read"),
        rig.testLock(closed, 1n, "read"),
      ]).toEqual(Array.from({ length: 7 }, () => "EBADF"))
    }
    expect(() => rig.entries(NO_HANDLE)).toThrow("EBADF")
  })

  check("handles of one file see each other's writes at once, and end one by one", async (rig) => {
    const { node, handle } = rig.create("a")
    const other = sure(rig.open(node, O_RDONLY))
    sure(await rig.write(handle, 0, "shared"))
    expect(await rig.readText(other, 0, 10)).toBe("shared")
    rig.fs.release(handle)
    expect(await rig.readText(other, 0, 10)).toBe("shared")
    rig.fs.release(other)
  })

  check("what a handle was not opened for is EBADF", async (rig) => {
    const node = await rig.file("a", rig.root, "x")
    const reader = sure(rig.open(node, O_RDONLY))
    const writer = sure(rig.open(node, 1))
    expect(await rig.write(reader, 0, "y")).toBe("EBADF")
    expect(await rig.readText(writer, 0, 1)).toBe("EBADF")
    expect(await rig.write(writer, 0, "z")).toBe(1)
    expect(await rig.readText(reader, 0, 1)).toBe("z")
    for (const handle of [reader, writer]) rig.fs.release(handle)
  })

  check("a file opens again after its permissions were taken, by a handle that is open", async (rig) => {
    const { node, handle } = rig.create("a")
    sure(rig.change(node, { mode: 0 }))
    expect(await rig.write(handle, 0, "x")).toBe(1)
    expect(await rig.readText(handle, 0, 1)).toBe("x")
    rig.fs.release(handle)
  })

  check("opens files only: EISDIR, ELOOP, EOPNOTSUPP for FIFOs", (rig) => {
    expect(rig.open(rig.root, O_RDONLY)).toBe("EISDIR")
    expect(rig.open(rig.root, O_RDWR)).toBe("EISDIR")
    expect(rig.open(sure(rig.symlink("l", "a")), O_RDONLY)).toBe("ELOOP")
    expect(rig.open(sure(rig.mknod("f", S_IFIFO | 0o600)), O_RDONLY)).toBe("EOPNOTSUPP")
    expect(["ENXIO", "EOPNOTSUPP"]).toContain(rig.open(sure(rig.mknod("s", S_IFSOCK | 0o600)), O_RDONLY))
  })

  check("usage is of the whole, and shrinks with what is written", (rig) => {
    const usage = rig.usage()
    expect(usage.blocks).toBeGreaterThan(0)
    expect(usage.freeBlocks).toBeLessThanOrEqual(usage.blocks)
    expect(usage.availableBlocks).toBeLessThanOrEqual(usage.freeBlocks)
    expect(usage.nameMax).toBe(255)
    expect(usage.blockSize % 512).toBe(0)
  })

  check(
    "a link's target comes back as it was, any bytes; ERANGE for too little room, EINVAL for what is none",
    async (rig) => {
      const target = `/an/absolute/../one/\xff\xfe ${"x".repeat(1000)}`
      const node = sure(rig.symlink("l", target))
      expect(rig.readLink(node)).toBe(target)
      expect(rig.readLink(node, target.length)).toBe(target)
      expect(rig.readLink(node, 10)).toBe("ERANGE")
      expect(rig.stat(node).size).toBe(target.length)
      expect(rig.readLink(await rig.file("a"))).toBe("EINVAL")
      expect(rig.readLink(rig.root)).toBe("EINVAL")
    },
  )

  check("a link's target is a view: changing it after the call changes nothing", (rig) => {
    const target = Buffer.from("before")
    const into = newAttributes()
    const node = rig.fs.makeSymlink(rig.root, bytes("l"), target, rig.caller, into)
    target.write("after!")
    expect(rig.readLink(node)).toBe("before")
  })

  check("a link needs a target, of at most 4095 bytes", (rig) => {
    expect(rig.symlink("l", "")).toBe("ENOENT")
    expect(rig.symlink("l", "x".repeat(4096))).toBe("ENAMETOOLONG")
    expect(rig.names()).toEqual([])
    expect(rig.readLink(sure(rig.symlink("l", "x".repeat(4095))))).toHaveLength(4095)
  })

  check("links are never followed", async (rig) => {
    const directory = sure(rig.mkdir("d"))
    await rig.file("inside", directory)
    const link = sure(rig.symlink("l", "d"))
    expect(rig.lookup("inside", link)).toBe("ENOTDIR")
    expect(rig.mkdir("new", link)).toBe("ENOTDIR")
    expect(rig.openDirectory(link)).toBe("ENOTDIR")
    expect(rig.unlink("inside", link)).toBe("ENOTDIR")
    expect(rig.names(directory)).toEqual(["inside"])
    expect(rig.stat(link).mode & S_IFMT).toBe(S_IFLNK)
  })

  check("a file without a name is not found by its durable handle, though it is open: ESTALE", (rig) => {
    const { node, handle } = rig.create("a")
    const durable = rig.durable(node).slice()
    sure(rig.unlink("a"))
    expect(rig.find(durable)).toBe("ESTALE")
    rig.fs.release(handle)
  })

  check("a durable handle needs its room", (rig) => {
    const into = new Uint8Array(1)
    expect(rig.fs.durable(rig.root, into)).toBeLessThan(0)
  })
}
