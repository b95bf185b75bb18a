import * as sys from "@skep/loop/sys"
import { temporaryDirectory } from "@skep/testkit"
import { memoryFileSystem } from "@skep/vfs"
import { describe, expect, it } from "vitest"
import * as status from "../src/status.ts"
import { type Answer, type Client, MOUNT, mark, NFS, PORTMAP, Rig } from "./client.ts"
import { Nfs3, OK } from "./nfs3.ts"
import { XdrReader, XdrWriter } from "./xdr.ts"

const GETATTR = 1

function setUp(options: ConstructorParameters<typeof Rig>[1] = {}) {
  const rig = new Rig(memoryFileSystem(), options)
  const client = rig.client()
  const nfs = new Nfs3(client)
  const { handle: root } = nfs.mount("/")
  return { rig, client, nfs, root, [Symbol.dispose]: () => rig[Symbol.dispose]() }
}

/** Drives the loop until the server has closed the connection. */
function untilEnded(rig: Rig, client: Client): void {
  for (let step = 0; step < 200 && !client.ended; step++) {
    rig.loop.step()
    client.receive()
  }
  expect(client.ended).toBe(true)
}

describe("calls", () => {
  it("are refused as RFC 5531 says", () => {
    using t = setUp()
    const { client } = t
    expect(client.call(NFS, 0)).toMatchObject({ kind: "accepted", stat: 0 })
    expect(client.call(424242, 0)).toMatchObject({ kind: "accepted", stat: 1 })
    const version = client.call(NFS, 0, undefined, 4)
    expect(version).toMatchObject({ kind: "accepted", stat: 2 })
    expect([version.body.u32(), version.body.u32()]).toEqual([3, 3])
    expect(client.call(NFS, 22)).toMatchObject({ kind: "accepted", stat: 3 })
    expect(client.call(NFS, 0xffff_ffff)).toMatchObject({ kind: "accepted", stat: 3 })
    for (let procedure = 1; procedure <= 21; procedure++)
      expect(client.call(NFS, procedure, Buffer.from([0, 0, 0, 1]))).toMatchObject({
        kind: "accepted",
        stat: 4,
      })
    expect(client.call(NFS, GETATTR, new XdrWriter().opaque(t.root).done())).toMatchObject({
      kind: "accepted",
      stat: 0,
    })
  })

  it("of another RPC are denied", () => {
    using t = setUp()
    t.client.send(mark(new XdrWriter().u32(77).u32(0).u32(3).u32(NFS).u32(3).u32(0).u64(0).u64(0).done()))
    const answer = t.client.answer(77)
    expect(answer).toMatchObject({ kind: "denied", stat: 0 })
    expect([answer.body.u32(), answer.body.u32()]).toEqual([2, 2])
  })

  it("without a name may ask for nothing but what mounting needs", () => {
    using t = setUp()
    const call = (
      program: number,
      procedure: number,
      flavor: number,
      credential: Uint8Array = Buffer.alloc(0),
    ) => {
      const xid = 1000 + procedure + flavor
      const message = new XdrWriter().u32(xid).u32(0).u32(2).u32(program).u32(3).u32(procedure)
      message.u32(flavor).opaque(credential).u64(0).opaque(t.root)
      t.client.send(mark(message.done()))
      return t.client.answer(xid)
    }
    expect(call(NFS, 0, 0)).toMatchObject({ kind: "accepted", stat: 0 })
    expect(call(NFS, 19, 0)).toMatchObject({ kind: "accepted", stat: 0 })
    expect(call(MOUNT, 5, 0)).toMatchObject({ kind: "accepted", stat: 0 })
    const denied = call(NFS, GETATTR, 0)
    expect(denied).toMatchObject({ kind: "denied", stat: 1 })
    expect(denied.body.u32()).toBe(5)
    expect(call(NFS, 0, 6)).toMatchObject({ kind: "denied", stat: 1 })
    // A name that is too long, and groups that are too many.
    const seventeen = new XdrWriter().u32(0).opaque("x").u32(1).u32(1).u32(17)
    for (let group = 0; group < 17; group++) seventeen.u32(group)
    for (const credential of [
      seventeen.done(),
      new XdrWriter().u32(0).opaque("x".repeat(256)).u32(1).u32(1).u32(0).done(),
    ])
      expect(call(NFS, GETATTR, 1, credential).body.u32()).toBe(1)
  })

  it("that are none end the connection, and no other", () => {
    using t = setUp()
    for (const bytes of [
      mark(new XdrWriter().u32(1).u32(1).u32(0).u32(0).done()),
      mark(Buffer.alloc(0)),
      mark(Buffer.alloc(8)),
      Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
      Buffer.from([0xff, 0xff, 0xff, 0xff]),
      Buffer.from([0x80, 0x20, 0x00, 0x00]),
    ]) {
      const client = t.rig.client()
      client.send(bytes)
      untilEnded(t.rig, client)
    }
    expect(t.rig.server.counters.connectionsBroken).toBe(6)
    expect(t.rig.server.connections).toBe(1)
    expect(t.nfs.getattr(t.root).status).toBe(OK)
  })
})

