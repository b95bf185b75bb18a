import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type FileSystem, memoryFileSystem, openPassthrough, withOwnership } from "@skep/vfs"
import { describe, expect, it } from "vitest"
import * as status from "../src/status.ts"
import { Rig, ROOT } from "./client.ts"
import { Nfs3, OK } from "./nfs3.ts"

const USER = { uid: 1000, gid: 1000, groups: [44] }
const OTHER = { uid: 1001, gid: 1001 }

interface Made extends Disposable {
  readonly fileSystem: FileSystem
}

/** What they are tried on: files in memory, and a directory of the host with owners of its own. */
const KINDS: readonly (readonly [string, () => Made])[] = [
  ["files in memory", inMemory],
  ["files of the host", hostFiles],
]

function hostFiles(): Made {
  const path = mkdtempSync(join(tmpdir(), "skep-nfs-"))
  const fileSystem = withOwnership(openPassthrough({ path }))
  return {
    fileSystem,
    [Symbol.dispose]: () => {
      fileSystem[Symbol.dispose]()
      rmSync(path, { recursive: true, force: true })
    },
  }
}

function inMemory(): Made {
  return { fileSystem: memoryFileSystem(), [Symbol.dispose]: () => undefined }
}

function begin(make: () => Made) {
  const made = make()
  const rig = new Rig(made.fileSystem)
  const client = rig.client(ROOT)
  const nfs = new Nfs3(client)
  const { handle: root } = nfs.mount("/")
  const end = () => {
    rig[Symbol.dispose]()
    made[Symbol.dispose]()
  }
  return { rig, client, nfs, root, [Symbol.dispose]: end }
}

