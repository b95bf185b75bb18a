/**
 * The device behind its queues: answers in any order, stops, successors, and guests that break every rule.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fuzzing, seeded } from "@skep/fake-qemu"
import { FuseClient } from "@skep/fuse/driver"
import { addressOf } from "@skep/loop/sys"
import { type Done, type FileSystem, memoryFileSystem, newAttributes, type Pieces } from "@skep/vfs"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { FakeGuest, mounted, serve, usedIndices } from "./rig.ts"

const ROOT = { uid: 0, gid: 0, pid: 1 }
const name = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))
const attributes = newAttributes()

let fs: FileSystem
let guest: FakeGuest
let directory: string
beforeEach(() => {
  fs = memoryFileSystem()
  guest = new FakeGuest()
  directory = mkdtempSync(join(tmpdir(), "virtiofs-"))
})
afterEach(() => {
  guest[Symbol.dispose]()
  fs[Symbol.dispose]()
  rmSync(directory, { recursive: true })
})

/** Bytes by address; kept by whoever keeps this. */
function piecesOf(bytes: Uint8Array<ArrayBuffer>): Pieces & { readonly iovecs: BigUint64Array } {
  const iovecs = BigUint64Array.of(BigInt(addressOf(bytes.buffer)), BigInt(bytes.length))
  return { address: addressOf(iovecs.buffer), count: 1, bytes: bytes.length, iovecs }
}

/** The same file system with some calls replaced. */
function withCalls(calls: Partial<FileSystem>): FileSystem {
  return new Proxy(fs, {
    get: (target, key) => {
      const own: unknown = Reflect.get(calls, key)
      if (own !== undefined) return own
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === "function" ? value.bind(target) : value
    },
  })
}

/** Reads and writes end when they are told to. */
function slow() {
  const waiting: (() => void)[] = []
  const slowly = (run: (done: Done) => void): void => void waiting.push(() => run(() => undefined))
  const fileSystem = withCalls({
    read: (handle, offset, into, done) => slowly(() => fs.read(handle, offset, into, done)),
    write: (handle, offset, from, done) => slowly(() => fs.write(handle, offset, from, done)),
  })
  const end = (index: number): void => waiting.splice(index, 1)[0]?.()
  const drain = (): void => {
    while (waiting.length > 0) end(0)
  }
  return { fileSystem, waiting, end, drain }
}

function file(client: FuseClient, text: string): { readonly node: number; readonly handle: number } {
  const how = { flags: 2, mode: 0o600, opened: -1 }
  const node = client.create(1, name(text), how, ROOT, attributes)
  return { node, handle: how.opened }
}

describe("answers", () => {
  it("come in the order that the file system has them, into the memory of their own request", () => {
    const { fileSystem, end } = slow()
    using served = serve(guest, { fileSystem })
    const client = mounted(guest)
    const { handle } = file(client, "a")
    const parts = [0, 1, 2, 3].map((part) => new Uint8Array(new ArrayBuffer(5000)).fill(65 + part))
    const ends: string[] = []
    for (const [part, bytes] of parts.entries())
      client.write(handle, part * 5000, piecesOf(bytes), (moved) => ends.push(`${part}: ${moved}`))
    expect(served.device.pending).toBe(4)
    for (const index of [2, 0, 1, 0]) end(index)
    served.settle()
    guest.collect()
    expect(ends).toEqual(["2: 5000", "0: 5000", "3: 5000", "1: 5000"])
    const read = [0, 1, 2, 3].map(() => new Uint8Array(new ArrayBuffer(5000)))
    const kept = read.map((bytes, part) => {
      const pieces = piecesOf(bytes)
      client.read(handle, part * 5000, pieces, (moved) => ends.push(`read ${part}: ${moved}`))
      return pieces
    })
    for (const index of [3, 1, 1, 0]) end(index)
    served.settle()
    guest.collect()
    expect(ends.slice(4)).toEqual(["read 3: 5000", "read 1: 5000", "read 2: 5000", "read 0: 5000"])
    expect(read).toEqual(parts)
    expect(kept).toHaveLength(4)
    expect([served.device.pending, served.events]).toEqual([0, []])
  })

  it.each([1, 7, 4096])("are right whatever the guest cuts its messages into: %i bytes", (cut) => {
    using served = serve(guest, { fileSystem: fs })
    const client = mounted(guest)
    guest.cut = cut
    const { handle } = file(client, "a name that is somewhat longer")
    const bytes = new Uint8Array(new ArrayBuffer(Math.min(cut * 100, 300_000))).map((_, index) => index % 251)
    let moved = -1
    client.write(handle, 3, piecesOf(bytes), (result) => {
      moved = result
    })
    expect(moved).toBe(bytes.length)
    const back = new Uint8Array(new ArrayBuffer(bytes.length))
    const pieces = piecesOf(back)
    client.read(handle, 3, pieces, () => undefined)
    expect(back).toEqual(bytes)
    expect([pieces.count, served.events]).toEqual([1, []])
  })
})

