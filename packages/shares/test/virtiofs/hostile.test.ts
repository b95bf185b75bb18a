/**
 * A host and guests at their worst, seen through the device: full and broken disks, two machines on one directory, forged numbers, links to
 * anywhere, and a hypervisor that dies in the middle.
 *
 * @module
 */
import {
  chownSync,
  closeSync,
  fchmodSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import type { ShareRule } from "@skep/contract"
import type { FuseClient } from "@skep/fuse/driver"
import { SyscallPool } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import {
  type FaultPlan,
  type FileSystem,
  memoryFileSystem,
  newAttributes,
  openPassthrough,
  type Pieces,
  withFaults,
} from "@skep/vfs"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { directoryAt } from "../../src/rules/check.ts"
import { ServedShares } from "../../src/serving/served-shares.ts"
import { PLACE } from "../../src/tree/numbers.ts"
import { ShareTree } from "../../src/tree/share-tree.ts"
import { bytes, list, root } from "../tree/tree-rig.ts"
import { FakeGuest, mounted, type Served, serve } from "./rig.ts"

const { EAGAIN, EIO, ENOSPC, ESTALE } = sys
const O_RDWR = 2
const O_APPEND = 0o2000
const LAST = Number.MAX_SAFE_INTEGER
const attributes = newAttributes()

let directory: TemporaryDirectory
beforeEach(async () => {
  directory = await temporaryDirectory()
})
afterEach(() => directory[Symbol.asyncDispose]())

interface Memory extends Pieces {
  readonly content: Uint8Array<ArrayBuffer>
  /** Kept, because it is pointed at. */
  readonly words: BigUint64Array
}

function memory(content: Uint8Array | string | number): Memory {
  const length = typeof content === "number" ? content : content.length
  const own = new Uint8Array(new ArrayBuffer(Math.max(length, 1)), 0, length)
  if (typeof content !== "number") own.set(typeof content === "string" ? bytes(content) : content)
  const words = BigUint64Array.of(BigInt(sys.addressOf(own.buffer)), BigInt(length))
  return { address: sys.addressOf(words.buffer), count: 1, bytes: length, content: own, words }
}

/** A machine: its guest, its device, its client. */
class Machine implements Disposable {
  readonly guest = new FakeGuest()
  readonly served: Served
  readonly client: FuseClient

  constructor(fileSystem: FileSystem, more: { locks?: "host"; drain?: () => void } = {}) {
    this.served = serve(this.guest, { fileSystem, ...more })
    this.client = mounted(this.guest)
  }

  create(parent: number, name: string, flags = O_RDWR): { node: number; handle: number } {
    const how = { flags, mode: 0o644, opened: -1 }
    const node = this.client.create(parent, bytes(name), how, root, attributes)
    return { node, handle: how.opened }
  }

  write(handle: number, offset: number, content: Uint8Array | string): number {
    const from = memory(content)
    let result = Number.NaN
    this.client.write(handle, offset, from, (moved) => {
      result = moved
    })
    this.#settle()
    return from.content.length >= 0 ? result : 0
  }

  read(handle: number, offset: number, length: number): string | number {
    const into = memory(length)
    let result = Number.NaN
    this.client.read(handle, offset, into, (moved) => {
      result = moved
    })
    this.#settle()
    return result < 0 ? result : Buffer.from(into.content.subarray(0, result)).toString()
  }

  sync(handle: number): number {
    let result = Number.NaN
    this.client.sync(handle, false, (synced) => {
      result = synced
    })
    this.#settle()
    return result
  }

  lookup(parent: number, name: string): number {
    return this.client.lookup(parent, bytes(name), root, attributes)
  }

  #settle(): void {
    this.served.settle()
    this.guest.collect()
  }

  [Symbol.dispose](): void {
    this.served[Symbol.dispose]()
    this.guest[Symbol.dispose]()
  }
}

/** A machine's shares: one, of a directory of the host. */
function treeOf(path: string): ShareTree {
  const tree = new ShareTree({ now: () => 0 })
  tree.put({ number: 1, life: 1, fileSystem: openPassthrough({ path }) })
  return tree
}