describe.each(KINDS)("on %s", (_kind, make) => {
  const setUp = () => begin(make)

  describe("files", () => {
    it("are made, written, read and listed", () => {
      using t = setUp()
      const made = t.nfs.create(t.root, "a", { mode: 0o640 })
      expect(made).toMatchObject({ status: OK, attributes: { type: 1, mode: 0o640, size: 0n } })
      const written = t.nfs.write(made.handle, 3, "hello")
      expect(written).toMatchObject({
        status: OK,
        count: 5,
        committed: 0,
        wcc: { before: { size: 0n }, after: { size: 8n } },
      })
      expect(t.nfs.read(made.handle, 0, 100)).toMatchObject({
        status: OK,
        eof: true,
        data: Buffer.from("\0\0\0hello"),
      })
      expect(t.nfs.read(made.handle, 3, 4)).toMatchObject({ eof: false, data: Buffer.from("hell") })
      expect(t.nfs.read(made.handle, 3, 5)).toMatchObject({ eof: true, data: Buffer.from("hello") })
      expect(t.nfs.read(made.handle, 8, 5)).toMatchObject({ eof: true, data: Buffer.alloc(0) })
      expect(
        t.nfs
          .list(t.root)
          .map(({ name }) => name)
          .toSorted(),
      ).toEqual([".", "..", "a"])
      expect(t.nfs.lookup(t.root, "a").handle).toEqual(made.handle)
      expect(t.nfs.commit(made.handle)).toMatchObject({ status: OK, verifier: written.verifier })
    })

    it("are moved whole through the largest transfer, and never more", () => {
      using t = setUp()
      const handle = t.nfs.file(t.root, "big")
      const data = Buffer.alloc(1024 * 1024, "0123456789abcdef!")
      expect(t.nfs.write(handle, 1, data).count).toBe(data.length)
      expect(t.nfs.read(handle, 1, data.length).data.equals(data)).toBe(true)
      expect(t.nfs.read(handle, 0, 0xffff_ffff).data.length).toBe(data.length)
    })

    it("beyond what a number holds are refused, and empty to read", () => {
      using t = setUp()
      const handle = t.nfs.file(t.root, "a", "x")
      expect(t.nfs.write(handle, 2n ** 63n, "x").status).toBe(status.FBIG)
      expect(t.nfs.read(handle, 2n ** 63n, 10)).toMatchObject({ status: OK, eof: true })
      expect(t.nfs.setattr(handle, { size: 2n ** 60n }).status).toBe(status.FBIG)
      expect(t.nfs.write(handle, 2 ** 33, "y")).toMatchObject({
        status: OK,
        wcc: { after: { size: 2n ** 33n + 1n } },
      })
    })

    it("on stable storage are answered as such", () => {
      using t = setUp()
      const handle = t.nfs.file(t.root, "a")
      expect(t.nfs.write(handle, 0, "x", 1).committed).toBe(1)
      expect(t.nfs.write(handle, 0, "x", 2).committed).toBe(2)
    })

    it("that are no files are not read", () => {
      using t = setUp()
      expect(t.nfs.read(t.root, 0, 1).status).toBe(status.ISDIR)
      expect(t.nfs.write(t.root, 0, "x").status).toBe(status.ISDIR)
      expect(t.nfs.commit(t.root).status).toBe(status.ISDIR)
      const { handle } = t.nfs.mknod(t.root, "fifo", 7)
      expect(t.nfs.read(handle, 0, 1).status).toBe(status.INVAL)
    })
  })

  describe("CREATE", () => {
    it("unchecked takes what is there, and cuts it where asked", () => {
      using t = setUp()
      const handle = t.nfs.file(t.root, "a", "hello")
      expect(t.nfs.create(t.root, "a", {})).toMatchObject({ status: OK, handle, attributes: { size: 5n } })
      expect(t.nfs.create(t.root, "a", { size: 0 })).toMatchObject({
        status: OK,
        handle,
        attributes: { size: 0n },
      })
      t.nfs.mkdir(t.root, "d")
      expect(t.nfs.create(t.root, "d", {}).status).toBe(status.EXIST)
    })

    it("guarded does not", () => {
      using t = setUp()
      t.nfs.file(t.root, "a")
      expect(t.nfs.create(t.root, "a", {}, true).status).toBe(status.EXIST)
    })

    it("exclusive knows who asks again, also after a restart", () => {
      using made = make()
      const { fileSystem } = made
      const verifier = Buffer.from("ffeeddccbbaa9988", "hex")
      {
        using rig = new Rig(fileSystem)
        const nfs = new Nfs3(rig.client())
        const { handle: root } = nfs.mount()
        expect(nfs.create(root, "a", verifier).status).toBe(OK)
        expect(nfs.create(root, "a", verifier).status).toBe(OK)
        expect(nfs.create(root, "a", Buffer.from("ffeeddccbbaa9989", "hex")).status).toBe(status.EXIST)
      }
      using rig = new Rig(fileSystem)
      const nfs = new Nfs3(rig.client())
      const { handle: root } = nfs.mount()
      const { status: code, handle } = nfs.create(root, "a", verifier)
      expect(code).toBe(OK)
      nfs.setattr(handle, { mode: 0o644, mtime: "now", atime: "now" })
      expect(nfs.create(root, "a", verifier).status).toBe(status.EXIST)
    })

    it("of names that are none is refused", () => {
      using t = setUp()
      for (const name of ["", ".", "..", "a/b", "a\0b"])
        expect(t.nfs.create(t.root, name, {}).status).not.toBe(OK)
      expect(t.nfs.create(t.root, "x".repeat(256), {}).status).toBe(status.NAMETOOLONG)
      expect(t.nfs.create(t.root, "x".repeat(255), {}).status).toBe(OK)
      expect(t.nfs.create(t.root, Buffer.from([0xff, 0x80, 0x01]), {}).status).toBe(OK)
    })
  })

  describe("names", () => {
    it("of everything are made", () => {
      using t = setUp()
      expect(t.nfs.mkdir(t.root, "d", { mode: 0o750 })).toMatchObject({
        status: OK,
        attributes: { type: 2, mode: 0o750 },
      })
      const link = t.nfs.symlink(t.root, "l", "../nowhere")
      expect(link).toMatchObject({ status: OK, attributes: { type: 5 } })
      expect(t.nfs.readlink(link.handle)).toMatchObject({ status: OK, target: "../nowhere" })
      expect(t.nfs.readlink(t.root).status).toBe(status.INVAL)
      for (const [name, type] of [
        ["s", 6],
        ["f", 7],
      ] as const)
        expect(t.nfs.mknod(t.root, name, type)).toMatchObject({
          status: OK,
          attributes: { type, mode: 0o640 },
        })
      expect(t.nfs.mknod(t.root, "r", 1).status).toBe(status.BADTYPE)
      const file = t.nfs.file(t.root, "a", "x")
      expect(t.nfs.link(file, t.root, "b")).toMatchObject({ status: OK, attributes: { links: 2 } })
      expect(t.nfs.lookup(t.root, "b").handle).toEqual(file)
      expect(t.nfs.link(file, t.root, "b").status).toBe(status.EXIST)
    })

    it("are moved with their handles", () => {
      using t = setUp()
      const file = t.nfs.file(t.root, "a", "x")
      const { handle: directory } = t.nfs.mkdir(t.root, "d")
      expect(t.nfs.rename(t.root, "a", directory, "b").status).toBe(OK)
      expect(t.nfs.read(file, 0, 9)).toMatchObject({ status: OK, data: Buffer.from("x") })
      expect(t.nfs.lookup(directory, "b").handle).toEqual(file)
      expect(t.nfs.rename(t.root, "a", t.root, "c").status).toBe(status.NOENT)
      expect(t.nfs.rename(t.root, "d", directory, "in").status).toBe(status.INVAL)
      t.nfs.mkdir(t.root, "e")
      expect(t.nfs.rename(t.root, "e", t.root, "d").status).toBe(status.NOTEMPTY)
    })

    it("are removed, and what is gone is stale", () => {
      using t = setUp()
      const file = t.nfs.file(t.root, "a", "x")
      const { handle: directory } = t.nfs.mkdir(t.root, "d")
      t.nfs.file(directory, "in")
      expect(t.nfs.rmdir(t.root, "d").status).toBe(status.NOTEMPTY)
      expect(t.nfs.remove(t.root, "d").status).toBe(status.ISDIR)
      expect(t.nfs.rmdir(t.root, "a").status).toBe(status.NOTDIR)
      expect(t.nfs.remove(directory, "in").status).toBe(OK)
      expect(t.nfs.rmdir(t.root, "d").status).toBe(OK)
      expect(t.nfs.remove(t.root, "a").status).toBe(OK)
      expect(t.nfs.remove(t.root, "a").status).toBe(status.NOENT)
      expect(t.nfs.getattr(file).status).toBe(status.STALE)
      expect(t.nfs.lookup(directory, "x").status).toBe(status.STALE)
    })

    it("lead up to the root and no further", () => {
      using t = setUp()
      const { handle: directory } = t.nfs.mkdir(t.root, "d")
      expect(t.nfs.lookup(directory, "..").handle).toEqual(t.root)
      expect(t.nfs.lookup(t.root, "..").handle).toEqual(t.root)
      expect(t.nfs.lookup(directory, ".").handle).toEqual(directory)
    })
  })

  describe("weak cache consistency", () => {
    it("says what a directory was before and is after", () => {
      using t = setUp()
      const before = t.nfs.getattr(t.root).attributes
      const { directory } = t.nfs.create(t.root, "a", {})
      expect(directory.before).toEqual({ size: before?.size, mtime: before?.mtime, ctime: before?.ctime })
      expect(directory.after).toEqual(t.nfs.getattr(t.root).attributes)
      const failed = t.nfs.remove(t.root, "none")
      expect(failed.directory.before?.mtime).toEqual(directory.after?.mtime)
      expect(failed.directory.after).toEqual(directory.after)
    })

    it("guards attributes by the time of their change", () => {
      using t = setUp()
      const handle = t.nfs.file(t.root, "a")
      const ctime = t.nfs.getattr(handle).attributes?.ctime ?? [0, 0]
      expect(t.nfs.setattr(handle, { mode: 0o600 }, [ctime[0], ctime[1] + 1]).status).toBe(status.NOT_SYNC)
      const { status: code, wcc } = t.nfs.setattr(handle, { mode: 0o600 }, ctime)
      expect(code).toBe(OK)
      expect(wcc.before?.ctime).toEqual(ctime)
      expect(wcc.after).toMatchObject({ mode: 0o600 })
      expect(t.nfs.setattr(handle, { mode: 0o640 }, ctime).status).toBe(status.NOT_SYNC)
    })
  })

  describe("SETATTR", () => {
    it("changes everything", () => {
      using t = setUp()
      const handle = t.nfs.file(t.root, "a", "hello")
      const all = { mode: 0o4711, uid: 7, gid: 8, size: 3, atime: [5, 6], mtime: [7, 999_999_999] } as const
      const { wcc } = t.nfs.setattr(handle, all)
      expect(wcc.after).toMatchObject({ ...all, size: 3n })
      expect(wcc.before?.size).toBe(5n)
    })

    it("of a file given away takes its privileges", () => {
      using t = setUp()
      const handle = t.nfs.file(t.root, "a", "", 0o6755)
      expect(t.nfs.setattr(handle, { uid: 7 }).wcc.after?.mode).toBe(0o755)
    })
  })

  describe("READDIR", () => {
    it("shows each name once, in pieces of any size, while others go", () => {
      using t = setUp()
      const names = Array.from({ length: 300 }, (_, index) => `file-${index}`)
      for (const name of names) t.nfs.file(t.root, name)
      for (const count of [256, 1000, 65536]) {
        const listed = t.nfs.list(t.root, count).map(({ name }) => name)
        expect(listed.toSorted()).toEqual([".", "..", ...names].toSorted())
      }
      const seen: string[] = []
      for (let cookie = 0n; ; ) {
        const { entries, eof } = t.nfs.readdir(t.root, cookie, 512)
        for (const { name } of entries) {
          seen.push(name)
          if (name.startsWith("file")) t.nfs.remove(t.root, name)
        }
        if (eof) break
        cookie = entries.at(-1)?.cookie ?? 0n
      }
      expect(seen.toSorted()).toEqual([".", "..", ...names].toSorted())
      expect(t.nfs.list(t.root).length).toBe(2)
    })

    it("keeps to its limits", () => {
      using t = setUp()
      for (let index = 0; index < 100; index++) t.nfs.file(t.root, `some-longer-name-${index}`)
      const some = t.nfs.readdir(t.root, 0n, 1000)
      expect(some.bytes - 24).toBeLessThanOrEqual(1000)
      expect(some.eof).toBe(false)
      expect(t.nfs.readdir(t.root, 0n, 100).status).toBe(status.TOOSMALL)
      const plus = t.nfs.readdirplus(t.root, 0n, { names: 100_000, bytes: 4000 })
      expect(plus.bytes - 24).toBeLessThanOrEqual(4000)
      expect(plus.entries.length).toBeGreaterThan(5)
      expect(t.nfs.readdirplus(t.root, 0n, { names: 200, bytes: 32768 }).entries.length).toBeLessThan(10)
    })

    it("with more gives handles that are those of LOOKUP", () => {
      using t = setUp()
      const file = t.nfs.file(t.root, "a", "x")
      const { handle: directory } = t.nfs.mkdir(t.root, "d")
      const { entries, eof } = t.nfs.readdirplus(t.root)
      expect(eof).toBe(true)
      const of = (name: string) => entries.find((entry) => entry.name === name)
      expect(of("a")).toMatchObject({ handle: file, attributes: { size: 1n, type: 1 } })
      expect(of("d")).toMatchObject({ handle: directory, attributes: { type: 2 } })
      expect(of(".")?.handle).toEqual(t.root)
      expect(of("..")?.handle).toEqual(t.root)
      for (const { fileid, attributes } of entries) expect(attributes?.fileid).toBe(fileid)
    })

    it("refuses cookies of others", () => {
      using t = setUp()
      const { entries } = t.nfs.readdir(t.root)
      expect(t.nfs.readdir(t.root, entries[0]?.cookie, 4096, 5n).status).toBe(status.BAD_COOKIE)
      const file = t.nfs.file(t.root, "a")
      expect(t.nfs.readdir(file).status).toBe(status.NOTDIR)
    })
  })

  describe("what a volume says of itself", () => {
    it("is what it does", () => {
      using t = setUp()
      expect(t.nfs.fsinfo(t.root)).toMatchObject({
        status: OK,
        properties: 0x1b,
        sizes: [2 ** 20, 2 ** 20, 4096, 2 ** 20, 2 ** 20, 4096, 131_072],
      })
      expect(t.nfs.pathconf(t.root)).toMatchObject({ status: OK, facts: [65000, 255, 1, 1, 0, 1] })
      const { sizes } = t.nfs.fsstat(t.root)
      expect(sizes[0]).toBeGreaterThan(0n)
      expect(sizes[1]).toBeLessThanOrEqual(sizes[0] ?? 0n)
    })

    it("may be that it is read-only", () => {
      using made = make()
      const { fileSystem } = made
      {
        using rig = new Rig(fileSystem)
        const nfs = new Nfs3(rig.client())
        nfs.file(nfs.mount().handle, "a", "x")
      }
      using t = { rig: new Rig(fileSystem, { readOnly: true }), [Symbol.dispose]: () => undefined }
      const nfs = new Nfs3(t.rig.client())
      const { handle: root } = nfs.mount()
      const { handle } = nfs.lookup(root, "a")
      expect(nfs.read(handle, 0, 1).data.toString()).toBe("x")
      for (const code of [
        nfs.write(handle, 0, "y").status,
        nfs.create(root, "b", {}).status,
        nfs.setattr(handle, { mode: 0 }).status,
        nfs.remove(root, "a").status,
        nfs.rename(root, "a", root, "b").status,
        nfs.mkdir(root, "d").status,
      ])
        expect(code).toBe(status.ROFS)
      expect(nfs.access(handle, 0x3f).granted).toBe(1)
      t.rig[Symbol.dispose]()
    })
  })
})

