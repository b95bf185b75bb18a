import { type Done, type FileSystem, memoryFileSystem } from "@skep/vfs"
import { describe, expect, it } from "vitest"
import * as status from "../src/status.ts"
import { mark, NFS, Rig } from "./client.ts"
import { Nfs3, OK } from "./nfs3.ts"

/** A file system whose reads, writes and syncs end when the test says so. */
class Slow {
  readonly fileSystem: FileSystem
  readonly waiting: { readonly what: string; readonly end: (result?: number) => void }[] = []
  slow = false
  /** Whether nothing can be said of files. */
  blind = false

  constructor() {
    const inner = memoryFileSystem()
    const hold = (what: string, done: Done, begin: (done: Done) => void) => {
      if (!this.slow) {
        begin(done)
        return
      }
      const end = (result?: number) => {
        if (result === undefined) begin(done)
        else done(result)
      }
      this.waiting.push({ what, end })
    }
    this.fileSystem = new Proxy(inner, {
      get: (target, key) => {
        if (key === "read")
          return (...[handle, offset, into, done]: Parameters<FileSystem["read"]>) =>
            hold("read", done, (next) => target.read(handle, offset, into, next))
        if (key === "write")
          return (...[handle, offset, from, done]: Parameters<FileSystem["write"]>) =>
            hold("write", done, (next) => target.write(handle, offset, from, next))
        if (key === "sync")
          return (...[handle, dataOnly, done]: Parameters<FileSystem["sync"]>) =>
            hold("sync", done, (next) => target.sync(handle, dataOnly, next))
        if (key === "getAttributes" && this.blind) return () => -5
        const value: unknown = Reflect.get(target, key)
        return typeof value === "function" ? value.bind(target) : value
      },
    })
  }
}

function setUp() {
  const slow = new Slow()
  const rig = new Rig(slow.fileSystem)
  const client = rig.client()
  const nfs = new Nfs3(client)
  const { handle: root } = nfs.mount()
  const handle = nfs.file(root, "a", "0123456789")
  const send = (xid: number, procedure: number, args: Uint8Array) => {
    client.send(mark(client.request(xid, { program: NFS, version: 3, procedure }, args)))
    for (let step = 0; step < 5; step++) rig.loop.step()
  }
  return { slow, rig, client, nfs, root, handle, send, [Symbol.dispose]: () => rig[Symbol.dispose]() }
}

const READ = 6
const WRITE = 7