describe("records", () => {
  it("come in fragments and bytes of any size", () => {
    using t = setUp()
    const { client } = t
    const message = client.request(
      500,
      { program: NFS, version: 3, procedure: 1 },
      new XdrWriter().opaque(t.root).done(),
    )
    for (const size of [4, 16, 60]) {
      for (let at = 0; at < message.length; at += size)
        client.send(mark(message.subarray(at, at + size), at + size >= message.length))
      expect(client.answer(500).stat).toBe(0)
    }
    for (const byte of mark(message)) client.send(Buffer.from([byte]))
    expect(client.answer(500).stat).toBe(0)
    // Empty fragments before and after, and the next record at once behind.
    client.send(
      Buffer.concat([
        mark(Buffer.alloc(0), false),
        mark(message, false),
        mark(Buffer.alloc(0)),
        mark(message),
      ]),
    )
    expect(client.answer(500).stat).toBe(0)
    expect(client.answer(500).stat).toBe(0)
  })

  it("of data come in fragments too", () => {
    using t = setUp()
    const handle = t.nfs.file(t.root, "a")
    const data = Buffer.alloc(700_000, "abcdefg")
    const args = Nfs3.writeArgs(handle, 0, data, 0).done()
    const message = t.client.request(600, { program: NFS, version: 3, procedure: 7 }, args)
    const parts: Buffer[] = []
    for (let at = 0; at < message.length; at += 20_000)
      parts.push(mark(message.subarray(at, at + 20_000), at + 20_000 >= message.length))
    t.client.send(Buffer.concat(parts))
    expect(t.client.answer(600).stat).toBe(0)
    expect(t.nfs.read(handle, 0, data.length).data.equals(data)).toBe(true)
  })

  it("in too many fragments end the connection", () => {
    using t = setUp()
    const client = t.rig.client()
    client.send(Buffer.concat(Array.from({ length: 1000 }, () => mark(Buffer.from([0]), false))))
    untilEnded(t.rig, client)
    const other = t.rig.client()
    for (let part = 0; part < 3 && !other.ended; part++) other.send(mark(Buffer.alloc(500_000), false))
    untilEnded(t.rig, other)
  })

  it("that never end hold no more than their chunk, and go after two minutes", () => {
    using t = setUp({ memory: { small: 4, large: 1 } })
    const slow = t.rig.client()
    slow.send(Buffer.from([0x80, 0x10, 0x00, 0x00, 1, 2, 3]))
    t.rig.loop.step()
    expect(t.nfs.getattr(t.root).status).toBe(OK)
    // The checks are ten seconds apart.
    for (let passed = 0; passed < 140_000; passed += 5000) {
      t.rig.time.ms += 5000
      t.rig.loop.step()
    }
    untilEnded(t.rig, slow)
    expect(t.nfs.getattr(t.root).status).toBe(OK)
  })

  it("are answered in one go where many come at once", () => {
    using t = setUp()
    const { client } = t
    const calls = Array.from({ length: 500 }, (_, index) =>
      mark(
        client.request(
          10_000 + index,
          { program: NFS, version: 3, procedure: 1 },
          new XdrWriter().opaque(t.root).done(),
        ),
      ),
    )
    client.send(Buffer.concat(calls))
    for (let index = 0; index < 500; index++) expect(client.answer(10_000 + index).stat).toBe(0)
    expect(t.rig.server.counters.calls).toBe(501)
  })
})

