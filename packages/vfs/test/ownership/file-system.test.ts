import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, describe, expect, it } from "vitest"
import {
  forwarding,
  type KeepingFileSystem,
  memoryFileSystem,
  type OwnershipOptions,
  withOwnership,
} from "../../src/index.ts"
import { fileSystemSuite } from "../suite/file-system-suite.ts"
import { bytes, O_EXCL, O_RDWR, Rig, S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG, sure } from "../suite/rig.ts"

const POSTGRES = 999
const SOMEBODY = 1000
const EIO = 5
const ENOSPC = 28
const ATTRIBUTE = "user.skep.owner"

/** A machine's view and the host's, of one file system in memory; `calls` counts what the layer asks of the host. */
function world(options: OwnershipOptions = {}, extended = true) {
  const host = memoryFileSystem({ extended })
  const calls = { getExtended: 0 }
  const { reserved } = host
  const counted: KeepingFileSystem = {
    ...forwarding(host),
    reserved: {
      ...reserved,
      getExtended: (...parameters) => {
        calls.getExtended++
        return reserved.getExtended(...parameters)
      },
    },
  }
  const owned = withOwnership(counted, options)
  return {
    owned,
    machine: new Rig(owned),
    host: new Rig(host),
    calls,
    kept: new Rig({ ...forwarding(host), ...reserved }),
  }
}

const ownerOf = (rig: Rig, node: number): [number, number] => {
  const { uid, gid } = rig.stat(node)
  return [uid, gid]
}
const modeOf = (rig: Rig, node: number): number => rig.stat(node).mode & 0o7777

describe("withOwnership(): whose a file is", () => {
  it("shows a file without a record as of whoever looks, or of whom it was told", async () => {
    const { machine, host } = world()
    await host.file("source")
    const node = machine.walk("source")
    for (const uid of [0, POSTGRES, SOMEBODY]) expect(ownerOf(machine.as(uid), node)).toEqual([uid, uid])
    const fixed = world({ unowned: { uid: 501, gid: 20 } })
    expect(ownerOf(fixed.machine.as(7), fixed.machine.root)).toEqual([501, 20])
  })

  it("keeps a change of owner, for everybody, and leaves the host's files the host user's", async () => {
    const { machine, host, kept } = world()
    const node = await machine.as(SOMEBODY).file("data")
    const before = ownerOf(host, host.walk("data"))
    expect(machine.change(node, { uid: POSTGRES, gid: 998 })).toBe(0)
    for (const uid of [0, POSTGRES, SOMEBODY]) expect(ownerOf(machine.as(uid), node)).toEqual([POSTGRES, 998])
    expect(ownerOf(host, host.walk("data"))).toEqual(before)
    expect(kept.getExtended(host.walk("data"), ATTRIBUTE)).toBe("999:998::")
  })

  it.each([true, false])(
    "marks what is given to somebody as changed, kept beside it: %s",
    async (extended) => {
      const { machine } = world({}, extended)
      const changed = (node: number): bigint => {
        const { changeSeconds, changeNanoseconds } = machine.stat(node)
        return BigInt(changeSeconds) * 1_000_000_000n + BigInt(changeNanoseconds)
      }
      const nodes = [
        await machine.file("file"),
        sure(machine.mkdir("directory")),
        sure(machine.symlink("link", "x")),
        sure(machine.mknod("fifo", S_IFIFO | 0o600)),
      ]
      for (const node of nodes) {
        let last = changed(node)
        const { modifySeconds, modifyNanoseconds } = machine.stat(node)
        // The third time nothing of it is new, and then the mode is not.
        const mode = machine.stat(node).mode & 0o7777
        const chmod = (machine.stat(node).mode & S_IFMT) === S_IFLNK ? [] : [{ mode }]
        for (const change of [{ uid: 5 }, { gid: 6 }, { uid: 5 }, { uid: 5, gid: 6 }, ...chmod]) {
          sure(machine.change(node, change))
          expect(changed(node)).toBeGreaterThan(last)
          last = changed(node)
        }
        expect(ownerOf(machine, node)).toEqual([5, 6])
        expect(machine.stat(node)).toMatchObject({ modifySeconds, modifyNanoseconds })
      }
    },
  )

  it("fixes the group that was seen when only the user changes, and the other way round", async () => {
    const { machine } = world()
    const node = await machine.file("a")
    sure(machine.change(node, { uid: POSTGRES }))
    expect(ownerOf(machine.as(SOMEBODY), node)).toEqual([POSTGRES, 0])
    const other = await machine.file("b")
    sure(machine.as(SOMEBODY).change(other, { gid: 5 }))
    expect(ownerOf(machine.as(POSTGRES), other)).toEqual([SOMEBODY, 5])
  })

  it("gives files made in a directory with an owner to whoever makes them, all the way down", async () => {
    const { machine } = world()
    const data = sure(machine.mkdir("data"))
    sure(machine.change(data, { uid: POSTGRES, gid: POSTGRES }))
    const postgres = machine.as(POSTGRES)
    const made = [
      await postgres.file("PG_VERSION", data),
      sure(postgres.mkdir("base", data)),
      sure(postgres.symlink("link", "x", data)),
      sure(postgres.mknod("socket", S_IFIFO | 0o600, data)),
    ]
    const deep = await postgres.file("1", made[1])
    for (const node of [...made, deep]) expect(ownerOf(machine, node)).toEqual([POSTGRES, POSTGRES])
    expect(ownerOf(machine.as(SOMEBODY), await machine.file("of-root", data))).toEqual([0, 0])
    expect(ownerOf(machine.as(SOMEBODY), await machine.file("beside"))).toEqual([SOMEBODY, SOMEBODY])
  })

  it("gives the group of a directory with the setgid bit, and the bit to directories in it", async () => {
    const { machine } = world()
    const shared = sure(machine.mkdir("shared"))
    sure(machine.change(shared, { uid: 0, gid: 50, mode: 0o2775 }))
    const somebody = machine.as(SOMEBODY)
    const file = await somebody.file("file", shared)
    const directory = sure(somebody.mkdir("directory", shared))
    expect(ownerOf(machine, file)).toEqual([SOMEBODY, 50])
    expect(ownerOf(machine, directory)).toEqual([SOMEBODY, 50])
    expect(modeOf(machine, directory)).toBe(0o2755)
  })

  it("opens what create finds without touching its record, and keeps O_EXCL", async () => {
    const { machine } = world()
    const data = sure(machine.mkdir("data"))
    sure(machine.change(data, { uid: POSTGRES }))
    const node = await machine.as(POSTGRES).file("a", data, "content")
    const opened = machine.as(SOMEBODY).create("a", data, { mode: 0o600 })
    expect(opened.answer).toBe(node)
    expect(await machine.readText(opened.handle, 0, 10)).toBe("content")
    expect(ownerOf(machine, node)).toEqual([POSTGRES, POSTGRES])
    expect(machine.create("a", data, { flags: O_RDWR | O_EXCL }).answer).toBe("EEXIST")
  })
})