describe("what takes long", () => {
  it("stalls nobody, and is answered when it is over", () => {
    using t = setUp()
    t.slow.slow = true
    t.send(100, READ, Nfs3.readArgs(t.handle, 2, 4).done())
    t.send(101, WRITE, Nfs3.writeArgs(t.handle, 0, Buffer.from("abc"), 2).done())
    expect(t.nfs.getattr(t.handle).status).toBe(OK)
    expect(t.rig.server.counters.underWay).toBe(2)
    expect(t.slow.waiting.map(({ what }) => what)).toEqual(["read", "write"])
    t.slow.waiting[1]?.end()
    // Written, and now on its way to the device.
    expect(t.slow.waiting.map(({ what }) => what)).toEqual(["read", "write", "sync"])
    t.slow.waiting[2]?.end()
    expect(Nfs3.writeResult(t.client.answer(101).body)).toMatchObject({ status: OK, committed: 2 })
    t.slow.waiting[0]?.end()
    expect(Nfs3.readResult(t.client.answer(100).body).data.toString()).toBe("c345")
    expect(t.rig.server.counters.underWay).toBe(0)
  })

  it("keeps what was received while more arrives", () => {
    using t = setUp()
    t.slow.slow = true
    const parts = Array.from({ length: 12 }, (_, index) => Buffer.alloc(300_000, 65 + index))
    for (const [index, part] of parts.entries())
      t.send(200 + index, WRITE, Nfs3.writeArgs(t.handle, index * 300_000, part, 0).done())
    expect(t.slow.waiting.length).toBe(12)
    for (const { end } of t.slow.waiting.toReversed()) end()
    for (const index of parts.keys())
      expect(Nfs3.writeResult(t.client.answer(200 + index).body).status).toBe(OK)
    t.slow.slow = false
    for (const [index, part] of parts.entries())
      expect(t.nfs.read(t.handle, index * 300_000, 300_000).data.equals(part)).toBe(true)
  })

  it("does not say what a file was before, where another change came between", () => {
    using t = setUp()
    t.slow.slow = true
    t.send(300, WRITE, Nfs3.writeArgs(t.handle, 0, Buffer.from("abc"), 0).done())
    t.send(301, WRITE, Nfs3.writeArgs(t.handle, 20, Buffer.from("def"), 0).done())
    for (const { end } of t.slow.waiting) end()
    expect(Nfs3.writeResult(t.client.answer(300).body).wcc.before).toBeUndefined()
    expect(Nfs3.writeResult(t.client.answer(301).body).wcc.before).toMatchObject({ size: 10n })
  })

  it("is bounded, and goes on", () => {
    using t = setUp()
    t.slow.slow = true
    for (let index = 0; index < 300; index++)
      t.send(1000 + index, READ, Nfs3.readArgs(t.handle, 0, 10).done())
    expect(t.slow.waiting.length).toBe(128)
    for (let ended = 0; ended < 300; ended++) {
      const next = t.slow.waiting[ended]
      if (next === undefined) throw new Error(`only ${ended} were begun`)
      next.end()
      for (let step = 0; step < 3; step++) t.rig.loop.step()
    }
    for (let index = 0; index < 300; index++) expect(t.client.answer(1000 + index).stat).toBe(0)
  })

  it("that fails is told, and what may be lost is written again", () => {
    using t = setUp()
    const { verifier } = t.nfs.write(t.handle, 0, "x")
    t.slow.slow = true
    t.send(400, READ, Nfs3.readArgs(t.handle, 0, 4).done())
    t.send(401, WRITE, Nfs3.writeArgs(t.handle, 0, Buffer.from("abc"), 0).done())
    t.slow.waiting[0]?.end(-5)
    t.slow.waiting[1]?.end(-28)
    expect(Nfs3.readResult(t.client.answer(400).body).status).toBe(status.IO)
    const failed = Nfs3.writeResult(t.client.answer(401).body)
    expect(failed.status).toBe(status.NOSPC)
    expect(failed.wcc.after).toMatchObject({ size: 10n })
    t.send(402, WRITE, Nfs3.writeArgs(t.handle, 0, Buffer.from("abc"), 2).done())
    t.slow.waiting[2]?.end()
    t.slow.waiting[3]?.end(-5)
    expect(Nfs3.writeResult(t.client.answer(402).body).status).toBe(status.IO)
    t.slow.slow = false
    expect(t.nfs.write(t.handle, 0, "x").verifier).not.toBe(verifier)
  })

  it("is answered without attributes where there are none by then, and without data, as nobody knows for whom that is", () => {
    using t = setUp()
    t.slow.slow = true
    t.send(500, READ, Nfs3.readArgs(t.handle, 1, 5).done())
    t.send(501, WRITE, Nfs3.writeArgs(t.handle, 3, Buffer.from("xyz"), 0).done())
    t.slow.blind = true
    for (const { end } of t.slow.waiting) end()
    const { body } = t.client.answer(500)
    expect(Nfs3.readResult(body)).toMatchObject({ status: status.IO, attributes: undefined })
    expect(body.left).toBe(0)
    expect(Nfs3.writeResult(t.client.answer(501).body)).toMatchObject({ count: 3, wcc: { after: undefined } })
  })

  it("may outlive its connection", () => {
    using t = setUp()
    t.slow.slow = true
    const other = t.rig.client()
    other.send(
      mark(
        other.request(1, { program: NFS, version: 3, procedure: READ }, Nfs3.readArgs(t.handle, 0, 4).done()),
      ),
    )
    t.rig.loop.step()
    other.close()
    t.rig.loop.step()
    t.rig.loop.step()
    expect(t.rig.server.connections).toBe(1)
    t.slow.waiting[0]?.end()
    expect(t.nfs.getattr(t.handle).status).toBe(OK)
    expect(t.rig.server.counters.underWay).toBe(0)
  })

  it("may outlive the server", () => {
    const t = setUp()
    t.slow.slow = true
    t.send(1, READ, Nfs3.readArgs(t.handle, 0, 4).done())
    t.send(2, WRITE, Nfs3.writeArgs(t.handle, 0, Buffer.from("later"), 0).done())
    t.rig[Symbol.dispose]()
    // Its memory is still there.
    for (const { end } of t.slow.waiting) end()
    expect(t.rig.server.counters.bytesRead).toBe(0)
  })
})