describe("a host whose disk", () => {
  it("is full says so to whoever writes, keeps what fitted, and goes on when there is room", () => {
    using fs = withFaults(memoryFileSystem(), { fullAfterBytes: 6 })
    using machine = new Machine(fs)
    const { node, handle } = machine.create(1, "a")
    expect(machine.write(handle, 0, "0123")).toBe(4)
    expect(machine.write(handle, 4, "4567")).toBe(2)
    expect(machine.write(handle, 6, "67")).toBe(-ENOSPC)
    expect(machine.client.getAttributes(node, handle, root, attributes)).toBe(0)
    expect([attributes.size, machine.read(handle, 0, 100)]).toEqual([6, "012345"])
    fs.plan = { failures: [{ operation: "create", errno: ENOSPC }] }
    expect(machine.create(1, "b").node).toBe(-ENOSPC)
    expect(machine.lookup(1, "b")).toBe(-sys.ENOENT)
    fs.plan = {}
    expect(machine.write(handle, 6, "67")).toBe(2)
    expect(machine.read(handle, 0, 100)).toBe("01234567")
    expect([machine.served.events, machine.guest.pending]).toEqual([[], 0])
  })

  it("is broken fails each request by itself, and none after it", () => {
    using fs = withFaults(memoryFileSystem(), {})
    using machine = new Machine(fs)
    const { client } = machine
    const { node, handle } = machine.create(1, "a")
    expect(machine.write(handle, 0, "hello")).toBe(5)
    const place = (name: string) => ({ parent: 1, name: bytes(name) })
    const asked = {
      lookup: () => machine.lookup(1, "a"),
      getAttributes: () => client.getAttributes(node, -1, root, attributes),
      setAttributes: () => client.setAttributes(node, -1, { mode: 0o600 }, root, attributes),
      makeDirectory: () => client.makeDirectory(1, bytes("d"), 0o755, root, attributes),
      makeSymlink: () => client.makeSymlink(1, bytes("s"), bytes("to"), root, attributes),
      link: () => client.link(node, 1, bytes("l"), root, attributes),
      unlink: () => client.unlink(1, bytes("a"), root),
      rename: () => client.rename(place("a"), place("b"), 0, root),
      open: () => client.open(node, O_RDWR, root),
      create: () => machine.create(1, "c").node,
      read: () => machine.read(handle, 0, 5),
      write: () => machine.write(handle, 0, "HELLO"),
      sync: () => machine.sync(handle),
      setExtended: () => client.setExtended(node, bytes("user.a"), bytes("v"), 0),
    } as const
    const failures = (Object.keys(asked) as (keyof typeof asked)[]).map((operation) => ({
      operation,
      errno: EIO,
    }))
    const broken: FaultPlan = { failures }
    fs.plan = broken
    for (const [operation, ask] of Object.entries(asked))
      expect([operation, ask()]).toEqual([operation, -EIO])
    fs.plan = {}
    expect(list(fs, fs.root)).toEqual(["a"])
    expect(machine.read(handle, 0, 5)).toBe("hello")
    expect(machine.sync(handle)).toBe(0)
    expect([machine.served.events, machine.guest.pending]).toEqual([[], 0])
  })
})