describe("withOwnership(): permissions", () => {
  it("sets them on the host as asked, where that leaves this process enough", async () => {
    const { machine, host, kept } = world()
    const node = await machine.file("a")
    const directory = sure(machine.mkdir("d"))
    for (const mode of [0o644, 0o600, 0o777]) {
      sure(machine.change(node, { mode }))
      expect([modeOf(machine, node), modeOf(host, host.walk("a"))]).toEqual([mode, mode])
    }
    sure(machine.change(directory, { mode: 0o1777 }))
    expect(modeOf(host, host.walk("d"))).toBe(0o1777)
    expect(kept.listExtended(host.walk("a"))).toEqual([])
  })

  it.each([
    [0o400, 0o600],
    [0o444, 0o644],
    [0o000, 0o600],
    [0o4755, 0o755],
    [0o2750, 0o750],
  ])("shows a file of mode %o that is %o on the host", async (asked, real) => {
    const { machine, host } = world()
    const node = await machine.file("a")
    sure(machine.change(node, { mode: asked }))
    expect([modeOf(machine, node), modeOf(host, host.walk("a"))]).toEqual([asked, real])
    const made = machine.create("b", machine.root, { mode: asked })
    expect([modeOf(machine, made.node), modeOf(host, host.walk("b"))]).toEqual([asked, real])
    sure(machine.change(node, { mode: 0o644 }))
    expect([modeOf(machine, node), modeOf(host, host.walk("a"))]).toEqual([0o644, 0o644])
  })

  it("shows a directory of mode 0500 that is 0700 on the host", () => {
    const { machine, host } = world()
    const node = sure(machine.mkdir("d", machine.root, 0o500))
    expect(machine.stat(node).mode).toBe(S_IFDIR | 0o500)
    expect(modeOf(host, host.walk("d"))).toBe(0o700)
  })

  it("shows what the host says since, when somebody changed it there", async () => {
    const { machine, host } = world()
    const node = await machine.file("a")
    sure(machine.change(node, { mode: 0o400 }))
    sure(host.change(host.walk("a"), { mode: 0o755 }))
    expect(modeOf(machine, node)).toBe(0o755)
  })

  it("lends nobody's identity: a setuid file gets an owner, and one of the host is not shown as such", async () => {
    const { machine, host } = world()
    const node = await machine.file("a")
    sure(machine.change(node, { mode: 0o4755 }))
    expect(ownerOf(machine.as(SOMEBODY), node)).toEqual([0, 0])
    const foreign = await host.file("foreign")
    sure(host.change(foreign, { mode: 0o6755 }))
    expect(modeOf(machine, machine.walk("foreign"))).toBe(0o755)
    sure(machine.change(machine.walk("foreign"), { uid: 0 }))
    expect(modeOf(machine, machine.walk("foreign"))).toBe(0o755)
  })

  it("takes the setuid bit of a file that changes hands", async () => {
    const { machine } = world()
    const node = await machine.file("a")
    sure(machine.change(node, { mode: 0o4755 }))
    sure(machine.change(node, { uid: SOMEBODY }))
    expect(modeOf(machine, node)).toBe(0o755)
    expect(ownerOf(machine, node)).toEqual([SOMEBODY, 0])
  })

  it("opens a file of the host to this process when it is to have an owner, and shows it as it was", async () => {
    const { machine, host } = world()
    const node = await host.file("object")
    sure(host.change(node, { mode: 0o444 }))
    sure(machine.change(machine.walk("object"), { uid: POSTGRES }))
    expect(machine.stat(machine.walk("object"))).toMatchObject({ mode: S_IFREG | 0o444, uid: POSTGRES })
    expect(modeOf(host, node)).toBe(0o644)
  })
})