// Where files without a record are whose who looks, as on the host, callers differ in nothing.
describe("callers", () => {
  it("may what modes say", () => {
    using t = begin(inMemory)
    const { handle: directory } = t.nfs.mkdir(t.root, "d", { mode: 0o755 })
    const file = t.nfs.file(directory, "a", "secret", 0o640)
    t.client.as(USER)
    expect(t.nfs.create(directory, "b", {}).status).toBe(status.ACCES)
    expect(t.nfs.remove(directory, "a").status).toBe(status.ACCES)
    expect(t.nfs.read(file, 0, 10).status).toBe(status.ACCES)
    expect(t.nfs.write(file, 0, "x").status).toBe(status.ACCES)
    expect(t.nfs.setattr(file, { mode: 0o666 }).status).toBe(status.PERM)
    expect(t.nfs.setattr(file, { uid: 1000 }).status).toBe(status.PERM)
    expect(t.nfs.setattr(file, { atime: "now", mtime: "now" }).status).toBe(status.ACCES)
    expect(t.nfs.setattr(file, { mtime: "now" }).status).toBe(status.PERM)
    t.client.as(ROOT)
    t.nfs.setattr(file, { gid: 44 })
    t.client.as(USER)
    expect(t.nfs.read(file, 0, 10).data.toString()).toBe("secret")
    expect(t.nfs.access(file, 0x3f).granted).toBe(0x01)
    expect(t.nfs.access(directory, 0x3f).granted).toBe(0x03)
    t.client.as(ROOT)
    expect(t.nfs.access(file, 0x3f).granted).toBe(0x0d)
    expect(t.nfs.access(directory, 0x3f).granted).toBe(0x1f)
  })

  it("own what they make, and only they take it from a sticky directory", () => {
    using t = begin(inMemory)
    const { handle: tmp } = t.nfs.mkdir(t.root, "tmp", { mode: 0o1777 })
    t.client.as(USER)
    const { handle, attributes } = t.nfs.create(tmp, "mine", { mode: 0o644 })
    expect(attributes).toMatchObject({ uid: 1000, gid: 1000 })
    expect(t.nfs.setattr(handle, { gid: 44 }).status).toBe(OK)
    expect(t.nfs.setattr(handle, { gid: 45 }).status).toBe(status.PERM)
    t.client.as(OTHER)
    expect(t.nfs.remove(tmp, "mine").status).toBe(status.PERM)
    expect(t.nfs.rename(tmp, "mine", tmp, "yours").status).toBe(status.PERM)
    t.client.as(USER)
    expect(t.nfs.remove(tmp, "mine").status).toBe(OK)
  })

  it("who write what runs as another take its privileges", () => {
    using t = begin(inMemory)
    const handle = t.nfs.file(t.root, "a", "x", 0o4777)
    t.client.as(USER)
    expect(t.nfs.write(handle, 0, "y").wcc.after?.mode).toBe(0o777)
  })

  it("who cut what runs as another do as well, and who are not in its group take that", () => {
    using t = begin(inMemory)
    const cut = (mode: number, gid = 0) => {
      t.client.as(ROOT)
      const handle = t.nfs.file(t.root, `a-${mode}-${gid}`, "x", 0)
      t.nfs.setattr(handle, { gid })
      t.nfs.setattr(handle, { mode })
      t.client.as(USER)
      return t.nfs.setattr(handle, { size: 0 }).wcc.after?.mode
    }
    expect(cut(0o6777)).toBe(0o777)
    expect(cut(0o2767)).toBe(0o767)
    expect(cut(0o2767, 44)).toBe(0o2767)
    t.client.as(ROOT)
    const handle = t.nfs.file(t.root, "root's", "x", 0o6777)
    expect(t.nfs.setattr(handle, { size: 0 }).wcc.after?.mode).toBe(0o6777)
  })

  it("give directories to no group that they are not in", () => {
    using t = begin(inMemory)
    const { handle } = t.nfs.mkdir(t.root, "d", { mode: 0o755 })
    t.nfs.setattr(handle, { uid: 1000, gid: 2000 })
    t.client.as(USER)
    expect(t.nfs.setattr(handle, { mode: 0o2755 }).wcc.after?.mode).toBe(0o755)
    t.client.as({ ...USER, groups: [2000] })
    expect(t.nfs.setattr(handle, { mode: 0o2755 }).wcc.after?.mode).toBe(0o2755)
  })

  it("need to be able to write a directory that gets another parent", () => {
    using t = begin(inMemory)
    const { handle: a } = t.nfs.mkdir(t.root, "a", { mode: 0o777 })
    const { handle: b } = t.nfs.mkdir(t.root, "b", { mode: 0o777 })
    t.nfs.mkdir(a, "d", { mode: 0o755 })
    t.nfs.file(a, "f", "", 0o644)
    t.client.as(USER)
    expect(t.nfs.rename(a, "d", b, "d").status).toBe(status.ACCES)
    expect(t.nfs.rename(a, "d", a, "e").status).toBe(OK)
    expect(t.nfs.rename(a, "f", b, "f").status).toBe(OK)
    expect(t.nfs.rename(a, "missing", b, "missing").status).toBe(status.NOENT)
  })

  it("who may write say that it is now, and nothing else of times", () => {
    using t = begin(inMemory)
    const handle = t.nfs.file(t.root, "a", "x", 0o666)
    t.client.as(USER)
    expect(t.nfs.setattr(handle, { atime: "now", mtime: "now" }).status).toBe(OK)
    expect(t.nfs.setattr(handle, { size: 0, mtime: "now" }).status).toBe(OK)
    expect(t.nfs.setattr(handle, { mtime: "now" }).status).toBe(OK)
    expect(t.nfs.setattr(handle, { atime: "now" }).status).toBe(status.PERM)
    expect(t.nfs.setattr(handle, { atime: "now", mtime: [1, 2] }).status).toBe(status.PERM)
  })
})