describe("two machines on one directory", () => {
  let trees: readonly ShareTree[]
  let machines: readonly Machine[]
  beforeEach(() => {
    mkdirSync(directory.at("shared"))
    trees = [treeOf(directory.at("shared")), treeOf(directory.at("shared"))]
    machines = trees.map((tree) => new Machine(tree, { locks: "host" }))
  })
  afterEach(() => {
    for (const each of [...machines, ...trees]) each[Symbol.dispose]()
  })

  function both(): readonly [Machine, Machine] {
    const [one, two] = machines
    if (one === undefined || two === undefined) throw new Error("there are no two machines")
    return [one, two]
  }

  it("append whole records, each behind the other's last", () => {
    const handles = machines.map((each) => each.create(each.lookup(1, "1"), "log", O_RDWR | O_APPEND).handle)
    const written: string[] = []
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(1), fc.integer({ min: 1, max: 9000 })), { maxLength: 20 }),
        (records) => {
          for (const [who, length] of records) {
            const record = String(who).repeat(length)
            // The guest believes that the file ends where it was: the host knows better.
            expect(machines[who]?.write(handles[who] ?? -1, 0, record)).toBe(length)
            written.push(record)
          }
        },
      ),
      { numRuns: 20 },
    )
    expect(readFileSync(directory.at("shared/log"), "utf8") === written.join("")).toBe(true)
  })

  it("see what the other wrote, and keep a file that the other removed while it is open", () => {
    const [one, two] = both()
    const { handle } = one.create(one.lookup(1, "1"), "a")
    expect(one.write(handle, 0, "from one")).toBe(8)
    const share = two.lookup(1, "1")
    const other = two.client.open(two.lookup(share, "a"), O_RDWR, root)
    expect(two.read(other, 0, 100)).toBe("from one")
    expect(two.write(other, 5, "two")).toBe(3)
    expect(one.read(handle, 0, 100)).toBe("from two")
    expect(two.client.unlink(share, bytes("a"), root)).toBe(0)
    expect(one.write(handle, 8, "!")).toBe(1)
    expect([one.read(handle, 0, 100), one.lookup(one.lookup(1, "1"), "a")]).toEqual([
      "from two!",
      -sys.ENOENT,
    ])
  })

  it("lock each other out, and the one that waits is next when the other lets go or dies", () => {
    const [one, two] = both()
    const first = one.create(one.lookup(1, "1"), "a").handle
    const second = two.create(two.lookup(1, "1"), "a").handle
    const lock = { type: "write" as const, start: 0, end: LAST, pid: 1 }
    expect(one.client.setLock(first, 1n, lock)).toBe(0)
    expect(two.client.setLock(second, 1n, lock)).toBe(-EAGAIN)
    const ends: string[] = []
    two.client.waitForLock(second, 1n, lock, (result) => ends.push(`two: ${result}`))
    const retry = (): void => {
      for (const { served, guest } of machines) {
        served.device.session.retryLocks()
        served.settle()
        guest.collect()
      }
    }
    retry()
    expect(ends).toEqual([])
    one.client.release(first)
    retry()
    expect(ends).toEqual(["two: 0"])
    const third = one.client.open(one.lookup(one.lookup(1, "1"), "a"), O_RDWR, root)
    one.client.waitForLock(third, 2n, lock, (result) => ends.push(`one: ${result}`))
    retry()
    expect(ends).toEqual(["two: 0"])
    // Its guest is gone: the next life of the share has none of its files.
    trees[1]?.put({ number: 1, life: 2, fileSystem: openPassthrough({ path: directory.at("shared") }) })
    retry()
    expect(ends).toEqual(["two: 0", "one: 0"])
    expect(two.client.setLock(second, 1n, { ...lock, type: "none" })).toBe(-ESTALE)
  })
})