describe("withOwnership(): what it costs, and what it hides", () => {
  it("asks for a record once, and again only when the file has changed", async () => {
    const { machine, host, calls } = world()
    const node = await host.file("a")
    const seen = machine.walk("a")
    const once = calls.getExtended
    for (let round = 0; round < 10; round++) machine.stat(seen)
    expect([once, calls.getExtended]).toEqual([1, 1])
    sure(host.change(node, { modify: "now" }))
    machine.stat(seen)
    expect(calls.getExtended).toBe(2)
  })

  it("asks again while a change may not show in the time of change", async () => {
    const nowMs = 1_600_000_000_000
    const fs = memoryFileSystem({ clock: () => ({ seconds: nowMs / 1000, nanoseconds: 0 }) })
    let passedMs = 0
    const machine = new Rig(withOwnership(fs, { now: () => nowMs + passedMs }))
    const kept = new Rig({ ...forwarding(fs), ...fs.reserved })
    const node = await machine.file("a")
    expect(ownerOf(machine, node)).toEqual([0, 0])
    sure(kept.setExtended(node, ATTRIBUTE, "5:6::"))
    expect(ownerOf(machine, node)).toEqual([5, 6])
    passedMs = 1000
    expect(ownerOf(machine, node)).toEqual([5, 6])
    // By a clock that stands still for a second nobody could tell.
    sure(kept.setExtended(node, ATTRIBUTE, "7:8::"))
    expect(ownerOf(machine, node)).toEqual([5, 6])
  })

  it("shows an owner that was set on the host, and nonsense as none", async () => {
    const { machine, host, kept } = world()
    const node = await host.file("a")
    sure(kept.setExtended(node, ATTRIBUTE, "12:13::"))
    expect(ownerOf(machine, machine.walk("a"))).toEqual([12, 13])
    for (const nonsense of ["", "a:b::", "1:2", "1:2:999:1", "99999999999:1::", "1:2::\n", "-1:0::"]) {
      sure(kept.setExtended(node, ATTRIBUTE, nonsense))
      expect(ownerOf(machine.as(7), machine.walk("a"))).toEqual([7, 7])
    }
  })

  it("hides its attribute from the machine among others", async () => {
    const { machine } = world()
    const node = await machine.file("a")
    sure(machine.change(node, { uid: POSTGRES }))
    sure(machine.setExtended(node, "user.mine", "x"))
    expect(machine.listExtended(node)).toEqual(["user.mine"])
    expect(machine.fs.listExtended(node, new Uint8Array(0))).toBe("user.mine\0".length)
    expect(machine.getExtended(node, ATTRIBUTE)).toBe("EPERM")
    expect(machine.setExtended(node, ATTRIBUTE, "0:0::")).toBe("EPERM")
    expect(machine.removeExtended(node, ATTRIBUTE)).toBe("EPERM")
    expect(ownerOf(machine, node)).toEqual([POSTGRES, 0])
  })

  it("refuses a change of owner that cannot be kept, and takes a new file away", async () => {
    const fs = memoryFileSystem()
    const refusing = { ...forwarding(fs), reserved: { ...fs.reserved, setExtended: () => -EIO } }
    const machine = new Rig(withOwnership(refusing))
    const node = await machine.file("a")
    expect(machine.change(node, { uid: POSTGRES })).toBe("EIO")
    expect(machine.create("b", machine.root, { mode: 0o400 }).answer).toBe("EIO")
    expect(machine.mkdir("c", machine.root, 0o500)).toBe("EIO")
    expect(machine.names()).toEqual(["a"])
  })
})

