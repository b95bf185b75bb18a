/** One share's events over a real directory, with the loop turned by hand: what needs no mount. */
import * as fs from "node:fs"
import { join } from "node:path"
import { Loop } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { temporaryDirectory } from "@skep/testkit"
import { type Caller, newAttributes, openPassthrough } from "@skep/vfs"
import { describe, expect, test } from "vitest"
import { ECHO_GROUP, EchoQueue, isGhost, ShareEvents } from "../../src/events/index.ts"

const USER: Caller = { uid: 1000, gid: 1000, pid: 1 }
const S_IFREG = 0o100000

interface Stage extends Disposable {
  readonly loop: Loop
  readonly events: ShareEvents
  readonly queue: EchoQueue
  /** What the guest was sent. */
  readonly sent: string[]
  readonly seen: unknown[]
  /** Looks up a path, as the guest would. */
  walk(path: string): number
}

function open(host: string, options: { state?: string; journal?: string; waitingMax?: number } = {}): Stage {
  const loop = new Loop()
  const sent: string[] = []
  const seen: unknown[] = []
  const queue: EchoQueue = new EchoQueue({
    send: (lines) => void sent.push(...lines.map((line) => line.replace(/^echo \d+ /, ""))),
    onOverflow: () => events.renew(),
    ...(options.waitingMax === undefined ? {} : { waitingMax: options.waitingMax, window: 1 }),
  })
  const events = new ShareEvents({
    inner: openPassthrough({ path: host, journal: options.journal }),
    scope: loop.root,
    path: host,
    name: "3",
    queue,
    nowMs: 1_700_000_000_000,
    gatherMs: 0,
    onEvent: (event) => seen.push(event),
    ...(options.state === undefined ? {} : { state: options.state }),
  })
  queue.open(false)
  const into = newAttributes()
  const { fileSystem } = events
  const walk = (path: string): number =>
    path
      .split("/")
      .reduce((at, name) => fileSystem.lookup(at, Buffer.from(name), USER, into), fileSystem.root)
  loop.step()
  return {
    loop,
    events,
    queue,
    sent,
    seen,
    walk,
    [Symbol.dispose]: () => {
      fileSystem[Symbol.dispose]()
      loop[Symbol.dispose]()
    },
  }
}

