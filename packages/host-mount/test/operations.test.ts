import {
  constants,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { silentLog } from "@skep/runtime"
import fc from "fast-check"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { negativeErrno } from "../src/errno.ts"
import { Operations } from "../src/operations.ts"
import { Remote } from "../src/remote.ts"
import { noSftpServer, startServer, type TestServer } from "./server.ts"

describe.skipIf(noSftpServer !== undefined)(
  `Operations over OpenSSH's sftp-server ${noSftpServer ?? ""}`,
  () => {
    let server: TestServer
    let remote: Remote
    let files: Operations
    const at = (name: string): string => join(server.directory, name)

    beforeAll(async () => {
      server = await startServer()
      remote = new Remote(await server.connect(), {
        connect: () => server.connect(),
        isGone: () => false,
        deadlineMs: 5000,
        log: silentLog,
      })
      files = operations(false)
    })
    afterAll(async () => {
      remote[Symbol.dispose]()
      await server[Symbol.asyncDispose]()
    })

    function operations(readOnly: boolean): Operations {
      return new Operations(remote, {
        root: server.directory,
        linkBase: server.directory,
        readOnly,
        cacheMs: 0,
        now: () => 0,
      })
    }

    async function codeOf(work: Promise<unknown>): Promise<string> {
      try {
        await work
        return "done"
      } catch (error) {
        expect(negativeErrno(error)).toBeLessThan(0)
        return error instanceof Error ? error.message : String(error)
      }
    }

    it("writes, reads and syncs at any offset", async () => {
      const made = await files.create("/data", 0o600)
      await files.write(made, Buffer.from("hello"), 3)
      await files.sync(made)
      const into = Buffer.alloc(16)
      expect(await files.read(made, into, 1)).toBe(7)
      expect(into.subarray(0, 7).toString("latin1")).toBe("\0\0hello")
      expect(await files.read(made, into, 100)).toBe(0)
      await files.truncateOpen(made, 4)
      await files.release(made)
      expect(readFileSync(at("data"), "latin1")).toBe("\0\0\0h")
      expect(files.openFiles).toBe(0)
      await expect(codeOf(files.write(made, into, 0))).resolves.toBe("EBADF")
    })

    it("keeps what is written through any pieces", async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(
            fc.record({
              offset: fc.nat(70_000),
              length: fc.integer({ min: 1, max: 70_000 }),
              byte: fc.nat(255),
            }),
            {
              minLength: 1,
              maxLength: 5,
            },
          ),
          async (pieces) => {
            const handle = await files.create("/pieces", 0o600)
            const model = Buffer.alloc(140_000)
            let size = 0
            for (const { offset, length, byte } of pieces) {
              await files.write(handle, Buffer.alloc(length, byte), offset)
              model.fill(byte, offset, offset + length)
              size = Math.max(size, offset + length)
            }
            const into = Buffer.alloc(model.length)
            expect(await files.read(handle, into, 0)).toBe(size)
            expect(into.subarray(0, size).equals(model.subarray(0, size))).toBe(true)
            await files.release(handle)
            await files.unlink("/pieces")
          },
        ),
        { numRuns: 15 },
      )
    })

    it("lists what is there, and tells of each what lstat tells", async () => {
      mkdirSync(at("many"))
      for (let i = 0; i < 300; i++) writeFileSync(at(`many/file ${i} ü`), "x".repeat(i))
      symlinkSync("file", at("many/link"))
      const names = await files.readDirectory("/many")
      expect(names).toHaveLength(303)
      const found = await files.getAttributes("/many/file 299 ü")
      const real = lstatSync(at("many/file 299 ü"))
      expect(found).toMatchObject({ mode: real.mode, uid: real.uid, size: 299 })
      expect((await files.getAttributes("/many/link")).mode & constants.S_IFMT).toBe(constants.S_IFLNK)
    })

    it("changes modes beyond the server's umask, owners one by one, and times of links themselves", async () => {
      await files.release(await files.create("/wide", 0o666))
      expect(lstatSync(at("wide")).mode & 0o777).toBe(0o666)
      await files.makeDirectory("/shared", 0o777)
      expect(lstatSync(at("shared")).mode & 0o777).toBe(0o777)
      utimesSync(at("wide"), 5, 6)
      symlinkSync("wide", at("wide-link"))
      await files.changeTimes("/wide-link", 1_000_000, 2_000_500)
      expect(lstatSync(at("wide-link"))).toMatchObject({ atimeMs: 1_000_000, mtimeMs: 2_000_000 })
      expect(lstatSync(at("wide"))).toMatchObject({ mtimeMs: 6000 })
      const { uid, gid } = lstatSync(at("wide"))
      await files.changeOwner("/wide", uid, 0xffffffff)
      expect(lstatSync(at("wide"))).toMatchObject({ uid, gid })
    })

    it("links, and shows targets that stay inside", async () => {
      await files.symlink("/etc/passwd", "/out")
      expect(readlinkSync(at("out"))).toBe("/etc/passwd")
      expect(await files.readLink("/out")).toBe("etc/passwd")
      await files.symlink(`${server.directory}/data`, "/in")
      expect(await files.readLink("/in")).toBe("data")
      writeFileSync(at("one"), "1")
      await files.link("/one", "/two")
      expect(lstatSync(at("two")).nlink).toBe(2)
    })

    it.each<[string, (to: Operations) => Promise<unknown>]>([
      ["ENOENT", (to) => to.getAttributes("/none")],
      ["ENOENT", (to) => to.open("/none", constants.O_RDONLY)],
      ["EEXIST", (to) => to.create("/there", 0o600)],
      ["EEXIST", (to) => to.makeDirectory("/there", 0o700)],
      ["EEXIST", (to) => to.symlink("x", "/there")],
      ["EEXIST", (to) => to.link("/there", "/full")],
      ["ENOTEMPTY", (to) => to.removeDirectory("/full")],
      ["ENOTEMPTY", (to) => to.rename("/full", "/full2")],
      ["EINVAL", (to) => to.rename("/full", "/full/x2")],
      ["EINVAL", (to) => to.readLink("/full/x")],
    ])("says %s", async (code, work) => {
      mkdirSync(at("full"), { recursive: true })
      mkdirSync(at("full2"), { recursive: true })
      writeFileSync(at("there"), "")
      writeFileSync(at("full/x"), "")
      writeFileSync(at("full2/x"), "")
      expect(await codeOf(work(files))).toBe(code)
    })

    it("replaces by rename, and says EXDEV between file systems", async () => {
      writeFileSync(at("new"), "new")
      writeFileSync(at("old"), "old")
      await files.rename("/new", "/old")
      expect(readFileSync(at("old"), "utf8")).toBe("new")
      const all = new Operations(remote, {
        root: "/",
        linkBase: "/",
        readOnly: false,
        cacheMs: 0,
        now: () => 0,
      })
      expect(await codeOf(all.rename(at("old"), "/proc/x"))).toMatch(/EXDEV|EACCES|ENOENT/)
      expect(await codeOf(all.rename(at("old"), "/dev/shm/hm-x"))).toBe("EXDEV")
    })

    it("refuses every change when it is read-only", async () => {
      const reader = operations(true)
      writeFileSync(at("kept"), "kept")
      const changes = [
        reader.create("/no", 0o600),
        reader.open("/kept", constants.O_RDWR),
        reader.truncate("/kept", 0),
        reader.changeMode("/kept", 0),
        reader.changeOwner("/kept", 1, 1),
        reader.changeTimes("/kept", 0, 0),
        reader.makeDirectory("/no", 0o700),
        reader.removeDirectory("/full"),
        reader.unlink("/kept"),
        reader.rename("/kept", "/no"),
        reader.link("/kept", "/no"),
        reader.symlink("x", "/no"),
      ]
      expect(await Promise.all(changes.map(codeOf))).toStrictEqual(changes.map(() => "EROFS"))
      expect(readFileSync(at("kept"), "utf8")).toBe("kept")
      const handle = await reader.open("/kept", constants.O_RDONLY)
      await expect(codeOf(reader.write(handle, Buffer.from("x"), 0))).resolves.toBe("EROFS")
      await reader.release(handle)
    })

    it("follows the link that its root is, and tells how full the disk is", async () => {
      mkdirSync(at("real"))
      symlinkSync("real", at("root"))
      linkSync(at("kept"), at("real/k"))
      const inside = new Operations(remote, {
        root: at("root"),
        linkBase: at("root"),
        readOnly: false,
        cacheMs: 0,
        now: () => 0,
      })
      expect((await inside.getAttributes("/")).mode & constants.S_IFMT).toBe(constants.S_IFDIR)
      expect(await inside.readDirectory("/")).toContain("k")
      expect((await inside.usage("/")).blocks).toBeGreaterThan(0)
    })
  },
)