describe("withOwnership(): where no extended attribute can be", () => {
  const directories: string[] = []
  afterEach(() => {
    for (const directory of directories.splice(0)) rmSync(directory, { recursive: true })
  })
  const database = (): string => {
    const directory = mkdtempSync(join(tmpdir(), "owners-"))
    directories.push(directory)
    return join(directory, "owners")
  }

  it("keeps owners of links and FIFOs in its database, over a restart", () => {
    const path = database()
    const host = memoryFileSystem()
    const machine = new Rig(withOwnership(host, { database: path }))
    const link = sure(machine.symlink("link", "x"))
    const fifo = sure(machine.mknod("fifo", S_IFIFO | 0o600))
    sure(machine.change(link, { uid: POSTGRES }))
    sure(machine.change(fifo, { uid: 5, gid: 6, mode: 0o400 }))
    const again = new Rig(withOwnership(host, { database: path }))
    expect(ownerOf(again, again.walk("link"))).toEqual([POSTGRES, 0])
    expect(ownerOf(again, again.walk("fifo"))).toEqual([5, 6])
    expect(modeOf(again, again.walk("fifo"))).toBe(0o400)
  })

  it("keeps everything there on a file system without extended attributes", async () => {
    const path = database()
    const { machine } = world({ database: path }, false)
    const data = sure(machine.mkdir("data"))
    sure(machine.change(data, { uid: POSTGRES, mode: 0o700 }))
    const file = await machine.as(POSTGRES).file("a", data)
    expect(ownerOf(machine, file)).toEqual([POSTGRES, POSTGRES])
    expect(readFileSync(path, "latin1").split("\n")).toHaveLength(4)
  })

  it("takes a record out of the database once the file takes it itself", async () => {
    const path = database()
    const fs = memoryFileSystem()
    let full = true
    const { setExtended } = fs.reserved
    const reserved: typeof fs.reserved = {
      ...fs.reserved,
      setExtended: (...parameters) => (full ? -ENOSPC : setExtended(...parameters)),
    }
    const machine = new Rig(withOwnership({ ...forwarding(fs), reserved }, { database: path }))
    const node = await machine.file("a")
    sure(machine.change(node, { uid: POSTGRES }))
    full = false
    sure(machine.change(node, { uid: 5 }))
    expect(readFileSync(path, "latin1")).toMatch(/999:0::\n.* -\n$/)
    sure(machine.change(node, { modify: "now" }))
    expect(ownerOf(machine, node)).toEqual([5, 0])
  })

  it("forgets what is removed, and gives a later file of the name nothing of it", () => {
    const path = database()
    const { machine } = world({ database: path }, false)
    sure(machine.change(sure(machine.mkdir("a")), { uid: POSTGRES }))
    sure(machine.rmdir("a"))
    expect(ownerOf(machine.as(7), sure(machine.as(7).mkdir("a")))).toEqual([7, 7])
    expect(readFileSync(path, "latin1")).toMatch(/ -\n$/)
  })

  it("keeps an owner over a rename and as long as one hard link is left", async () => {
    const { machine } = world({ database: database() }, false)
    const node = await machine.file("a")
    sure(machine.change(node, { uid: POSTGRES }))
    sure(machine.link(node, "b"))
    sure(machine.unlink("a"))
    sure(machine.rename("b", "c"))
    expect(ownerOf(machine, machine.walk("c"))).toEqual([POSTGRES, 0])
  })

  it("forgets what was removed on the host when it is compacted", async () => {
    const path = database()
    const { owned, machine, host } = world({ database: path }, false)
    for (const name of ["a", "b"]) sure(machine.change(await machine.file(name), { uid: POSTGRES }))
    sure(host.unlink("a"))
    owned.compactOwners()
    expect(readFileSync(path, "latin1").split("\n")).toHaveLength(3)
    expect(ownerOf(machine, machine.walk("b"))).toEqual([POSTGRES, 0])
  })
})