describe.skipIf(!sys.available().available)("ShareEvents", () => {
  test("tells of directories that the guest has looked up, and of no others", async () => {
    await using directory = await temporaryDirectory()
    for (const name of ["known", "other"]) fs.mkdirSync(join(directory.path, name))
    using it = open(directory.path)
    it.walk("known")
    it.loop.step()
    fs.writeFileSync(join(directory.path, "known/f"), "")
    fs.writeFileSync(join(directory.path, "other/f"), "")
    it.loop.step()
    expect(it.sent).toEqual(["create 3/known/f"])
    expect(it.seen[0]).toEqual({ kind: "make", path: "known/f", isDirectory: false })
  })

  test("stops when the guest has forgotten a directory", async () => {
    await using directory = await temporaryDirectory()
    fs.mkdirSync(join(directory.path, "d"))
    using it = open(directory.path)
    const node = it.walk("d")
    it.loop.step()
    expect(it.events.counters).toMatchObject({ watches: 2, knownDirectories: 2 })
    it.events.fileSystem.forget(node, 1)
    it.loop.step()
    expect(it.events.counters).toMatchObject({ watches: 1, knownDirectories: 1 })
  })

  test("goes on for a successor after a restart, also where directories were moved", async () => {
    await using directory = await temporaryDirectory()
    const host = join(directory.path, "host")
    fs.mkdirSync(join(host, "a/b"), { recursive: true })
    const kept = { state: join(directory.path, "state"), journal: join(directory.path, "journal") }
    {
      using it = open(host, kept)
      it.walk("a/b")
      it.loop.step()
      fs.renameSync(join(host, "a"), join(host, "moved"))
      it.loop.step()
      expect(it.sent).toEqual(["rename 3/a 3/moved"])
    }
    using it = open(host, kept)
    it.loop.step()
    expect(it.events.counters).toMatchObject({ watches: 3 })
    fs.writeFileSync(join(host, "moved/b/f"), "")
    it.loop.step()
    expect(it.sent).toEqual(["create 3/moved/b/f"])
  })

  test.each([
    "nonsense\n1 2\n5 1 ..%2f\n7 1 x\n9007199254740993 1 y\n",
    "\0".repeat(1000),
    "2 1 a\n".repeat(10_000),
  ])("takes nothing from a file that is damaged", async (text) => {
    await using directory = await temporaryDirectory()
    const host = join(directory.path, "host")
    fs.mkdirSync(host)
    const state = join(directory.path, "state")
    fs.writeFileSync(state, text)
    using it = open(host, { state })
    it.loop.step()
    expect(it.events.counters).toMatchObject({ watches: 1, knownDirectories: 1 })
  })

  test("asks watchers to look again when too much came at once", async () => {
    await using directory = await temporaryDirectory()
    fs.mkdirSync(join(directory.path, "d"))
    using it = open(directory.path, { waitingMax: 50 })
    const node = it.walk("d")
    it.events.fileSystem.lookup(node, Buffer.from("x"), USER, newAttributes())
    it.loop.step()
    for (let at = 0; at < 100; at++) fs.mkdirSync(join(directory.path, `d/${at}`))
    it.loop.step()
    expect(it.seen).toContainEqual({ kind: "overflow" })
    while (it.queue.at(it.sent.length - 1) !== undefined)
      it.queue.settle([{ id: it.sent.length - 1, errno: 0 }])
    expect(it.sent).toContain("attributes 3/d")
  })

  test("takes a part of very much in a turn, and all of it in some", async () => {
    await using directory = await temporaryDirectory()
    using it = open(directory.path)
    it.walk("none")
    // Long names make much of few.
    const names = Array.from({ length: 400 }, (_, index) => `${"x".repeat(240)}${index}`)
    for (const name of names) fs.mkdirSync(join(directory.path, name))
    it.loop.step()
    const first = it.seen.length
    expect(first).toBeGreaterThan(0)
    expect(first).toBeLessThan(names.length)
    // What the guest does itself meanwhile is not told, however late it is found.
    const { fileSystem } = it.events
    fileSystem.makeDirectory(fileSystem.root, Buffer.from("own"), 0o755, USER, newAttributes())
    for (let turns = 0; turns < 10; turns++) it.loop.step()
    const made = names.map((path) => ({ kind: "make", path, isDirectory: true }))
    expect(it.seen).toEqual(made)
    expect(it.events.counters).toMatchObject({ ownEvents: 1, lostEvents: 0 })
  })

  test("makes two halves of a rename one, and each alone what it is", async () => {
    await using directory = await temporaryDirectory()
    const at = (name: string): string => join(directory.path, name)
    fs.mkdirSync(at("far"))
    for (const name of ["a", "out", "far/in"]) fs.writeFileSync(at(name), "")
    using it = open(directory.path)
    fs.renameSync(at("a"), at("b"))
    fs.renameSync(at("far/in"), at("in"))
    it.loop.step()
    expect(it.sent).toEqual(["rename 3/a 3/b", "make file 3/in"])
    fs.renameSync(at("out"), at("far/out"))
    fs.writeFileSync(at("out"), "")
    it.loop.step()
    expect(it.sent.slice(2)).toEqual(["remove file 3/out", "create 3/out"])
  })

  test("lets nobody change anything by a group that is set aside", async () => {
    await using directory = await temporaryDirectory()
    fs.writeFileSync(join(directory.path, "f"), "content")
    using it = open(directory.path)
    const { fileSystem } = it.events
    const into = newAttributes()
    const echo = { uid: 0, gid: ECHO_GROUP + 5, pid: 1 }
    const name = Buffer.from("f")
    const node = fileSystem.lookup(1, name, echo, into)
    const root = fileSystem.root
    const how = { flags: sys.O_WRONLY | sys.O_TRUNC, mode: 0o644, opened: -1 }
    const results = [
      fileSystem.unlink(root, name, echo),
      fileSystem.rename({ parent: root, name }, { parent: root, name: Buffer.from("g") }, 0, echo),
      fileSystem.makeDirectory(root, Buffer.from("d"), 0o755, echo, into),
      fileSystem.makeNode(root, Buffer.from("n"), { mode: S_IFREG, rdev: 0 }, echo, into),
      fileSystem.makeSymlink(root, Buffer.from("s"), name, echo, into),
      fileSystem.create(root, name, how, echo, into),
      fileSystem.setAttributes(node, -1, { size: 0 }, echo, into),
      fileSystem.open(node, sys.O_WRONLY | sys.O_TRUNC, echo),
      fileSystem.removeDirectory(root, name, echo),
      fileSystem.link(node, root, Buffer.from("l"), echo, into),
    ]
    expect(results.every((result) => result < 0)).toBe(true)
    expect(fs.readdirSync(directory.path)).toEqual(["f"])
    expect(fs.readFileSync(join(directory.path, "f"), "utf8")).toBe("content")
  })

  test("repeats a change of a file only for that file, whatever the guest was led to", async () => {
    await using directory = await temporaryDirectory()
    for (const name of ["f", "g"]) fs.writeFileSync(join(directory.path, name), "")
    using it = open(directory.path)
    const [file, other] = [it.walk("f"), it.walk("g")]
    fs.writeFileSync(join(directory.path, "f"), "content")
    it.loop.step()
    expect(it.sent).toEqual(["write 3/f"])
    const { fileSystem } = it.events
    const into = newAttributes()
    const echo = { uid: 0, gid: ECHO_GROUP, pid: 1 }
    expect(fileSystem.open(other, sys.O_WRONLY, echo)).toBe(-sys.ESTALE)
    expect(fileSystem.setAttributes(other, -1, { modify: "now" }, echo, into)).toBe(-sys.ESTALE)
    expect(fileSystem.open(file, sys.O_WRONLY, echo)).toBeGreaterThan(0)
    expect(fileSystem.setAttributes(file, -1, { modify: "now" }, echo, into)).toBe(0)
    expect(into.size).toBe(7)
  })

  test("shows what is gone as a ghost, to its own echo only, and forgets it", async () => {
    await using directory = await temporaryDirectory()
    const file = join(directory.path, "f")
    using it = open(directory.path)
    fs.writeFileSync(file, "")
    fs.rmSync(file)
    it.loop.step()
    expect(it.sent).toEqual(["create 3/f", "remove file 3/f"])
    const { fileSystem } = it.events
    const into = newAttributes()
    const name = Buffer.from("f")
    const as = (id: number): Caller => ({ uid: 0, gid: ECHO_GROUP + id, pid: 1 })
    expect(fileSystem.lookup(fileSystem.root, name, as(0), into)).toBe(-sys.ENOENT)
    const ghost = fileSystem.makeNode(fileSystem.root, name, { mode: S_IFREG, rdev: 0 }, as(0), into)
    expect(isGhost(ghost)).toBe(true)
    expect(fileSystem.lookup(fileSystem.root, name, as(1), into)).toBe(ghost)
    expect(fileSystem.lookup(fileSystem.root, name, USER, into)).toBe(-sys.ENOENT)
    expect(fileSystem.unlink(fileSystem.root, name, as(1))).toBe(0)
    expect(it.events.counters).toMatchObject({ ghosts: 1 })
    fileSystem.forget(ghost, 2)
    expect(it.events.counters).toMatchObject({ ghosts: 0 })
  })

  test("gives the least used watch up for a new one", async () => {
    await using directory = await temporaryDirectory()
    const loop = new Loop()
    const names = Array.from({ length: 20 }, (_, at) => `d${at}`)
    for (const name of names) fs.mkdirSync(join(directory.path, name))
    const queue = new EchoQueue({ send: () => undefined, onOverflow: () => undefined })
    const events = new ShareEvents({
      inner: openPassthrough({ path: directory.path }),
      scope: loop.root,
      path: directory.path,
      name: "3",
      queue,
      nowMs: 0,
      watches: 5,
    })
    for (const name of names) {
      events.fileSystem.lookup(events.fileSystem.root, Buffer.from(name), USER, newAttributes())
      loop.step()
    }
    expect(events.counters).toMatchObject({ watches: 5, evictedWatches: 16, knownDirectories: 21 })
    events.fileSystem[Symbol.dispose]()
    loop[Symbol.dispose]()
  })
})
