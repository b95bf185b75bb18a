import { execFile } from "node:child_process"
import { existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { Cleanup, silentLog } from "@skep/runtime"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { loadFuse, modificationTime } from "../src/fuse-native.ts"
import { type MountOptions, type MountRunning, mountRemote } from "../src/mount.ts"
import { mountOn } from "../src/mount-table.ts"
import { noSftpServer, startServer, type TestServer } from "./server.ts"

const run = promisify(execFile)

/** Why nothing can be mounted here, or undefined. */
function whyNot(): string | undefined {
  if (!existsSync("/dev/fuse")) return "there is no /dev/fuse"
  if (process.getuid?.() !== 0 && !existsSync("/usr/bin/fusermount3")) return "fusermount is not installed"
  try {
    loadFuse()
  } catch (error) {
    return String(error)
  }
  return noSftpServer
}
const skipped = whyNot()

// The files are asked for by other processes, or by Node's threads: the loop of this one serves them.
describe.skipIf(skipped !== undefined)(`a mount ${skipped ?? ""}`, () => {
  let server: TestServer
  let directory: string
  let cleanup: Cleanup
  let gone = false
  let cut = false

  beforeEach(async () => {
    cleanup = new Cleanup()
    server = cleanup.use(await startServer())
    directory = realpathSync(mkdtempSync(join(tmpdir(), "mount ' $(x)-")))
    cleanup.defer(() => rmSync(directory, { recursive: true, force: true }))
    gone = false
    cut = false
  })
  afterEach(async () => await cleanup[Symbol.asyncDispose]())

  async function mounted(options: Partial<MountOptions> = {}): Promise<MountRunning> {
    const running = await mountRemote(
      {
        machine: "test",
        path: server.directory,
        directory,
        linkBase: server.directory,
        readOnly: false,
        cacheMs: 0,
        deadlineMs: 1000,
        ...options,
      },
      {
        connect: async () => {
          if (cut) throw new Error("the machine is away")
          return await server.connect()
        },
        isGone: () => gone,
      },
      { signal: new AbortController().signal, log: silentLog, emit: () => undefined },
    )
    return cleanup.use(running)
  }

  const here = (name: string): string => join(directory, name)
  const there = (name: string): string => join(server.directory, name)

  it("shows files, and writes them", async () => {
    await fs.writeFile(there("a"), "from the machine")
    const mount = await mounted()
    expect(await fs.readFile(here("a"), "utf8")).toBe("from the machine")
    await fs.writeFile(here("b"), Buffer.alloc(300_000, 7))
    expect((await fs.readFile(there("b"))).equals(Buffer.alloc(300_000, 7))).toBe(true)
    await fs.appendFile(here("a"), ", and more")
    expect(await fs.readFile(there("a"), "utf8")).toBe("from the machine, and more")
    await fs.mkdir(here("d"))
    await fs.rename(here("b"), here("d/c"))
    await fs.symlink("/d/c", here("l"))
    // The machine's own absolute path, read below the mount.
    expect((await fs.readFile(here("l"))).length).toBe(300_000)
    expect((await fs.readdir(directory)).toSorted()).toStrictEqual(["a", "d", "l"])
    await fs.rm(here("d"), { recursive: true })
    expect(await fs.readdir(server.directory)).not.toContain("d")
    expect(await mount.status()).toMatchObject({ machine: "test", readOnly: false, openFiles: 0 })
  })

  it("keeps both times of a file, and both halves of a copy", async () => {
    await mounted()
    await fs.writeFile(here("t"), "")
    await fs.utimes(here("t"), 1_000_000_000, 1_500_000_000)
    expect(await fs.stat(there("t"))).toMatchObject({ atimeMs: 1e12, mtimeMs: 1.5e12 })
    await run("cp", ["-p", here("t"), here("u")])
    expect((await fs.stat(there("u"))).mtimeMs).toBe(1.5e12)
  })

  it("keeps an unlinked file readable while it is open", async () => {
    await mounted()
    await fs.writeFile(here("f"), "still there")
    const open = await fs.open(here("f"))
    await fs.unlink(here("f"))
    expect(await open.readFile("utf8")).toBe("still there")
    await open.close()
  })

  it("says the kernel's own errors", async () => {
    await mounted()
    await fs.mkdir(here("d/e"), { recursive: true })
    await expect(fs.rmdir(here("d"))).rejects.toMatchObject({ code: "ENOTEMPTY" })
    await expect(fs.mkdir(here("d"))).rejects.toMatchObject({ code: "EEXIST" })
    await expect(fs.open(here("x"), "r")).rejects.toMatchObject({ code: "ENOENT" })
    await fs.writeFile(here("x"), "", { flag: "wx" })
    await expect(fs.writeFile(here("x"), "", { flag: "wx" })).rejects.toMatchObject({ code: "EEXIST" })
  })

  it("refuses changes when it is read-only", async () => {
    await mounted({ readOnly: true })
    await expect(fs.writeFile(here("x"), "")).rejects.toMatchObject({ code: "EROFS" })
    expect((await mountOn(directory))?.source).toBe("skep-test")
  })

  it("is refused where something is mounted", async () => {
    await mounted()
    await expect(mounted()).rejects.toMatchObject({ code: "exists" })
    await expect(mounted({ path: there("none"), directory: there("m") })).rejects.toMatchObject({
      code: "not-found",
    })
    await expect(fs.stat(there("m"))).rejects.toMatchObject({ code: "ENOENT" })
  })

  it("leaves when it is asked, but not while a program is there unless forced", async () => {
    const mount = await mounted()
    await fs.writeFile(here("f"), "x")
    const open = await fs.open(here("f"))
    await expect(mount.unmount(false)).rejects.toMatchObject({ code: "busy" })
    expect(await fs.readFile(here("f"), "utf8")).toBe("x")
    await mount.unmount(true)
    expect(await mountOn(directory)).toBeUndefined()
    await open.close().catch(() => undefined) // its file system is gone
    await expect(mount.status()).rejects.toMatchObject({ code: "not-running" })
    const again = await mounted()
    await again.unmount(false)
    await again.closed
  })

  it("ends when somebody else unmounts it", async () => {
    const mount = await mounted()
    await run("fusermount3", ["-u", "--", directory])
    await mount.closed
  })

  it("answers EIO while the machine is away, comes back with it, and ends when it is gone", async () => {
    const mount = await mounted({ deadlineMs: 300 })
    await fs.writeFile(there("a"), "a")
    cut = true
    server.cut()
    await expect(fs.readFile(here("a"))).rejects.toMatchObject({ code: "EIO" })
    cut = false
    await expect.poll(() => fs.readFile(here("a"), "utf8").catch(() => "away")).toBe("a")
    gone = true
    server.cut()
    await mount.closed
    expect(await mountOn(directory)).toBeUndefined()
    expect(await fs.readdir(directory)).toStrictEqual([])
  })
})

describe("modificationTime()", () => {
  it("is in fuse-native's request only where the access time is in its place", () => {
    const request = Buffer.alloc(256)
    request.writeBigUInt64LE(5n, 104)
    request.writeBigUInt64LE(7n, 112)
    expect(modificationTime(request, 5)).toBe(7)
    expect(modificationTime(request, 6)).toBeUndefined()
    expect(modificationTime(Buffer.alloc(8), 0)).toBeUndefined()
  })
})