describe("what a guest names", () => {
  let tree: ShareTree
  let machine: Machine
  beforeEach(() => {
    mkdirSync(directory.at("shared/d"), { recursive: true })
    writeFileSync(directory.at("secret"), "secret")
    symlinkSync(directory.at("secret"), directory.at("shared/absolute"))
    symlinkSync("../secret", directory.at("shared/relative"))
    symlinkSync("..", directory.at("shared/up"))
    tree = treeOf(directory.at("shared"))
    machine = new Machine(tree)
  })
  afterEach(() => {
    machine[Symbol.dispose]()
    tree[Symbol.dispose]()
  })

  it("by dots leads up to the root of all shares and no further, and makes nothing", () => {
    const share = machine.lookup(1, "1")
    const inner = machine.lookup(share, "d")
    expect([machine.lookup(inner, ".."), machine.lookup(share, ".."), machine.lookup(1, "..")]).toEqual([
      share,
      1,
      1,
    ])
    for (const name of ["..", ".", "../secret", "/etc/passwd", "d/../../secret", "n".repeat(256)]) {
      expect(machine.create(share, name).node).toBeLessThan(0)
      expect(machine.client.makeDirectory(share, bytes(name), 0o755, root, attributes)).toBeLessThan(0)
      expect(machine.client.unlink(share, bytes(name), root)).toBeLessThan(0)
      const [from, to] = [
        { parent: share, name: bytes("d") },
        { parent: share, name: bytes(name) },
      ]
      expect(machine.client.rename(from, to, 0, root)).toBeLessThan(0)
      expect(machine.client.rename(to, from, 0, root)).toBeLessThan(0)
    }
    expect(machine.lookup(share, "../secret")).toBeLessThan(0)
    expect(readFileSync(directory.at("secret"), "utf8")).toBe("secret")
  })

  it("by links is the link: its text is the guest's to follow, and it is neither opened nor walked", () => {
    const share = machine.lookup(1, "1")
    const text = new Uint8Array(4096)
    for (const [name, target] of [
      ["absolute", directory.at("secret")],
      ["relative", "../secret"],
      ["up", ".."],
    ] as const) {
      const node = machine.lookup(share, name)
      expect(attributes.mode & 0o170000).toBe(0o120000)
      const length = machine.client.readLink(node, text)
      expect(Buffer.from(text.subarray(0, length)).toString()).toBe(target)
      expect(machine.client.open(node, O_RDWR, root)).toBeLessThan(0)
      expect(machine.client.openDirectory(node, root)).toBeLessThan(0)
      expect(machine.lookup(node, "secret")).toBeLessThan(0)
      expect(machine.create(share, name).node).toBeLessThan(0)
      expect(machine.client.setAttributes(node, -1, { size: 0 }, root, attributes)).toBeLessThan(0)
    }
    expect(readFileSync(directory.at("secret"), "utf8")).toBe("secret")
  })

  it("by forged numbers is stale or its own: nothing outside changes, and what it has open still works", () => {
    const share = machine.lookup(1, "1")
    const { node, handle } = machine.create(share, "mine")
    expect(machine.write(handle, 0, "mine")).toBe(4)
    const { client } = machine
    const forged = fc.oneof(
      fc.nat(20),
      fc.maxSafeNat(),
      fc.integer({ min: -8, max: 8 }).map((by) => share + by),
      fc.integer({ min: 1, max: 8 }).map((by) => node + by),
      fc.nat(511).map((place) => place * PLACE + 1),
    )
    // The last is the share's root too, by the number that its own file system has for it.
    const known = new Set([0, 1, share, node, PLACE + 1])
    fc.assert(
      fc.property(forged, forged, (number, other) => {
        if (number === handle || other === handle) return
        for (const answer of [
          machine.read(number, 0, 10),
          machine.write(number, 0, "forged"),
          machine.sync(number),
          client.seek(number, 0, 3),
        ])
          expect(answer === 0 || Number(answer) < 0).toBe(true)
        if (known.has(number)) return
        expect(client.getAttributes(number, -1, root, attributes)).toBeLessThan(0)
        expect(client.open(number, O_RDWR, root)).toBeLessThan(0)
        expect(machine.lookup(number, "..")).toBeLessThan(0)
        expect(machine.lookup(number, "secret")).toBeLessThan(0)
        expect(client.link(number, share, bytes("l"), root, attributes)).toBeLessThan(0)
        expect(client.setAttributes(node, other, { size: 0 }, root, newAttributes())).toBeLessThanOrEqual(0)
        client.forget(number, 1)
        client.release(number)
      }),
      { numRuns: 200 },
    )
    expect(machine.read(handle, 0, 10)).toMatch(/^(mine)?$/)
    expect(readFileSync(directory.at("secret"), "utf8")).toBe("secret")
    expect(machine.served.events).toEqual([])
  })
})

