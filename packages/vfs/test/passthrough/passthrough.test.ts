import { spawnSync } from "node:child_process"
import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { SyscallPool } from "@skep/loop"
import { errnoName } from "@skep/loop/sys"
import { startProgram } from "@skep/testkit"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest"
import { newAttributes, openPassthrough } from "../../src/index.ts"
import {
  Buffers,
  bytes,
  O_APPEND,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
  type Rig,
  sure,
} from "../suite/rig.ts"
import { type Host, host } from "./host.ts"

/** Real files, other processes and threads, on a machine that may be busy. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const O_DIRECT = 0o40000
const O_PATH = 0o10000000
const S_IFSOCK = 0o140000
const NAMES = 2000

describe("openPassthrough()", () => {
  it("says why it cannot: no directory, a file, a link", async () => {
    await using all = await host()
    writeFileSync(all.directory.at("file"), "")
    symlinkSync(all.root, all.directory.at("link"))
    expect(() => openPassthrough({ path: all.directory.at("none") })).toThrow("open: ENOENT")
    expect(() => openPassthrough({ path: all.directory.at("file") })).toThrow("open: ENOTDIR")
    expect(() => openPassthrough({ path: all.directory.at("link") })).toThrow("open: ENOTDIR")
    expect(() => openPassthrough({ path: all.root, journal: all.directory.at("no/journal") })).toThrow(
      "open: ENOENT",
    )
  })

  it("leaves no descriptor behind", async () => {
    await using all = await host({ journal: true })
    const count = (): number =>
      spawnSync("ls", [`/proc/${process.pid}/fd`], { encoding: "utf8" }).stdout.split("\n").length
    const before = count()
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 20; index++) all.rig.create(`${index}`)
      all.rig.openDirectory()
      const { handle } = all.rig.create("0")
      sure(all.rig.lock(handle, 1n, "write"))
      all.again()
    }
    // The runner closes some of its own meanwhile.
    expect(count()).toBeLessThanOrEqual(before)
  })

  it("refuses every change of what is shared read-only, and shows all of it", async () => {
    await using all = await host()
    mkdirSync(join(all.root, "d"))
    writeFileSync(join(all.root, "f"), "x")
    all.again({ readOnly: true })
    const { rig } = all
    const file = sure(rig.lookup("f"))
    const changes = [
      rig.mkdir("n"),
      rig.create("n").answer,
      rig.symlink("n", "x"),
      rig.mknod("n", 0o010644),
      rig.link(file, "n"),
      rig.unlink("f"),
      rig.rmdir("d"),
      rig.rename("f", "n"),
      rig.open(file, O_RDWR),
      rig.open(file, O_WRONLY),
      rig.open(file, O_RDONLY | O_TRUNC),
      rig.change(file, { mode: 0o600 }),
      rig.change(file, { size: 0 }),
      rig.setExtended(file, "user.a", "b"),
      rig.removeExtended(file, "user.a"),
    ]
    expect(changes).toEqual(changes.map(() => "EROFS"))
    expect([rig.mkdir("d"), rig.link(file, "d"), rig.link(rig.root, "d")]).toEqual([
      "EEXIST",
      "EEXIST",
      "EEXIST",
    ])
    expect(rig.unlink("none")).toBe("ENOENT")
    expect(rig.change(file, {})).toBe(0)
    expect(await rig.content(file)).toBe("x")
    const { answer, handle } = rig.create("f", all.fs.root, { flags: O_RDONLY })
    expect(answer).toBe(file)
    expect(await rig.write(handle, 0, "y")).toBe("EBADF")
    expect(await rig.allocate(handle, 0, 0, 10)).toBe("EBADF")
    expect(rig.names()).toEqual(["d", "f"])
  })
})

describe("nodes", () => {
  it("are what they were when others rename them, while a descriptor is kept", async () => {
    await using all = await host()
    const { rig } = all
    const d = sure(rig.mkdir("d"))
    const node = await rig.file("a", d, "x")
    expect(rig.names(d)).toEqual(["a"])
    mkdirSync(join(all.root, "elsewhere"))
    renameSync(join(all.root, "d"), join(all.root, "elsewhere/e"))
    expect(rig.names(d)).toEqual(["a"])
    expect(await rig.content(node)).toBe("x")
    expect(sure(rig.lookup("e", sure(rig.lookup("elsewhere"))))).toBe(d)
    expect(Buffer.from(all.fs.pathOf(node) ?? []).toString()).toBe("elsewhere/e/a")
  })

  it("are not others that have their number, or their name", async () => {
    await using all = await host()
    const { rig } = all
    const path = join(all.root, "a")
    const seen = new Map<number, string>()
    for (let round = 0; round < 200; round++) {
      writeFileSync(path, `${round}`)
      const node = sure(rig.lookup("a"))
      const before = seen.get(node)
      // The kernel's clock ticks every few milliseconds: a file of another tick is another node, whatever its inode.
      const born = statSync(path, { bigint: true }).birthtimeNs
      if (before !== undefined) expect(before).toBe(`${born}`)
      seen.set(node, `${born}`)
      unlinkSync(path)
    }
    expect(seen.size).toBeGreaterThan(1)
    // What goes by us is known to be gone, tick or not.
    const made = new Set<number>()
    for (let round = 0; round < 100; round++) {
      const { node, handle } = rig.create("b")
      all.fs.release(handle)
      expect(rig.unlink("b")).toBe(0)
      made.add(node)
    }
    expect(made.size).toBe(100)
  })

  it("are found again beyond any bound of descriptors", async () => {
    await using all = await host({ maxDescriptors: 64, idleNodes: 100 })
    const { rig, fs } = all
    const nodes: number[] = []
    for (let index = 0; index < 300; index++) {
      const d = sure(rig.mkdir(`d${index}`))
      nodes.push(await rig.file("a", d, `${index}`))
      expect(fs.counts().descriptors).toBeLessThanOrEqual(64)
    }
    for (const [index, node] of nodes.entries()) expect(await rig.content(node)).toBe(`${index}`)
    expect(fs.counts().descriptors).toBeLessThanOrEqual(64)
    for (const node of nodes) fs.forget(node, 1)
    for (let index = 0; index < 300; index++) fs.forget(sure(rig.lookup(`d${index}`)), 2)
    expect(fs.counts().nodes).toBeLessThanOrEqual(102)
  })

  it("stay bounded while a client looks at everything and forgets it", async () => {
    await using all = await host({ idleNodes: 500, maxDescriptors: 64 })
    for (let index = 0; index < NAMES; index++) writeFileSync(join(all.root, `file-${index}`), "")
    const into = newAttributes()
    const inos = new Set<number>()
    for (let round = 0; round < 3; round++) {
      const nodes = Array.from({ length: NAMES }, (_, index) =>
        all.fs.lookup(all.fs.root, bytes(`file-${index}`), all.rig.caller, into),
      )
      for (const node of nodes) {
        expect(all.fs.getAttributes(node, -1, all.rig.caller, into)).toBe(0)
        inos.add(into.inoLow)
        all.fs.forget(node, 1)
      }
      expect(new Set(nodes).size).toBe(NAMES)
      expect(all.fs.counts()).toMatchObject({ handles: 0 })
      expect(all.fs.counts().nodes).toBeLessThanOrEqual(502)
    }
    expect(inos.size).toBe(NAMES)
  })

  it("are ENFILE when there are too many, until some are forgotten", async () => {
    await using all = await host({ maxNodes: 4096, idleNodes: 16 })
    const { rig, fs } = all
    for (let index = 0; index < 4200; index++) writeFileSync(join(all.root, `${index}`), "")
    const answers = Array.from({ length: 4200 }, (_, index) => rig.lookup(`${index}`))
    const refused = answers.filter((answer) => answer === "ENFILE")
    expect(refused).toHaveLength(4200 - 4095)
    for (const answer of answers) if (typeof answer === "number") fs.forget(answer, 1)
    expect(sure(rig.lookup("4199"))).toBeGreaterThan(1)
  })

  it("with several names are found by those that are left", async () => {
    await using all = await host({ maxDescriptors: 64 })
    const { rig, fs } = all
    const d = sure(rig.mkdir("d"))
    const node = await rig.file("a", fs.root, "x")
    for (const name of ["b", "c"]) expect(rig.link(node, name)).toBe(node)
    expect(rig.link(node, "e", d)).toBe(node)
    expect(rig.unlink("a")).toBe(0)
    expect(rig.rename("b", "b2")).toBe(0)
    unlinkSync(join(all.root, "c"))
    all.again()
    expect(all.rig.lookup("b2")).toBe(all.rig.lookup("e", sure(all.rig.lookup("d"))))
  })

  it("without a name live on while a client holds them", async () => {
    await using all = await host()
    const { rig, fs } = all
    const d = sure(rig.mkdir("d"))
    expect(rig.rmdir("d")).toBe(0)
    expect(rig.stat(d).links).toBe(0)
    expect(rig.names(d)).toEqual([])
    expect(rig.mkdir("x", d)).toBe("ENOENT")
    const file = await rig.file("f", fs.root, "x")
    await rig.file("g")
    expect(rig.rename("g", "f")).toBe(0)
    expect(await rig.content(file)).toBe("x")
    fs.forget(file, 1)
    expect(rig.tryStat(file)).toBe("ESTALE")
  })

  it("of sockets and FIFOs are shown, made and never opened", async () => {
    await using all = await host()
    const { rig } = all
    for (const [name, type] of [
      ["fifo", 0o010000],
      ["socket", S_IFSOCK],
    ] as const) {
      const node = sure(rig.mknod(name, type | 0o622))
      expect(rig.stat(node).mode).toBe(type | 0o622)
      expect(rig.open(node, O_RDWR)).toBe("EOPNOTSUPP")
      expect(rig.create(name).answer).toBe("EOPNOTSUPP")
      expect(rig.change(node, { mode: 0o600, modify: { seconds: 1, nanoseconds: 2 } })).toBe(0)
      expect(rig.stat(node)).toMatchObject({ mode: type | 0o600, modifySeconds: 1, modifyNanoseconds: 2 })
    }
  })

  it("have times before 1970 and after 2038, to the nanosecond", async () => {
    await using all = await host()
    const node = await all.rig.file("a")
    const modify = { seconds: -1.5e9, nanoseconds: 999_999_999 }
    expect(all.rig.change(node, { access: { seconds: 2 ** 33, nanoseconds: 1 }, modify })).toBe(0)
    const { accessSeconds, accessNanoseconds, modifySeconds, modifyNanoseconds } = all.rig.stat(node)
    expect([accessSeconds, accessNanoseconds]).toEqual([2 ** 33, 1])
    expect([modifySeconds, modifyNanoseconds]).toEqual([-1.5e9, 999_999_999])
  })
})

describe("a root that goes", () => {
  it("is stale, and is served again when another directory is there", async () => {
    await using all = await host({ journal: true })
    const { rig, fs } = all
    await rig.file("a")
    const node = sure(rig.lookup("a"))
    expect(fs.checkRoot()).toBe("same")
    rmSync(all.root, { recursive: true })
    expect(rig.lookup("a")).toBe("ESTALE")
    expect(rig.tryStat(fs.root)).toBe("ESTALE")
    expect(rig.mkdir("x")).toBe("ESTALE")
    expect(rig.tryStat(node)).toBe("ESTALE")
    expect(fs.checkRoot()).toBe("gone")
    mkdirSync(all.root)
    writeFileSync(join(all.root, "a"), "new")
    expect(fs.checkRoot()).toBe("replaced")
    expect(rig.tryStat(node)).toBe("ESTALE")
    expect(await rig.content(sure(rig.lookup("a")))).toBe("new")
    expect(fs.checkRoot()).toBe("same")
    all.again()
    expect(all.fs.notice).toBeUndefined()
    expect(all.rig.names()).toEqual(["a"])
  })

  it("is found by itself when it was made anew at once", async () => {
    await using all = await host()
    all.rig.names()
    rmdirSync(all.root)
    mkdirSync(all.root)
    writeFileSync(join(all.root, "b"), "new")
    expect(await all.rig.content(sure(all.rig.lookup("b")))).toBe("new")
  })

  it("is not the one that was moved away: asked, it says so", async () => {
    await using all = await host()
    mkdirSync(join(all.root, "d"))
    sure(all.rig.lookup("d"))
    renameSync(all.root, all.directory.at("moved"))
    mkdirSync(all.root)
    expect(all.fs.checkRoot()).toBe("replaced")
    expect(all.rig.lookup("d")).toBe("ENOENT")
  })
})

describe("files", () => {
  it("take the modes that are asked for, whatever this process's mask is", async () => {
    await using all = await host()
    const { rig } = all
    const modes = [0o777, 0o666, 0o1777, 0o4755, 0o2711, 0]
    for (const [index, mode] of modes.entries()) {
      const { node, handle } = rig.create(`f${index}`, all.fs.root, { mode })
      expect(rig.stat(node).mode & 0o7777).toBe(mode)
      all.fs.release(handle)
      expect(rig.stat(sure(rig.mkdir(`d${index}`, all.fs.root, mode))).mode & 0o7777).toBe(mode)
      const fifo = sure(rig.mknod(`p${index}`, 0o010000 | mode))
      expect(rig.stat(fifo).mode & 0o7777).toBe(mode)
    }
  })

  it.skipIf(process.getuid?.() !== 0)(
    "are their callers' where that is asked for, and of the directory's group where it says so",
    async () => {
      await using all = await host({ giveToCaller: true })
      const rig = all.rig.as(1000, 2000)
      const owner = (path: string): readonly number[] => {
        const { uid, gid } = lstatSync(join(all.root, path))
        return [uid, gid]
      }
      await rig.file("f")
      sure(rig.symlink("l", "f"))
      const d = sure(rig.mkdir("d"))
      expect(["f", "l", "d"].map(owner)).toEqual([
        [1000, 2000],
        [1000, 2000],
        [1000, 2000],
      ])
      sure(rig.change(d, { gid: 3000, mode: 0o2775 }))
      const other = all.rig.as(1001, 2001)
      await other.file("f", d)
      sure(other.symlink("l", "f", d))
      const below = sure(other.mkdir("d", d))
      expect(["d/f", "d/l", "d/d"].map(owner)).toEqual([
        [1001, 3000],
        [1001, 3000],
        [1001, 3000],
      ])
      expect(rig.stat(below).mode & 0o7777).toBe(0o2755)
    },
  )

  it("are opened without flags that are about the host: O_DIRECT, O_PATH, O_NOATIME", async () => {
    await using all = await host()
    const node = await all.rig.file("a", all.fs.root, "12345")
    const handle = sure(all.rig.open(node, O_RDWR | O_DIRECT | O_PATH | 0o1000000))
    expect(await all.rig.readText(handle, 1, 3)).toBe("234")
    expect(all.rig.open(node, 3)).toBe("EINVAL")
  })

  it("are appended to where they end by then, together with the host's own programs", async () => {
    await using all = await host()
    const node = await all.rig.file("log", all.fs.root, "1")
    const handle = sure(all.rig.open(node, O_WRONLY | O_APPEND))
    writeFileSync(join(all.root, "log"), "2", { flag: "a" })
    expect(await all.rig.write(handle, 1, "3")).toBe(1)
    expect(readFileSync(join(all.root, "log"), "utf8")).toBe("123")
  })

  it("hide the reserved attributes, and show them to who keeps them", async () => {
    await using all = await host()
    const { rig, fs } = all
    const node = await rig.file("a")
    const name = bytes("user.skep.owner")
    expect(fs.reserved.setExtended(node, name, bytes("1:2:3"), 0)).toBe(0)
    expect(rig.setExtended(node, "user.mine", "x")).toBe(0)
    expect(rig.listExtended(node)).toEqual(["user.mine"])
    expect(rig.getExtended(node, "user.skep.owner")).toBe("EPERM")
    expect(rig.setExtended(node, "user.skep.owner", "")).toBe("EPERM")
    expect(rig.removeExtended(node, "user.skep.")).toBe("EPERM")
    expect(rig.setExtended(node, "trusted.x", "")).toBe("EOPNOTSUPP")
    expect(rig.getExtended(node, "security.capability")).toBe("EOPNOTSUPP")
    const into = new Uint8Array(64)
    expect(fs.reserved.getExtended(node, name, into)).toBe(5)
    expect(Buffer.from(into.subarray(0, 5)).toString()).toBe("1:2:3")
    expect(errnoName(fs.reserved.getExtended(node, bytes("user.mine"), into))).toBe("EPERM")
    expect(fs.reserved.listExtended(node, new Uint8Array(0))).toBe(16)
    expect(fs.reserved.removeExtended(node, name)).toBe(0)
    expect(errnoName(fs.reserved.getExtended(node, name, into))).toBe("ENODATA")
  })

  it("are locked against the host's own programs, and theirs against ours", async () => {
    await using all = await host()
    const node = await all.rig.file("a", all.fs.root, "0123456789")
    const handle = sure(all.rig.open(node, O_RDWR))
    expect(all.rig.lock(handle, 1n, "write", [0, 4])).toBe(0)
    const script = [
      "import fcntl, sys",
      "f = open(sys.argv[1], 'r+')",
      "try: fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 0); print('got 0')",
      "except OSError: print('refused')",
      "fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 5); print('ready', flush=True)",
      "sys.stdin.read()",
    ].join("\n")
    await using other = startProgram("python3", ["-c", script, join(all.root, "a")])
    await other.line((line) => line === "ready")
    expect(other.lines).toContain("refused")
    expect(all.rig.lock(handle, 1n, "write", [5, 9])).toBe("EAGAIN")
    expect(all.rig.testLock(handle, 1n, "write")).toBe("write 5-9")
    all.fs.release(handle)
  })

  it("say what the host says when it is full", async () => {
    await using all = await host()
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "none", all.root]).status === 0
    // Without root there is no disk that is full.
    if (!mounted) return
    try {
      all.again()
      const { handle } = all.rig.create("a")
      expect(await all.rig.write(handle, 0, new Uint8Array(100_000))).toBeLessThan(65_537)
      expect(await all.rig.write(handle, 65_536, "x")).toBe("ENOSPC")
      expect(await all.rig.allocate(handle, 0, 65_536, 4096)).toBe("ENOSPC")
      expect(all.rig.usage()).toMatchObject({ freeBlocks: 0 })
      all.fs[Symbol.dispose]()
    } finally {
      spawnSync("umount", ["-l", all.root])
    }
  })

  it("of a file system without room for the journal are served all the same", async () => {
    await using all = await host()
    const small = all.directory.at("small")
    mkdirSync(small)
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=512k", "none", small]).status !== 0) return
    try {
      all.again({ journal: join(small, "journal"), idleNodes: 0 })
      for (let index = 0; index < NAMES * 5; index++) {
        const node = all.fs.makeDirectory(
          all.fs.root,
          bytes(`d${index}`),
          0o700,
          all.rig.caller,
          newAttributes(),
        )
        expect(node).toBeGreaterThan(1)
      }
      expect(all.rig.names()).toHaveLength(NAMES * 5)
      all.fs[Symbol.dispose]()
    } finally {
      spawnSync("umount", ["-l", small])
    }
  })
})

describe("durable handles", () => {
  it("lead to their file in a successor without a journal, whatever its directories are called now", async () => {
    await using all = await host()
    const { rig } = all
    const path = Array.from({ length: 20 }, (_, index) => `d${index}`).join("/")
    mkdirSync(join(all.root, path), { recursive: true })
    for (let index = 0; index < 50; index++) mkdirSync(join(all.root, "d0/d1", `other${index}`))
    const deep = rig.walk(path)
    const file = await rig.file("f", deep, "deep")
    const shallow = await rig.file("g", all.fs.root, "shallow")
    const directory = rig.walk("d0/d1/d2")
    const handles = [file, shallow, directory, all.fs.root].map((node) => rig.durable(node).slice())
    const inos = [file, shallow, directory, all.fs.root].map((node) => rig.stat(node).inoLow)
    all.fs[Symbol.dispose]()
    renameSync(join(all.root, "d0"), join(all.root, "renamed"))
    all.again()
    const found = handles.map((handle) => sure(all.rig.find(handle)))
    expect(found.map((node) => all.rig.stat(node).inoLow)).toEqual(inos)
    expect(await all.rig.content(found[0] ?? 0)).toBe("deep")
    expect(all.rig.find(handles[1] ?? new Uint8Array(0))).toBe(found[1])
    expect(handles.every(({ length }) => length <= 52)).toBe(true)
  })

  it("are stale when the file is gone, also where another has its inode", async () => {
    await using all = await host()
    const node = await all.rig.file("a", all.fs.root, "x")
    const handle = all.rig.durable(node).slice()
    unlinkSync(join(all.root, "a"))
    expect(all.rig.find(handle)).toBe("ESTALE")
    all.again()
    for (let index = 0; index < 20; index++) writeFileSync(join(all.root, `n${index}`), "other")
    expect(all.rig.find(handle)).toBe("ESTALE")
  })
})

describe("with a pool", () => {
  let pool: SyscallPool
  beforeAll(async () => {
    pool = await SyscallPool.start()
  })
  afterAll(() => pool[Symbol.dispose]())

  it("reads what is not cached, in any pieces, as the host has it", async () => {
    await using all = await host({ pool })
    const path = join(all.root, "a")
    const content = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7 + (index >> 9)) & 0xff)
    writeFileSync(path, content)
    const fd = openSync(path, "r")
    fsyncSync(fd)
    const uncache = (from: number, length: number): void => {
      const script =
        "import os,sys; f=os.open(sys.argv[1],0); os.posix_fadvise(f,int(sys.argv[2]),int(sys.argv[3]),4)"
      spawnSync("python3", ["-c", script, path, `${from}`, `${length}`])
    }
    const handle = sure(all.rig.open(sure(all.rig.lookup("a")), O_RDONLY))
    for (const [from, cold] of [
      [0, 300_000],
      [100_000, 100_000],
      [4096, 4096],
    ] as const) {
      uncache(from, cold)
      for (const step of [300_000, 4096, 1000]) {
        const buffers = new Buffers(310_000, step)
        const results: number[] = []
        all.fs.read(handle, 10, buffers.pieces, (result) => results.push(result))
        all.fs.drain()
        expect(results).toEqual([299_990])
        expect(Buffer.compare(buffers.bytes.subarray(0, 299_990), content.subarray(10))).toBe(0)
        if (step === 300_000) uncache(from + 50_000, 4096)
      }
    }
    closeSync(fd)
  })

  it("keeps a released file open until its calls have ended", async () => {
    await using all = await host({ pool })
    const results: number[] = []
    for (let index = 0; index < 200; index++) {
      const { handle } = all.rig.create(`f${index}`)
      const big = new Buffers(new Uint8Array(300_000).fill(index), 65_536)
      all.fs.write(handle, 0, big.pieces, (result) => results.push(big.bytes.length === result ? 0 : result))
      all.fs.sync(handle, index % 2 === 0, (result) => results.push(result))
      all.fs.release(handle)
    }
    all.fs.drain()
    expect(results).toEqual(Array.from({ length: 400 }, () => 0))
    for (let index = 0; index < 200; index++) {
      const content = readFileSync(join(all.root, `f${index}`))
      expect(content.length).toBe(300_000)
      expect(content.every((byte) => byte === index)).toBe(true)
    }
    expect(all.fs.counts().handles).toBe(0)
  })

  it("ends with what is under way done", async () => {
    await using all = await host({ pool })
    const { handle } = all.rig.create("a")
    let result = -1
    const big = new Buffers(new Uint8Array(1_000_000).fill(1))
    all.fs.write(handle, 0, big.pieces, (written) => {
      result = written
    })
    all.again()
    expect(result).toBe(big.bytes.length)
    expect(lstatSync(join(all.root, "a")).size).toBe(1_000_000)
  })
})

describe("any sequence of calls", () => {
  interface Step {
    readonly call: keyof typeof CALLS
    readonly from: string
    readonly to: string
  }
  /** Nodes that were held, with the inodes that they had. */
  type Held = Map<number, number>

  const CALLS = {
    mkdir: ({ rig }: Host, { from }: Step) => rig.mkdir(...place(rig, from)),
    file: ({ rig, fs }: Host, { from }: Step, held: Held) => {
      const { answer, node, handle } = rig.create(...place(rig, from))
      if (typeof answer !== "number") return
      held.set(node, rig.stat(node).inoLow)
      fs.release(handle)
    },
    unlink: ({ rig }: Host, { from }: Step) => rig.unlink(...place(rig, from)),
    rmdir: ({ rig }: Host, { from }: Step) => rig.rmdir(...place(rig, from)),
    rename: (all: Host, step: Step) => rename(all, step, 0),
    exchange: (all: Host, step: Step) => rename(all, step, 2),
    link: ({ rig }: Host, { from, to }: Step) => {
      const node = rig.lookup(...place(rig, from))
      if (typeof node === "number") rig.link(node, ...place(rig, to))
    },
    forget: ({ rig, fs }: Host, { from }: Step, held: Held) => {
      const node = rig.lookup(...place(rig, from))
      // The reference of this lookup, and those before.
      if (typeof node === "number" && !held.has(node)) fs.forget(node, 100)
    },
    again: (all: Host) => all.again(),
    host: ({ root }: Host, { from }: Step) => {
      if (existsSync(join(root, from))) rmSync(join(root, from), { recursive: true })
    },
  }

  /** A name and the node of its directory. */
  function place(rig: Rig, path: string): [string, number] {
    const [first = "", second] = path.split("/")
    if (second === undefined) return [first, rig.fs.root]
    const parent = rig.lookup(first)
    return [second, typeof parent === "number" ? parent : 999]
  }

  function rename({ rig }: Host, { from, to }: Step, flags: number): void {
    const [leaf, parent] = place(rig, from)
    const [newLeaf, target] = place(rig, to)
    rig.rename(leaf, newLeaf, flags, [parent, target])
  }

  function compare({ rig, root }: Host, held: Held): void {
    for (const [node, ino] of held) {
      const answer = rig.tryStat(node)
      if (answer === 0) expect(rig.stat(node).inoLow).toBe(ino)
      else expect(answer).toBe("ESTALE")
    }
    // Every name on the host leads to that file here.
    const args = [root, "-mindepth", "1", "-printf", "%P %i\n"]
    const { stdout } = spawnSync("find", args, { encoding: "utf8" })
    for (const line of stdout.split("\n").filter((text) => text !== "")) {
      const [path = "", ino = ""] = line.split(" ")
      expect(String(rig.stat(rig.walk(path)).inoLow)).toBe(ino)
    }
  }

  it("leaves nodes that are their files, or stale, and every name where the host has it", async () => {
    await using all = await host({ maxDescriptors: 64, journal: true, idleNodes: 3 })
    const name = fc.constantFrom("a", "b", "c", "d", "a/a", "a/b", "b/a", "b/b")
    const calls: (keyof typeof CALLS)[] = ["mkdir", "file", "unlink", "rmdir", "rename", "exchange", "link"]
    const call = fc.constantFrom<keyof typeof CALLS>(...calls, ...calls, "forget", "again", "host")
    const steps = fc.array(fc.record({ call, from: name, to: name }), { maxLength: 40 })
    fc.assert(
      fc.property(steps, (sequence) => {
        for (const each of all.rig.names()) rmSync(join(all.root, each), { recursive: true })
        const held: Held = new Map()
        for (const step of sequence) CALLS[step.call](all, step, held)
        compare(all, held)
      }),
      { numRuns: 80 },
    )
  })
})