describe("duplicates", () => {
  it("of what is not to be done twice are answered as the first time", () => {
    using t = setUp()
    const args = new XdrWriter().opaque(t.root).opaque("a").done()
    t.nfs.file(t.root, "a")
    const message = mark(t.client.request(9000, { program: NFS, version: 3, procedure: 12 }, args))
    t.client.send(message)
    expect(t.client.answer(9000).body.u32()).toBe(OK)
    // The connection was lost; the client asks on another one.
    const again = t.rig.client()
    again.send(message)
    expect(again.answer(9000).body.u32()).toBe(OK)
    expect(t.rig.server.counters.duplicates).toBe(1)
    // Another transaction, or after minutes, it is another request.
    again.send(mark(t.client.request(9001, { program: NFS, version: 3, procedure: 12 }, args)))
    expect(again.answer(9001).body.u32()).toBe(status.NOENT)
    t.rig.time.ms += 121_000
    t.rig.loop.step()
    again.send(message)
    expect(again.answer(9000).body.u32()).toBe(status.NOENT)
  })

  it("of creation give the same handle", () => {
    using t = setUp()
    const args = new XdrWriter()
      .opaque(t.root)
      .opaque("a")
      .u32(1)
      .u32(0)
      .u32(0)
      .u32(0)
      .u32(0)
      .u32(0)
      .u32(0)
      .done()
    const message = mark(t.client.request(9100, { program: NFS, version: 3, procedure: 8 }, args))
    t.client.send(message)
    const first = t.client.answer(9100).body.bytes
    t.client.send(message)
    expect(t.client.answer(9100).body.bytes).toEqual(first)
    expect(t.nfs.list(t.root).length).toBe(3)
  })
})

describe("MOUNT", () => {
  it("leads to exports and directories in them, and nowhere else", () => {
    using t = setUp()
    const { handle: directory } = t.nfs.mkdir(t.root, "some dir")
    t.nfs.file(t.root, "file")
    t.nfs.symlink(t.root, "link", "some dir")
    expect(t.nfs.mount("/some dir").handle).toEqual(directory)
    expect(t.nfs.mount("//some dir/").handle).toEqual(directory)
    expect(t.nfs.mount("/file").status).toBe(status.NOTDIR)
    expect(t.nfs.mount("/link").status).toBe(status.NOTDIR)
    expect(t.nfs.mount("/file/x").status).toBe(status.NOTDIR)
    expect(t.nfs.mount("/none").status).toBe(status.NOENT)
    expect(t.nfs.mount("/some dir/..").status).toBe(status.INVAL)
    expect(t.nfs.mount("/..").status).toBe(status.INVAL)
  })

  it("lists exports and who mounted", () => {
    using t = setUp()
    t.rig.server.export("/more/of it", { fileSystem: memoryFileSystem() })
    const more = t.nfs.mount("/more/of it")
    expect(more.status).toBe(OK)
    const { body } = t.client.call(MOUNT, 5)
    const names: string[] = []
    while (body.u32() === 1) {
      names.push(body.opaque().toString())
      expect(body.u32()).toBe(0)
    }
    expect(names).toEqual(["/", "/more/of it"])
    const dump = () => {
      const { body: list } = t.client.call(MOUNT, 2)
      const mounts: string[] = []
      while (list.u32() === 1) mounts.push(`${list.opaque().toString()} ${list.opaque().toString()}`)
      return mounts
    }
    expect(dump()).toEqual(["test /", "test /more/of it"])
    t.client.call(MOUNT, 3, new XdrWriter().opaque("/").done())
    expect(dump()).toEqual(["test /more/of it"])
    t.client.call(MOUNT, 4)
    expect(dump()).toEqual([])
    expect(t.nfs.rename(t.root, "x", more.handle, "y").status).toBe(status.XDEV)
    expect(t.rig.server.unexport("/more/of it")).toBe(true)
    expect(t.nfs.getattr(more.handle).status).toBe(status.STALE)
    expect(t.nfs.mount("/more/of it").status).toBe(status.NOENT)
  })

  it("has names that are paths", () => {
    using t = setUp()
    for (const name of ["", "x", "/x/", "//", "/x/../y", "/./x"])
      expect(() => t.rig.server.export(name, { fileSystem: memoryFileSystem() })).toThrow("Cannot export")
    expect(() => t.rig.server.export("/", { fileSystem: memoryFileSystem() })).toThrow("Cannot export")
  })
})

describe("the port mapper", () => {
  it("knows us", () => {
    using t = setUp({ listen: [{ host: "127.0.0.1", port: 0 }] })
    const ask = (program: number, version: number) =>
      t.client.call(PORTMAP, 3, new XdrWriter().u32(program).u32(version).u32(6).u32(0).done(), 2).body.u32()
    expect(t.rig.server.port).toBeGreaterThan(0)
    expect(ask(NFS, 3)).toBe(t.rig.server.port)
    expect(ask(MOUNT, 3)).toBe(t.rig.server.port)
    expect(ask(NFS, 4)).toBe(0)
    expect(ask(100021, 4)).toBe(0)
  })
})