describe("a file that is open", () => {
  it("stays readable and writable whatever becomes of its permissions, and shows them", () => {
    mkdirSync(directory.at("shared"))
    using tree = treeOf(directory.at("shared"))
    using machine = new Machine(tree)
    const { node, handle } = machine.create(machine.lookup(1, "1"), "a")
    expect(machine.write(handle, 0, "before")).toBe(6)
    const parent = directory.at("shared")
    using file = descriptor(`${parent}/a`)
    using above = descriptor(parent)
    asNobody([parent, `${parent}/a`], () => {
      fchmodSync(file.fd, 0)
      expect(machine.write(handle, 6, " after")).toBe(6)
      expect(machine.read(handle, 0, 100)).toBe("before after")
      expect(machine.client.setAttributes(node, handle, { size: 6 }, root, attributes)).toBe(0)
      expect([attributes.mode & 0o7777, attributes.size]).toEqual([0, 6])
      expect(machine.client.open(node, O_RDWR, root)).toBe(-sys.EACCES)
      fchmodSync(above.fd, 0)
      expect(machine.read(handle, 0, 100)).toBe("before")
      expect(machine.create(machine.lookup(1, "1"), "b").node).toBeLessThan(0)
      fchmodSync(above.fd, 0o755)
      fchmodSync(file.fd, 0o600)
      expect(machine.client.open(node, O_RDWR, root)).toBeGreaterThan(0)
    })
  })
})

/** By which permissions are changed wherever the path leads. */
function descriptor(path: string): Disposable & { readonly fd: number } {
  const fd = openSync(path, "r")
  return { fd, [Symbol.dispose]: () => closeSync(fd) }
}

/** Runs something as a user that permissions hold for, who is given these paths. */
function asNobody(paths: readonly string[], run: () => void): void {
  const { geteuid, seteuid } = process
  if (geteuid?.() !== 0 || seteuid === undefined) return run()
  const nobody = 65_534
  for (const path of paths) chownSync(path, nobody, nobody)
  seteuid(nobody)
  try {
    run()
  } finally {
    seteuid(0)
  }
}

describe("a directory that vanishes", () => {
  it("is stale to its guest, whatever it has open, and served again when it is back", () => {
    const path = directory.at("shared")
    for (const each of [path, directory.at("state")]) mkdirSync(each)
    using served = new ServedShares(
      {
        stateDirectory: directory.at("state"),
        open: ({ rule }, journal) => openPassthrough({ path: rule.path, journal }),
        now: () => 0,
        onNotice: () => undefined,
      },
      [],
    )
    const rule: ShareRule = {
      path,
      target: path,
      readOnly: false,
      cache: "consistent",
      ownership: "virtual",
    }
    const found = directoryAt(path)
    if (found === undefined) throw new Error("there is no directory")
    served.put(rule, found)
    using machine = new Machine(served.tree)
    const share = machine.lookup(1, "1")
    const { node, handle } = machine.create(share, "a")
    expect(machine.write(handle, 0, "kept")).toBe(4)
    renameSync(path, directory.at("away"))
    served.look()
    expect([machine.read(handle, 0, 9), machine.write(handle, 0, "x")]).toEqual([-ESTALE, -ESTALE])
    expect(machine.lookup(1, "1")).toBe(-ESTALE)
    expect(machine.create(share, "b").node).toBe(-ESTALE)
    expect(machine.client.getAttributes(node, -1, root, attributes)).toBe(-ESTALE)
    renameSync(directory.at("away"), path)
    served.look()
    expect(machine.lookup(1, "1")).toBe(share)
    const again = machine.client.open(machine.lookup(share, "a"), O_RDWR, root)
    expect(machine.read(again, 0, 9)).toBe("kept")
    // Removed with all that was in it, and another one made before anybody looked.
    rmSync(path, { recursive: true })
    expect(machine.create(share, "lost").node).toBeLessThan(0)
    mkdirSync(path)
    served.look()
    expect(machine.lookup(machine.lookup(1, "1"), "a")).toBe(-sys.ENOENT)
    expect(machine.read(again, 0, 9)).toBe(-ESTALE)
    expect(machine.create(machine.lookup(1, "1"), "new").node).toBeGreaterThan(0)
    expect(machine.served.events).toEqual([])
  })
})

