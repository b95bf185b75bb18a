/**
 * Hosts whose disk is full or broken, permissions that change under what is being written, and links to anywhere, seen by an NFS client.
 *
 * @module
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { EIO, ENOSPC } from "@skep/loop/sys"
import { type FaultPlan, memoryFileSystem, openPassthrough, withFaults } from "@skep/vfs"
import { describe, expect, it } from "vitest"
import * as status from "../src/status.ts"
import { Rig, ROOT } from "./client.ts"
import { Nfs3, OK } from "./nfs3.ts"

const UNSTABLE = 0
const FILE_SYNC = 2

function setUp(plan: FaultPlan = {}) {
  const fs = withFaults(memoryFileSystem(), plan)
  const rig = new Rig(fs)
  const client = rig.client()
  const nfs = new Nfs3(client)
  const { handle: root } = nfs.mount()
  return { fs, rig, client, nfs, root, [Symbol.dispose]: () => rig[Symbol.dispose]() }
}

describe("a host whose disk", () => {
  it("is full says so, keeps what fitted, and goes on when there is room", () => {
    using t = setUp({ fullAfterBytes: 6 })
    const { nfs, root, fs } = t
    const file = nfs.file(root, "a")
    expect(nfs.write(file, 0, "0123")).toMatchObject({ status: OK, count: 4 })
    expect(nfs.write(file, 4, "4567", FILE_SYNC)).toMatchObject({ status: OK, count: 2 })
    const full = nfs.write(file, 6, "67", FILE_SYNC)
    expect(full).toMatchObject({ status: status.NOSPC, wcc: { after: { size: 6n } } })
    expect(nfs.read(file, 0, 100).data.toString()).toBe("012345")
    fs.plan = {
      failures: ["create", "makeDirectory", "makeSymlink"].map((operation) => ({
        operation: operation as "create" | "makeDirectory" | "makeSymlink",
        errno: ENOSPC,
      })),
    }
    expect(nfs.create(root, "b", {}).status).toBe(status.NOSPC)
    expect(nfs.create(root, "b", Buffer.from("8 bytes!")).status).toBe(status.NOSPC)
    expect(nfs.mkdir(root, "b").status).toBe(status.NOSPC)
    expect(nfs.symlink(root, "b", "a").status).toBe(status.NOSPC)
    fs.plan = {}
    expect(nfs.lookup(root, "b").status).toBe(status.NOENT)
    expect(nfs.write(file, 6, "67", UNSTABLE)).toMatchObject({ status: OK, count: 2 })
    expect(nfs.read(file, 0, 100).data.toString()).toBe("01234567")
  })

  it("is broken fails each call by itself, and none after it", () => {
    using t = setUp()
    const { nfs, root, fs } = t
    const file = nfs.file(root, "a", "hello")
    const { handle: directory } = nfs.mkdir(root, "d")
    const link = nfs.symlink(root, "l", "a").handle
    const asked = {
      lookup: () => nfs.lookup(directory, "a").status,
      setAttributes: () => nfs.setattr(file, { mode: 0o600 }).status,
      readLink: () => nfs.readlink(link).status,
      makeDirectory: () => nfs.mkdir(root, "e").status,
      makeSymlink: () => nfs.symlink(root, "s", "to").status,
      makeNode: () => nfs.mknod(root, "p", 7).status,
      link: () => nfs.link(file, root, "h").status,
      unlink: () => nfs.remove(root, "a").status,
      removeDirectory: () => nfs.rmdir(root, "d").status,
      rename: () => nfs.rename(root, "a", root, "b").status,
      create: () => nfs.create(root, "c", {}, true).status,
      openDirectory: () => nfs.readdir(directory).status,
      read: () => nfs.read(file, 0, 5).status,
      write: () => nfs.write(file, 0, "HELLO").status,
      sync: () => nfs.write(file, 0, "hello", FILE_SYNC).status,
      usage: () => nfs.fsstat(root).status,
    } as const
    for (const [operation, ask] of Object.entries(asked)) {
      fs.plan = { failures: [{ operation: operation as keyof typeof asked, errno: EIO }] }
      expect([operation, ask()]).toEqual([operation, status.IO])
      expect(fs.calls.of(operation as keyof typeof asked)).toBeGreaterThan(0)
    }
    fs.plan = {}
    expect(
      nfs
        .list(root)
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual([".", "..", "a", "d", "l"])
    expect(nfs.read(file, 0, 5).data.toString()).toBe("hello")
    expect(nfs.setattr(file, { mode: 0o600 }).status).toBe(OK)
  })

  it("lost what was written says another verifier, so that it is written again", () => {
    using t = setUp()
    const { nfs, root, fs } = t
    const file = nfs.file(root, "a")
    const { verifier } = nfs.write(file, 0, "kept by the client")
    fs.plan = { failures: [{ operation: "sync", errno: EIO }] }
    expect(nfs.commit(file).status).toBe(status.IO)
    fs.plan = {}
    const again = nfs.write(file, 0, "kept by the client")
    expect(again.verifier).not.toBe(verifier)
    expect(nfs.commit(file)).toMatchObject({ status: OK, verifier: again.verifier })
  })

  it("says nothing of a file gives none of it to anybody", () => {
    using t = setUp()
    const { nfs, root, fs } = t
    const file = nfs.file(root, "a", "hello")
    fs.plan = { failures: [{ operation: "getAttributes", errno: EIO }] }
    const other = { uid: 1001, gid: 1001 }
    expect([
      nfs.getattr(file).status,
      nfs.read(file, 0, 5).status,
      nfs.write(file, 0, "HELLO").status,
      nfs.lookup(root, "a").status,
      nfs.readdir(root).status,
      nfs.access(file, 1).status,
    ]).toEqual(Array.from({ length: 6 }, () => status.IO))
    // Whoever may not read it does not get to by that.
    fs.plan = {}
    expect(nfs.setattr(file, { mode: 0o600 }).status).toBe(OK)
    expect(nfs.read(file, 0, 5).status).toBe(OK)
    fs.plan = { failures: [{ operation: "getAttributes", errno: EIO }] }
    t.client.as(other)
    expect(nfs.read(file, 0, 5)).toMatchObject({ status: status.IO, data: Buffer.alloc(0) })
    t.client.as(ROOT)
    fs.plan = {}
    expect(nfs.read(file, 0, 5).data.toString()).toBe("hello")
  })
})

describe("permissions that change under an open file", () => {
  it("hold for others at once, and for its owner as open(2) does: he goes on", () => {
    using t = setUp()
    const { nfs, root, client } = t
    const [owner, other] = [
      { uid: 1000, gid: 1000 },
      { uid: 1001, gid: 1001 },
    ]
    nfs.setattr(root, { mode: 0o777 })
    client.as(owner)
    const file = nfs.file(root, "a", "hello", 0o666)
    client.as(other)
    expect(nfs.write(file, 0, "J").status).toBe(OK)
    client.as(owner)
    expect(nfs.setattr(file, { mode: 0 }).status).toBe(OK)
    expect(nfs.write(file, 5, "!").status).toBe(OK)
    expect(nfs.read(file, 0, 9).data.toString()).toBe("Jello!")
    client.as(other)
    expect([nfs.write(file, 0, "X").status, nfs.read(file, 0, 9).status]).toEqual([
      status.ACCES,
      status.ACCES,
    ])
    expect(nfs.setattr(file, { size: 0 }).status).not.toBe(OK)
    client.as(owner)
    expect(nfs.read(file, 0, 9).data.toString()).toBe("Jello!")
  })
})

describe("links to anywhere", () => {
  it("are text for the client, and lead the server nowhere", () => {
    const path = mkdtempSync(join(tmpdir(), "skep-nfs-"))
    try {
      const secret = join(path, "secret")
      writeFileSync(secret, "secret")
      using outer = openPassthrough({ path })
      {
        using rig = new Rig(outer)
        const nfs = new Nfs3(rig.client())
        expect(nfs.mkdir(nfs.mount().handle, "shared").status).toBe(OK)
      }
      using fileSystem = openPassthrough({ path: join(path, "shared") })
      using rig = new Rig(fileSystem)
      const nfs = new Nfs3(rig.client())
      const { handle: root } = nfs.mount()
      for (const target of [secret, "../secret", ".."]) {
        const { handle } = nfs.symlink(root, "link", target)
        expect(nfs.readlink(handle)).toMatchObject({ status: OK, target })
        expect(nfs.read(handle, 0, 9).status).toBe(status.INVAL)
        expect(nfs.write(handle, 0, "X").status).toBe(status.INVAL)
        expect(nfs.lookup(handle, "secret").status).toBe(status.NOTDIR)
        expect(nfs.readdir(handle).status).toBe(status.NOTDIR)
        expect(nfs.setattr(handle, { size: 0 }).status).not.toBe(OK)
        // The name that is taken may be opened by CREATE: not what it leads to.
        expect(nfs.create(root, "link", { size: 0 }).status).not.toBe(OK)
        expect(nfs.remove(root, "link").status).toBe(OK)
      }
      expect(nfs.lookup(root, "../secret").status).not.toBe(OK)
      expect(readFileSync(secret, "utf8")).toBe("secret")
    } finally {
      rmSync(path, { recursive: true })
    }
  })
})
