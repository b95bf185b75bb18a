import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { fromSource, startProgram } from "@skep/testkit"
import fc from "fast-check"
import { describe, expect, it, vi } from "vitest"
import { newAttributes, openPassthrough } from "../../src/index.ts"
import { bytes, O_APPEND, O_RDWR, O_TRUNC, sure } from "../suite/rig.ts"
import { host } from "./host.ts"

/** Real files, other processes and threads, on a machine that may be busy. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

describe("a journal", () => {
  it("keeps nodes, places and references for a successor", async () => {
    await using all = await host({ journal: true })
    mkdirSync(join(all.root, "a/b"), { recursive: true })
    writeFileSync(join(all.root, "a/b/file"), "honey")
    const a = sure(all.rig.lookup("a"))
    const b = sure(all.rig.lookup("b", a))
    const file = sure(all.rig.lookup("file", b))
    const ino = all.rig.stat(file).inoLow
    all.again()
    expect(all.rig.stat(file).inoLow).toBe(ino)
    expect(await all.rig.content(file)).toBe("honey")
    expect(all.rig.lookup("file", b)).toBe(file)
    expect(all.rig.lookup("b", a)).toBe(b)
    expect(Buffer.from(all.fs.pathOf(file) ?? []).toString()).toBe("a/b/file")
    // Two references by now: one of before, one of the lookup.
    all.fs.forget(file, 1)
    all.again()
    expect(all.rig.stat(file).inoLow).toBe(ino)
    expect(all.fs.counts().nodes).toBe(4)
  })

  it("never gives an id out twice", async () => {
    await using all = await host({ journal: true, idleNodes: 0 })
    const seen = new Set<number>()
    for (let round = 0; round < 5; round++) {
      for (let index = 0; index < 50; index++) {
        const { node, handle } = all.rig.create(`${round}-${index}`)
        expect(seen.has(node) || seen.has(-handle)).toBe(false)
        seen.add(node)
        seen.add(-handle)
        all.fs.release(handle)
        if (index % 2 === 0) all.fs.forget(node, 1)
      }
      all.again()
    }
  })

  it("opens files anew that were open, as they were, without cutting them again", async () => {
    await using all = await host({ journal: true })
    const node = await all.rig.file("a", all.fs.root, "12345")
    const plain = sure(all.rig.open(node, O_RDWR))
    const appending = sure(all.rig.open(node, O_RDWR | O_APPEND))
    const closed = sure(all.rig.open(node))
    all.fs.release(closed)
    const { handle: cut } = all.rig.create("b", all.fs.root, { flags: O_RDWR | O_TRUNC })
    const listing = sure(all.rig.openDirectory())
    const cookie = all.rig.entries(listing)[0]?.cookie ?? 0n
    sure(await all.rig.write(cut, 0, "kept"))
    all.again()
    expect(await all.rig.readText(plain, 1, 3)).toBe("234")
    expect(await all.rig.write(appending, 0, "678")).toBe(3)
    expect(await all.rig.readText(plain, 0, 100)).toBe("12345678")
    expect(await all.rig.readText(cut, 0, 100)).toBe("kept")
    expect(await all.rig.readText(closed, 0, 1)).toBe("EBADF")
    expect(all.rig.entries(listing, cookie)).toHaveLength(3)
    all.fs.release(plain)
    all.again()
    expect(await all.rig.readText(plain, 1, 3)).toBe("EBADF")
    expect(all.fs.counts().handles).toBe(3)
  })

  it("says ESTALE of an open file without a name: that went with the process", async () => {
    await using all = await host({ journal: true })
    const { node, handle } = all.rig.create("a")
    expect(all.rig.unlink("a")).toBe(0)
    sure(await all.rig.write(handle, 0, "still here"))
    expect(all.rig.stat(node).links).toBe(0)
    all.again()
    expect(await all.rig.readText(handle, 0, 10)).toBe("ESTALE")
    expect(all.rig.tryStat(node)).toBe("ESTALE")
    // Another file, perhaps with its inode.
    writeFileSync(join(all.root, "a"), "other")
    expect(all.rig.tryStat(node)).toBe("ESTALE")
    expect(all.rig.lookup("a")).not.toBe(node)
  })

  it("knows all names of a file", async () => {
    await using all = await host({ journal: true })
    const node = await all.rig.file("a", all.fs.root, "x")
    expect(all.rig.link(node, "b")).toBe(node)
    expect(all.rig.link(node, "c")).toBe(node)
    expect(all.rig.unlink("c")).toBe(0)
    all.again()
    rmSync(join(all.root, "b"))
    expect(await all.rig.content(node)).toBe("x")
    all.again()
    expect(await all.rig.content(node)).toBe("x")
  })

  it("finds what the host renamed meanwhile within its directory", async () => {
    await using all = await host({ journal: true })
    mkdirSync(join(all.root, "d"))
    const d = sure(all.rig.lookup("d"))
    const node = await all.rig.file("a", d, "x")
    all.fs[Symbol.dispose]()
    renameSync(join(all.root, "d/a"), join(all.root, "d/b"))
    renameSync(join(all.root, "d"), join(all.root, "e"))
    all.again()
    expect(await all.rig.content(node)).toBe("x")
    expect(Buffer.from(all.fs.pathOf(node) ?? []).toString()).toBe("e/b")
  })

  it("has one process at a time", async () => {
    await using all = await host({ journal: true })
    expect(() => openPassthrough({ path: all.root, journal: all.journal, maxNodes: 65_536 })).toThrow(
      "another process has the journal",
    )
  })

  it("of another directory, or cut off, or of another size, is set aside with a sentence", async () => {
    for (const damage of ["directory", "length", "capacity", "text"] as const) {
      await using all = await host({ journal: true })
      const node = await all.rig.file("a")
      const next = damage === "capacity" ? { maxNodes: 8192 } : {}
      all.fs[Symbol.dispose]()
      if (damage === "directory") {
        renameSync(all.root, `${all.root}.old`)
        mkdirSync(all.root)
      } else if (damage === "length") truncateSync(all.journal, 4096 * 3)
      else if (damage === "text") writeFileSync(all.journal, "this is no journal")
      all.again(next)
      if (damage !== "length") {
        expect(all.fs.notice).toMatch(
          /^The journal ".*" is .*: it is kept as ".*\.aside", and what clients hold is stale\.$/u,
        )
        expect(existsSync(`${all.journal}.aside`)).toBe(true)
      }
      expect(all.rig.tryStat(node)).toBe("ESTALE")
      const made = sure(all.rig.mkdir("new"))
      expect(made).toBeGreaterThan(node)
      all.again(next)
      expect(all.rig.tryStat(made)).toBe(0)
      expect(all.fs.notice).toBeUndefined()
    }
  })

  it("whatever is in it, leads to nothing outside and ends nobody", async () => {
    await using all = await host({ journal: true })
    const secret = all.directory.at("secret")
    writeFileSync(secret, "secret")
    mkdirSync(join(all.root, "d"))
    const d = sure(all.rig.lookup("d"))
    for (let index = 0; index < 20; index++) await all.rig.file(`f${index}`, d)
    const open = sure(all.rig.open(sure(all.rig.lookup("f1", d))))
    all.fs[Symbol.dispose]()
    const good = readFileSync(all.journal)
    const used = 4096 + 64 * 24
    const names = good.indexOf(Buffer.from("f1\0"))
    expect(names).toBeGreaterThan(used)
    const place = fc.oneof(
      fc.nat(used),
      fc.nat(600).map((at) => names - 20 + at),
    )
    const hostile = fc.constantFrom(0x2e, 0x2f, 0, 1, 2, 0xff)
    const changes = fc.array(fc.tuple(place, fc.oneof(fc.nat(255), hostile)), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(changes, (changed) => {
        all.fs[Symbol.dispose]()
        const bad = Buffer.from(good)
        for (const [at, value] of changed) bad[at] = value
        writeFileSync(all.journal, bad)
        all.again()
        const into = newAttributes()
        for (let id = d - 3; id < d + 30; id++) {
          const result = all.fs.getAttributes(id, -1, all.rig.caller, into)
          // Whatever is shown is below the root.
          if (result === 0) expect([0o100644, 0o40755]).toContain(into.mode)
          expect(all.fs.lookup(id, bytes("secret"), all.rig.caller, into)).toBeLessThan(0)
        }
        expect(all.rig.lookup("f3", sure(all.rig.lookup("d")))).toBeGreaterThan(1)
        all.fs.release(open)
      }),
      { numRuns: 150 },
    )
  })

  it("loses nothing when its process is killed at any moment", async () => {
    await using all = await host({ journal: true })
    all.fs[Symbol.dispose]()
    for (let round = 0; round < 3; round++) {
      await using program = startProgram(process.execPath, [
        ...fromSource(import.meta.dirname, "programs/busy.ts"),
        all.root,
        all.journal,
      ])
      // It says what it was given, line by line, and is killed between two instructions of what comes next.
      await program.line((line) => line.startsWith("step 3"))
      program.child.kill("SIGKILL")
      await new Promise((resolve) => program.child.once("close", resolve))
      const told = program.lines.filter((line) => line.startsWith("node "))
      all.again()
      expect(all.fs.notice).toBeUndefined()
      expect(told.length).toBeGreaterThan(10)
      const last = new Map(told.map((line) => [line.split(" ")[1] ?? "", line.split(" ")[2] ?? ""]))
      for (const [id, ino] of last) {
        // Each is that file still, or its file is gone; it is never another one.
        const into = newAttributes()
        const result = all.fs.getAttributes(Number(id), -1, all.rig.caller, into)
        if (result === 0) expect(String(into.inoLow)).toBe(ino)
        else expect(all.rig.tryStat(Number(id))).toBe("ESTALE")
      }
      const kept = program.lines.filter((line) => line.startsWith("keep "))
      expect(kept.length).toBeGreaterThan(0)
      for (const line of kept) {
        const [, node, handle, content] = line.split(" ")
        expect(await all.rig.content(Number(node))).toBe(content)
        expect(await all.rig.readText(Number(handle), 0, 100)).toBe(content)
      }
      all.fs[Symbol.dispose]()
      for (const name of ["kept", "work"]) rmSync(join(all.root, name), { recursive: true, force: true })
    }
    unlinkSync(all.journal)
  })
})