describe("exportOwners() and importOwners()", () => {
  it("move owners to a copy of the tree", async () => {
    const from = world()
    const into = world()
    for (const { machine } of [from, into]) {
      const data = sure(machine.mkdir("data"))
      await machine.file("a", data)
      await machine.file(bytes("\xff"), data)
      await machine.file("plain")
      sure(machine.symlink("link", "data"))
    }
    sure(from.machine.change(from.machine.walk("data"), { uid: POSTGRES, gid: POSTGRES, mode: 0o500 }))
    sure(from.machine.change(from.machine.walk("data/a"), { uid: 5, gid: 6 }))
    sure(from.machine.change(from.machine.walk("data/\xff"), { mode: 0o400 }))
    sure(from.machine.change(from.machine.walk("link"), { uid: 8 }))
    sure(from.machine.change(from.machine.root, { uid: 1 }))
    const lines = [...from.owned.exportOwners()]
    expect(lines.toSorted()).toEqual(
      [
        '{"path":"","uid":1,"gid":0}',
        '{"path":"data","uid":999,"gid":999,"mode":"0500"}',
        '{"path":"data/a","uid":5,"gid":6}',
        '{"path64":"ZGF0YS//","mode":"0400"}',
        '{"path":"link","uid":8,"gid":0}',
      ].toSorted(),
    )
    expect(into.owned.importOwners(lines)).toEqual({ applied: 5, refused: [] })
    expect([...into.owned.exportOwners()].toSorted()).toEqual(lines.toSorted())
    expect(into.machine.listExtended(into.machine.walk("plain"))).toEqual([])
  })

  it("may pause at every file, and keep hold of nothing when they are left", async () => {
    const { owned, machine } = world()
    let data = machine.root
    for (let depth = 0; depth < 40; depth++) data = sure(machine.mkdir("d", data))
    sure(machine.change(data, { uid: POSTGRES, gid: POSTGRES }))
    const steps = [...owned.exportOwnersInSteps()]
    expect(steps).toHaveLength(41)
    expect(steps.filter((step) => step !== undefined)).toEqual([...owned.exportOwners()])
    const left = owned.exportOwnersInSteps()
    for (let step = 0; step < 20; step++) left.next()
    expect(left.return(undefined).done).toBe(true)
    expect([...owned.exportOwnersInSteps()]).toEqual(steps)
  })

  it("change nothing that a layer above does not show", async () => {
    const { owned, machine } = world()
    await machine.file("a")
    const blind = { ...owned, lookup: () => -2 }
    const line = '{"path":"a","uid":1,"gid":2}'
    expect(owned.importOwners([line], blind)).toEqual({ applied: 0, refused: ['Cannot find "a": ENOENT'] })
    expect([...owned.exportOwners()]).toEqual([])
    expect(owned.importOwners([line])).toEqual({ applied: 1, refused: [] })
  })

  it("leave out what fits nothing, and say so", async () => {
    const { owned, machine } = world()
    await machine.file("a")
    sure(machine.symlink("link", "a"))
    const { applied, refused } = owned.importOwners([
      '{"path":"a","uid":1,"gid":2}',
      "",
      '{"path":"none","uid":1,"gid":2}',
      '{"path":"link/below","uid":1,"gid":2}',
      '{"path":"../a","uid":1,"gid":2}',
      '{"path":"a","uid":1}',
      '{"path":"a","uid":-1,"gid":2}',
      '{"path":"a","mode":"9999"}',
      '{"path":"a","mode":493}',
      "[]",
      "null",
      "{",
      '{"uid":1,"gid":2}',
    ])
    expect([applied, refused.length]).toEqual([1, 11])
    expect(refused[0]).toBe('Cannot find "none": ENOENT')
    expect(ownerOf(machine, machine.walk("a"))).toEqual([1, 2])
  })
})

fileSystemSuite({
  name: "memory with owners",
  make: () => ({ fs: withOwnership(memoryFileSystem()) }),
})

fileSystemSuite({
  name: "memory with owners in the database of the layer",
  make: () => ({ fs: withOwnership({ ...forwarding(memoryFileSystem()), reserved: undefined }) }),
})
