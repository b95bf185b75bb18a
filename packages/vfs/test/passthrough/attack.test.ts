import { mkdirSync, readdirSync, renameSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { startProgram } from "@skep/testkit"
import fc from "fast-check"
import { describe, expect, it, vi } from "vitest"
import { newAttributes } from "../../src/index.ts"
import { bytes, O_RDONLY, O_RDWR, O_TRUNC, Rig, sure } from "../suite/rig.ts"
import { host } from "./host.ts"

/** Real files, other processes and threads, on a machine that may be busy. */
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const ATTEMPTS = 3000

describe("nothing outside the root is reached", () => {
  it("by names that are paths, dots, nothing or too long", async () => {
    await using all = await host()
    writeFileSync(all.directory.at("secret"), "secret")
    mkdirSync(join(all.root, "d"))
    const d = sure(all.rig.lookup("d"))
    const bad = ["../secret", "..", ".", "", "/etc", "d/..", "a\0b", "/", "d/", "./secret"]
    for (const parent of [all.fs.root, d])
      for (const name of bad) {
        if (name !== ".." && name !== ".") expect(all.rig.lookup(name, parent)).toBe("EINVAL")
        expect(all.rig.create(name, parent).answer).toBe("EINVAL")
        expect(all.rig.mkdir(name, parent)).toBe("EINVAL")
        expect(all.rig.mknod(name, 0o010644, parent)).toBe("EINVAL")
        expect(all.rig.symlink(name, "x", parent)).toBe("EINVAL")
        expect(all.rig.unlink(name, parent)).toBe("EINVAL")
        expect(all.rig.rmdir(name, parent)).toBe("EINVAL")
        expect(all.rig.rename(name, "ok", 0, [parent, parent])).toBe("EINVAL")
        expect(all.rig.rename("d", name, 0, [all.fs.root, parent])).toBe("EINVAL")
      }
    expect(all.rig.lookup("x".repeat(256))).toBe("ENAMETOOLONG")
    expect(all.rig.lookup("..")).toBe(all.fs.root)
    expect(all.rig.lookup("..", d)).toBe(all.fs.root)
    expect(all.rig.lookup(".", d)).toBe(d)
  })

  it("through links to anywhere, which are links and no more", async () => {
    await using all = await host()
    writeFileSync(all.directory.at("secret"), "secret")
    const targets = ["/etc/passwd", "../secret", "/", "..", "/proc/self/root", "/proc/self/cwd"]
    for (const [index, target] of targets.entries()) {
      symlinkSync(target, join(all.root, `l${index}`))
      const link = sure(all.rig.lookup(`l${index}`))
      expect(all.rig.readLink(link)).toBe(target)
      expect(all.rig.lookup("secret", link)).toBe("ENOTDIR")
      expect(all.rig.open(link, O_RDONLY)).toBe("ELOOP")
      expect(all.rig.openDirectory(link)).toBe("ENOTDIR")
      expect(all.rig.create(`l${index}`).answer).toBe("ELOOP")
      expect(all.rig.change(link, { size: 0 })).toBe("EINVAL")
      expect(all.rig.change(link, { mode: 0o777 })).toBe("EOPNOTSUPP")
      expect(all.rig.change(link, { access: { seconds: 5, nanoseconds: 6 } })).toBe(0)
      expect(all.rig.stat(link)).toMatchObject({ accessSeconds: 5, accessNanoseconds: 6 })
      expect(all.rig.getExtended(link, "user.x")).toMatch(/^(ENODATA|EPERM|EOPNOTSUPP)$/u)
      const hard = sure(all.rig.link(link, `h${index}`))
      expect(hard).toBe(link)
      expect(all.rig.readLink(hard)).toBe(target)
    }
    expect(all.rig.mkdir("d")).toBeGreaterThan(0)
  })

  it("by a directory that others move out: what was in it is not found above it", async () => {
    await using all = await host()
    mkdirSync(join(all.root, "a/b"), { recursive: true })
    writeFileSync(all.directory.at("secret"), "secret")
    const a = sure(all.rig.lookup("a"))
    const b = sure(all.rig.lookup("b", a))
    sure(all.rig.mkdir("x", b))
    renameSync(join(all.root, "a"), all.directory.at("moved"))
    // `..` is what it was, never what the host has there now.
    for (const [node, limit] of [
      [b, a],
      [a, all.fs.root],
    ] as const) {
      const above = all.rig.lookup("..", node)
      expect([limit, "ESTALE"]).toContain(above)
      expect(all.rig.lookup("secret", limit)).toBe("ENOENT")
    }
  })

  it("by opening what others put in a file's place", async () => {
    await using all = await host()
    const secret = all.directory.at("secret")
    writeFileSync(secret, "secret")
    const file = join(all.root, "a")
    for (let round = 0; round < 50; round++) {
      writeFileSync(file, "good")
      const node = sure(all.rig.lookup("a"))
      rmSync(file)
      symlinkSync(secret, file)
      expect(all.rig.open(node, O_RDWR | O_TRUNC)).toBe("ESTALE")
      expect(all.rig.change(node, { size: 0 })).toBe("ESTALE")
      expect(all.rig.tryStat(node)).toBe("ESTALE")
      rmSync(file)
    }
    expect(await new Rig(all.fs).read(-1, 0, 1)).toBe("EBADF")
  })

  it("while others swap directories, links and files as fast as they can", async () => {
    await using all = await host({ maxDescriptors: 64 })
    const secret = all.directory.at("outside")
    mkdirSync(join(secret, "in"), { recursive: true })
    for (const at of [secret, join(secret, "in")]) writeFileSync(join(at, "file"), "SECRET")
    for (const side of ["a", "b"]) {
      mkdirSync(join(all.root, side, "in"), { recursive: true })
      for (const at of [join(all.root, side), join(all.root, side, "in")])
        writeFileSync(join(at, "file"), "public")
    }
    // In another process: directories become links to the outside and back, by rename and by exchange.
    const script = `
      import os, ctypes, sys
      root, outside = sys.argv[1:3]
      os.chdir(root)
      libc = ctypes.CDLL(None)
      os.symlink(outside, "link"); os.symlink(outside + "/in", "link-in"); os.symlink(outside + "/file", "link-file")
      def swap(a, b): libc.renameat2(-100, a.encode(), -100, b.encode(), 2)
      print("ready", flush=True)
      while os.getppid() == ${process.pid}:
        for a, b in (("a", "link"), ("a/in", "link-in"), ("a/file", "link-file"), ("b", "a"), ("b/in", "a/in")):
          # There and back: at no time is anything of the outside inside.
          swap(a, b); swap(a, b); swap(a, b); swap(a, b)
    `
    const text = script.replace(/^ {6}/gmu, "")
    await using swapper = startProgram("python3", ["-c", text, all.root, secret])
    await swapper.line((line) => line === "ready")
    const into = newAttributes()
    const { fs, rig } = all
    let read = 0
    let refused = 0
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const top = fs.lookup(fs.root, bytes(attempt % 2 === 0 ? "a" : "b"), rig.caller, into)
      const below = top < 0 ? top : fs.lookup(top, bytes("in"), rig.caller, into)
      const directory = attempt % 3 === 0 ? top : below
      const node = directory < 0 ? directory : fs.lookup(directory, bytes("file"), rig.caller, into)
      const handle = node < 0 ? node : fs.open(node, O_RDONLY, rig.caller)
      if (handle < 0) refused++
      else {
        expect(await rig.readText(handle, 0, 6)).toBe("public")
        read++
        fs.release(handle)
      }
      if (directory > 0) {
        const made = rig.create(`new-${attempt}`, directory)
        if (typeof made.answer === "number") fs.release(made.handle)
        rig.rename(`new-${attempt}`, "moved", 0, [directory, fs.root])
        rig.unlink("moved")
        rig.unlink(`new-${attempt}`, directory)
        rig.change(directory, { mode: 0o750 + (attempt % 8) })
      }
      for (const each of [top, below, node]) if (each > 0) fs.forget(each, 1)
    }
    swapper.child.kill("SIGKILL")
    // Nothing was made, taken or changed out there.
    expect(new Set(readdirSync(secret, { recursive: true, encoding: "utf8" }))).toEqual(
      new Set(["file", "in", "in/file"]),
    )
    expect(statSync(secret).mode & 0o7777).toBe(0o755)
    // Both happened, or nothing was tried.
    expect(read).toBeGreaterThan(0)
    expect(refused).toBeGreaterThan(0)
  })

  it("by handles that were forged", async () => {
    await using all = await host()
    mkdirSync(join(all.root, "a/b"), { recursive: true })
    const node = await all.rig.file("f", all.rig.walk("a/b"), "x")
    const good = all.rig.durable(node)
    expect(all.rig.find(good)).toBe(node)
    const ids = new Set([all.fs.root, all.rig.walk("a"), all.rig.walk("a/b"), node])
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 64 }),
          fc
            .array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 })
            .map((changes) => {
              const bad = good.slice()
              for (const [at, value] of changes) bad[at] = value
              return bad
            }),
        ),
        (handle) => {
          const found = all.rig.find(handle)
          if (typeof found === "number") expect(ids.has(found)).toBe(true)
          else expect(["EBADF", "ESTALE"]).toContain(found)
        },
      ),
      { numRuns: 500 },
    )
  })

  it("by a name that changes while it is used: every byte is read once", async () => {
    await using all = await host()
    mkdirSync(join(all.root, "dd"))
    const seen = new Set<PropertyKey>()
    // Like the guest's memory under a guest that changes it after the check.
    const name = new Proxy(bytes("dd"), {
      get: (target, key) => {
        if (key === "0" || key === "1") {
          if (seen.has(key)) return 0x2f
          seen.add(key)
        }
        return Reflect.get(target, key, target)
      },
    })
    expect(all.fs.makeDirectory(all.fs.root, name, 0o755, all.rig.caller, newAttributes())).toBe(-17)
    expect([...seen]).toEqual(["0", "1"])
  })
})