/** Reads and writes begin when they are told to. */
function held(inner: FileSystem) {
  const waiting: (() => void)[] = []
  const fileSystem: FileSystem = new Proxy(inner, {
    get: (target, key) => {
      if (key === "read")
        return (...all: Parameters<FileSystem["read"]>) => waiting.push(() => inner.read(...all))
      if (key === "write")
        return (...all: Parameters<FileSystem["write"]>) => waiting.push(() => inner.write(...all))
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === "function" ? value.bind(target) : value
    },
  })
  const drain = (): void => {
    for (const begin of waiting.splice(0)) begin()
  }
  return { fileSystem, waiting, drain }
}

describe("a hypervisor that is killed in the middle", () => {
  it("has all that was taken done before its memory goes, and nobody waits for it any more", () => {
    using fs = memoryFileSystem()
    const { fileSystem, waiting, drain } = held(fs)
    using machine = new Machine(fileSystem, { drain })
    const { client, served } = machine
    const { node, handle } = machine.create(1, "a")
    const blocks = ["one", "two"].map((text) => memory(text.repeat(1000)))
    const ends: number[] = []
    for (const [index, block] of blocks.entries())
      client.write(handle, index * block.bytes, block, (moved) => ends.push(moved))
    client.read(handle, 0, memory(6000), (moved) => ends.push(moved))
    expect([waiting.length, served.device.pending, served.events]).toEqual([3, 3, []])
    served.front[Symbol.dispose]()
    served.settle()
    expect([waiting.length, served.device.pending, served.events.length]).toEqual([0, 0, 1])
    expect(ends).toEqual([])
    using next = new Machine(fs)
    expect(next.lookup(1, "a")).toBe(node)
    const again = next.client.open(node, O_RDWR, root)
    expect(next.read(again, 0, 9000)).toBe("one".repeat(1000) + "two".repeat(1000))
  })

  it("leaves whole writes, nothing that touches its memory, and a device for the next guest", async () => {
    const BLOCK = 128 * 1024
    const COUNT = 64
    const pool = await SyscallPool.start()
    const files = openPassthrough({ path: directory.path, pool })
    try {
      using machine = new Machine(files, { drain: () => pool.drain() })
      const { client, guest, served } = machine
      const { handle } = machine.create(1, "a")
      const blocks = Array.from({ length: COUNT }, (_, index) =>
        memory(new Uint8Array(BLOCK).fill(index + 1)),
      )
      guest.cut = 64 * 1024
      // Nothing is answered from now on: the guest does not run any more.
      guest.collect = () => undefined
      for (const [index, block] of blocks.entries())
        client.write(handle, index * BLOCK, block, () => undefined)
      const into = memory(BLOCK)
      client.read(handle, 0, into, () => undefined)
      const { pending } = served.device
      served.front[Symbol.dispose]()
      served.settle()
      expect([served.device.pending, served.events.length]).toEqual([0, 1])
      expect(pending).toBeLessThanOrEqual(COUNT + 1)
      const ram = guest.ram.bytes(0, 1 << 20)
      ram.fill(0xaa)
      served.settle()
      pool.drain()
      served.settle()
      expect(ram.every((byte) => byte === 0xaa)).toBe(true)
      const content = readFileSync(directory.at("a"))
      expect(content.length).toBe(COUNT * BLOCK)
      for (const [index, { content: block }] of blocks.entries())
        expect(content.subarray(index * BLOCK, (index + 1) * BLOCK).equals(block)).toBe(true)
      using next = new Machine(files, { drain: () => pool.drain() })
      expect(next.lookup(1, "a")).toBeGreaterThan(0)
    } finally {
      files[Symbol.dispose]()
      pool[Symbol.dispose]()
    }
  })
})