describe("listening", () => {
  it("takes the place of a server that was killed, and of no other", async () => {
    await using temporary = await temporaryDirectory()
    const path = temporary.at("nfs.sock")
    {
      const dead = sys.check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM), "socket")
      sys.check(sys.bind(dead, { family: "unix", path }), "bind")
      sys.close(dead)
    }
    using t = setUp({ listen: [{ path }] })
    expect(() => t.rig.server.listen({ path })).toThrow("EADDRINUSE")
    const fd = sys.check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK), "socket")
    sys.check(sys.connect(fd, { family: "unix", path }), "connect")
    // Whoever asked whether somebody listens has gone by then.
    for (let step = 0; step < 3; step++) t.rig.loop.step()
    expect(t.rig.server.connections).toBe(2)
    sys.close(fd)
  })
})

describe("connections", () => {
  it("are as many as there may be", () => {
    using t = setUp({ connections: 2 })
    const second = t.rig.client()
    const third = t.rig.client()
    untilEnded(t.rig, third)
    expect(t.rig.server.counters.connectionsRefused).toBe(1)
    second.close()
    t.rig.loop.step()
    expect(new Nfs3(t.rig.client()).mount().status).toBe(OK)
  })

  it("whose client does not read are not read from, and go on when it does", () => {
    using t = setUp()
    const handle = t.nfs.file(t.root, "a", Buffer.alloc(1024 * 1024, "x"))
    const lazy = t.rig.client()
    const calls = Array.from({ length: 24 }, (_, index) =>
      mark(
        lazy.request(
          index,
          { program: NFS, version: 3, procedure: 6 },
          Nfs3.readArgs(handle, 0, 1024 * 1024).done(),
        ),
      ),
    )
    lazy.send(Buffer.concat(calls))
    for (let step = 0; step < 50; step++) t.rig.loop.step()
    // What is unsent is bounded: not all of the calls were carried out.
    expect(t.rig.server.counters.bytesRead).toBeLessThan(12 * 1024 * 1024)
    expect(t.nfs.getattr(handle).status).toBe(OK)
    for (let index = 0; index < 24; index++) {
      const answer = lazy.answer(index)
      expect(Nfs3.readResult(answer.body).data.length).toBe(1024 * 1024)
    }
  })

  it("wait for memory, and all get their turn", () => {
    using t = setUp({ memory: { small: 3, large: 1 } })
    const handle = t.nfs.file(t.root, "a", Buffer.alloc(200_000, "x"))
    const clients = Array.from({ length: 12 }, () => t.rig.client())
    for (const client of clients) {
      const one = mark(
        client.request(
          1,
          { program: NFS, version: 3, procedure: 6 },
          Nfs3.readArgs(handle, 0, 200_000).done(),
        ),
      )
      const two = mark(
        client.request(
          2,
          { program: NFS, version: 3, procedure: 7 },
          Nfs3.writeArgs(handle, 0, Buffer.alloc(100_000, "x"), 0).done(),
        ),
      )
      client.send(Buffer.concat([one, two, Buffer.from(one).fill(3, 7, 8)]))
    }
    // All read what they get: memory that a reply lies in is free when its client has it.
    const answers = clients.map(() => new Map<number, Answer>())
    for (let step = 0; step < 2000 && answers.some(({ size }) => size < 3); step++) {
      t.rig.loop.step()
      for (const [index, client] of clients.entries()) {
        client.receive()
        for (let next = client.next(); next !== undefined; next = client.next())
          answers[index]?.set(next.xid, next)
      }
    }
    for (const of of answers) {
      const bodies = [1, 2, 3].map((xid) => of.get(xid)?.body ?? new XdrReader(Buffer.alloc(0)))
      const [one, two, three] = bodies
      expect(one !== undefined && Nfs3.readResult(one).data.length).toBe(200_000)
      expect(two !== undefined && Nfs3.writeResult(two).count).toBe(100_000)
      expect(three !== undefined && Nfs3.readResult(three).data.length).toBe(200_000)
    }
    expect(t.rig.server.counters.memoryWaits).toBeGreaterThan(0)
  })

  it("end with the server, whatever is on its way", () => {
    const rig = new Rig(memoryFileSystem())
    const client = rig.client()
    const nfs = new Nfs3(client)
    const { handle: root } = nfs.mount()
    const handle = nfs.file(root, "a", Buffer.alloc(1024 * 1024))
    for (let index = 0; index < 8; index++)
      client.send(
        mark(
          client.request(
            index,
            { program: NFS, version: 3, procedure: 6 },
            Nfs3.readArgs(handle, 0, 1024 * 1024).done(),
          ),
        ),
      )
    rig[Symbol.dispose]()
    expect(rig.server.connections).toBe(0)
  })
})