describe("a queue that stops", () => {
  it("waits until nothing touches the guest's memory, and gives all of it back", () => {
    const { fileSystem, drain, waiting } = slow()
    using served = serve(guest, { fileSystem, drain })
    const client = mounted(guest)
    const { handle } = file(client, "a")
    const ends: number[] = []
    const bytes = piecesOf(new Uint8Array(new ArrayBuffer(10)))
    client.write(handle, 0, bytes, (moved) => ends.push(moved))
    client.write(handle, 10, bytes, (moved) => ends.push(moved))
    expect(waiting).toHaveLength(2)
    const base = served.front.stopRing(1)
    expect([waiting.length, served.device.pending]).toEqual([0, 0])
    guest.collect()
    expect(ends).toEqual([10, 10])
    expect(base).toBe(usedIndices(guest)[1])
  })

  it("leaves waits for locks to the time when it starts again", () => {
    using served = serve(guest, { fileSystem: fs, locks: "host" })
    const client = mounted(guest)
    const [one, two] = [file(client, "a").handle, file(client, "a").handle]
    const lock = { type: "write" as const, start: 0, end: 10, pid: 1 }
    client.setLock(one, 1n, lock)
    const ends: number[] = []
    client.waitForLock(two, 2n, lock, (result) => ends.push(result))
    const base = served.front.stopRing(1)
    expect([served.device.session.waiting, guest.pending, ends.length]).toEqual([0, 1, 0])
    const [, ring] = guest.rings
    if (ring !== undefined) served.front.startRing(1, ring, base)
    served.front.enable(1, true)
    expect(served.device.session.waiting).toBe(1)
    client.setLock(one, 1n, { ...lock, type: "none" })
    served.device.session.retryLocks()
    served.settle()
    guest.collect()
    expect(ends).toEqual([0])
  })
})

describe("a successor", () => {
  it("goes on where the last one was killed: handles, nodes, and what was under way, once", () => {
    const stateFile = join(directory, "state")
    let kill = false
    const mortal = withCalls({
      makeDirectory: (...call) => {
        const made = fs.makeDirectory(...call)
        if (kill) throw new Error("killed")
        return made
      },
    })
    const { fileSystem } = slow()
    const both = withCalls({
      write: fileSystem.write.bind(fileSystem),
      makeDirectory: mortal.makeDirectory.bind(mortal),
    })
    const first = serve(guest, { fileSystem: both, stateFile })
    const client = mounted(guest)
    const { handle, node } = file(client, "a")
    const ends: number[] = []
    const bytes = piecesOf(new Uint8Array(new ArrayBuffer(10)).fill(7))
    // Under way when it is killed, and others behind it are answered.
    client.write(handle, 0, bytes, (moved) => ends.push(moved))
    expect(client.getAttributes(node, -1, ROOT, attributes)).toBe(0)
    kill = true
    const made: unknown[] = []
    expect(() => made.push(client.makeDirectory(1, name("d"), 0o755, ROOT, attributes))).toThrow("at once")
    expect(first.events).toEqual(["killed"])
    expect(guest.pending).toBe(2)
    first[Symbol.dispose]()

    using second = serve(guest, { fileSystem: fs, stateFile }, usedIndices(guest))
    second.settle()
    guest.collect()
    expect(ends).toEqual([10])
    expect([guest.pending, second.device.session.agreed]).toEqual([0, true])
    expect(second.device.counts()).toMatchObject({ mkdir: 1, write: 1, repeats: 2 })
    expect(client.lookup(1, name("d"), ROOT, attributes)).toBeGreaterThan(0)
    expect(client.getAttributes(node, handle, ROOT, attributes)).toBe(0)
    expect(attributes.size).toBe(10)
  })

  it("begins anew with a guest that does", () => {
    const stateFile = join(directory, "state")
    const first = serve(guest, { fileSystem: fs, stateFile })
    mounted(guest)
    first[Symbol.dispose]()
    using other = new FakeGuest()
    using second = serve(other, { fileSystem: fs, stateFile })
    const client = mounted(other)
    expect(client.lookup(1, name("none"), ROOT, attributes)).toBe(-2)
    expect(second.device.counts()).toMatchObject({ init: 1, repeats: 0 })
  })
})

describe("a hostile guest", () => {
  it("hurts nobody, whatever it sends: every chain comes back, and the next guest is served", () => {
    const { steps, seed } = fuzzing(3000)
    const random = seeded(seed)
    const served = serve(guest, { fileSystem: fs, locks: "host" })
    const client = mounted(guest)
    file(client, "a")
    const words = guest.request.u32
    for (let step = 0; step < steps; step++) {
      const length = random.pick([0, 8, 39, 40, 48, 56, 80, 88, 96, 128, 300, 5000])
      guest.request.bytes.set(random.bytes(Math.min(length, 400)))
      const opcode = random.oneIn(20) ? random.int(2 ** 32) : random.int(53)
      if (!random.oneIn(10)) words.set([length, opcode, step, 0, random.int(6), 0, 0, 0, 0, 0], 0)
      // Small handles and sizes, so that some of it makes sense.
      for (let word = 10; word < length / 4; word++) if (!random.oneIn(3)) words[word] = random.int(5)
      if (opcode === 26) words.set([7, random.int(60)], 10)
      const writable = random.pick([0, 8, 16, 24, 32, 120, 144, 4096, 20_000])
      const room = random.oneIn(3)
        ? { writable, target: piecesOf(new Uint8Array(new ArrayBuffer(writable))) }
        : { writable }
      guest.cut = random.pick([1000, 4096])
      guest.send(length, room, (_answer, total) => expect(total).toBeLessThanOrEqual(writable))
    }
    const { waiting } = served.device.session
    expect(guest.pending).toBe(waiting)
    expect(served.events).toEqual([])
    const counts = served.device.counts()
    expect(counts["malformed-arguments-truncated"]).toBeGreaterThan(0)
    served[Symbol.dispose]()

    using next = new FakeGuest()
    using after = serve(next, { fileSystem: fs })
    expect(mounted(next).lookup(1, name("."), ROOT, attributes)).toBe(1)
    expect(after.events).toEqual([])
  })
})
