import { constants, writeFileSync } from "node:fs"
import { join } from "node:path"
import { silentLog } from "@skep/runtime"
import { withResolvers } from "@skep/runtime/deadline"
import type { SFTPWrapper } from "ssh2"
import ssh2 from "ssh2"
import { describe, expect, it } from "vitest"
import { Operations } from "../src/operations.ts"
import { Remote } from "../src/remote.ts"
import { noSftpServer, startServer, type TestServer } from "./server.ts"

const { STATUS_CODE } = ssh2.utils.sftp

interface Rig extends AsyncDisposable {
  readonly server: TestServer
  readonly remote: Remote
  readonly files: Operations
  gone: boolean
}

async function rig(
  options: { readonly deadlineMs?: number; readonly answers?: (sftp: SFTPWrapper) => void } = {},
): Promise<Rig> {
  const server = await startServer(options.answers)
  const state = { gone: false }
  const made = Object.assign(state, {
    server,
    remote: new Remote(await server.connect(), {
      connect: () => server.connect(),
      isGone: () => state.gone,
      deadlineMs: options.deadlineMs ?? 5000,
      log: silentLog,
    }),
    [Symbol.asyncDispose]: async () => {
      made.remote[Symbol.dispose]()
      await server[Symbol.asyncDispose]()
    },
  })
  const files = new Operations(made.remote, {
    root: server.directory,
    linkBase: server.directory,
    readOnly: false,
    cacheMs: 0,
    now: () => 0,
  })
  return Object.assign(made, { files })
}

describe.skipIf(noSftpServer !== undefined)(`Remote ${noSftpServer ?? ""}`, () => {
  it("goes on over another connection; handles of the first one are dead", async () => {
    await using made = await rig()
    writeFileSync(join(made.server.directory, "a"), "text")
    const handle = await made.files.open("/a", constants.O_RDONLY)
    made.server.cut()
    expect(await made.files.getAttributes("/a")).toMatchObject({ size: 4 })
    await expect(made.files.read(handle, Buffer.alloc(4), 0)).rejects.toThrow("EIO")
    await made.files.release(handle)
    expect(made.remote.counters.reconnects).toBe(1)
    expect(made.files.openFiles).toBe(0)
  })

  it("repeats what changes nothing when the connection is cut under it", async () => {
    await using made = await rig()
    const asked = made.files.readDirectory("/")
    made.server.cut()
    expect(await asked).toStrictEqual([".", ".."])
  })

  it("answers EIO within the deadline when the server hangs", async () => {
    await using made = await rig({ deadlineMs: 100 })
    made.server.hang()
    await expect(made.files.getAttributes("/")).rejects.toThrow("EIO")
    await expect(made.files.create("/x", 0o600)).rejects.toThrow("EIO")
    expect(made.remote.counters.deadlines).toBeGreaterThan(0)
  })

  it("never does later what it said it could not do", async () => {
    let away = true
    await using server = await startServer()
    const remote = new Remote(await server.connect(), {
      connect: () => (away ? Promise.reject(new Error("away")) : server.connect()),
      isGone: () => false,
      deadlineMs: 200,
      log: silentLog,
    })
    const files = new Operations(remote, {
      root: server.directory,
      linkBase: server.directory,
      readOnly: false,
      cacheMs: 0,
      now: () => 0,
    })
    server.cut()
    // The loss is noticed by then: the next one waits for a connection.
    await expect(files.getAttributes("/")).rejects.toThrow("EIO")
    await expect(files.makeDirectory("/late", 0o700)).rejects.toThrow("EIO")
    away = false
    await expect.poll(() => remote.counters.reconnects).toBe(1)
    expect(await files.readDirectory("/")).toStrictEqual([".", ".."])
    remote[Symbol.dispose]()
  })

  it("closes what was opened too late", async () => {
    const { promise: closed, resolve: close } = withResolvers<string>()
    const { promise: asked, resolve: ask } = withResolvers<() => void>()
    await using made = await rig({
      deadlineMs: 100,
      answers: (sftp) => {
        sftp.on("OPEN", (id) => ask(() => sftp.handle(id, Buffer.from("late"))))
        sftp.on("CLOSE", (id, handle) => {
          close(handle.toString())
          sftp.status(id, STATUS_CODE.OK)
        })
      },
    })
    await expect(made.files.open("/a", constants.O_RDONLY)).rejects.toThrow("EIO")
    ;(await asked)()
    expect(await closed).toBe("late")
    expect(made.files.openFiles).toBe(0)
  })

  it("tells when the machine is gone, and everybody who waits gets EIO at the end", async () => {
    await using made = await rig()
    made.gone = true
    made.server.cut()
    await made.remote.gone
    const waiting = made.files.getAttributes("/").catch(String)
    made.remote[Symbol.dispose]()
    expect(await waiting).toContain("EIO")
    await expect(made.files.getAttributes("/")).rejects.toThrow("EIO")
  })
})

describe("a server that lies", () => {
  it("adds no names that no directory can have, and no sizes that no file has", async () => {
    let told = false
    await using made = await rig({
      answers: (sftp) => {
        sftp.on("OPENDIR", (id) => sftp.handle(id, Buffer.from("d")))
        sftp.on("CLOSE", (id) => sftp.status(id, STATUS_CODE.OK))
        sftp.on("READDIR", (id) => {
          if (told) {
            sftp.status(id, STATUS_CODE.EOF)
            return
          }
          told = true
          const attrs = { mode: 0o100644, uid: 0, gid: 0, size: 1, atime: 0, mtime: 0 }
          const names = ["..", "../../etc", "a/b", "nul\0", "", "x".repeat(256), "good"]
          sftp.name(
            id,
            names.map((filename) => ({ filename, longname: filename, attrs })),
          )
        })
        sftp.on("LSTAT", (id) => {
          sftp.attrs(id, { mode: 0o100644, uid: 0, gid: 0, size: 2 ** 60, atime: 0, mtime: 0 })
        })
      },
    })
    expect(await made.files.readDirectory("/")).toStrictEqual([".", "..", "good"])
    await expect(made.files.getAttributes("/huge")).rejects.toThrow("EIO")
    // Extensions that it does not have are not sent.
    await expect(made.files.usage("/")).rejects.toThrow("EOPNOTSUPP")
  })
})
