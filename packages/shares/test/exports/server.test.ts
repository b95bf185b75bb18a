// Whether a host can export, and where its server listens: rpcbind, the kernel's files and the programs of both systems are played.
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import {
  type PlayedRpcbind,
  playRpcbind,
  replyOf,
  type TemporaryDirectory,
  temporaryDirectory,
} from "@skep/testkit"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { emitGetport, PROGRAMS, parseGetport, portOf } from "../../src/exports/portmap.ts"
import { checkHost, findServer, type ServerHost } from "../../src/exports/server.ts"
import type { ExportsSystem } from "../../src/exports/system.ts"

const never = new AbortController().signal
const QUERY = { program: PROGRAMS.nfs, version: 3 }

let directory: TemporaryDirectory
let rpcbind: PlayedRpcbind
beforeEach(async () => {
  directory = await temporaryDirectory()
  rpcbind = await playRpcbind()
})
afterEach(async () => {
  await rpcbind[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

function write(path: string, text: string): void {
  mkdirSync(join(directory.at(path), ".."), { recursive: true })
  writeFileSync(directory.at(path), text)
}

describe("GETPORT", () => {
  it("is the call of RFC 1833, to the byte", () => {
    const call = emitGetport(0x01020304, QUERY)
    expect(Buffer.from(call).toString("hex").match(/.{8}/g)).toEqual(
      [
        ["80000038", "01020304", "00000000", "00000002", "000186a0", "00000002", "00000003"],
        ["00000000", "00000000", "00000000", "00000000"],
        ["000186a3", "00000003", "00000006", "00000000"],
      ].flat(),
    )
  })

  it("reads what an accepted reply says, and nothing else, whatever comes", () => {
    expect(parseGetport(replyOf(7, 2049), 7)).toBe(2049)
    expect(parseGetport(replyOf(8, 2049), 7)).toBeUndefined()
    expect(parseGetport(replyOf(7, 65_536), 7)).toBeUndefined()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const port = parseGetport(bytes, 7)
        return port === undefined || (port >= 0 && port <= 65_535)
      }),
    )
    const refusals = [2, 3, 5, 6] // kind, reply, verifier, accepted
    for (const index of refusals) {
      const reply = replyOf(7, 2049)
      reply.writeUInt32BE(index === 2 ? 0 : 1, index * 4)
      expect(parseGetport(reply, 7)).toBeUndefined()
    }
  })

  it("says no port for what is not there, and tells an answer that is none from none", async () => {
    const query = { ...QUERY, rpcbind: rpcbind.port }
    expect(await portOf(query, never)).toBeUndefined()
    rpcbind.programs.set(PROGRAMS.nfs, 2049)
    expect(await portOf(query, never)).toBe(2049)
    expect(rpcbind.asked).toEqual([
      [PROGRAMS.nfs, 3, 6],
      [PROGRAMS.nfs, 3, 6],
    ])
    rpcbind.answers = () => Buffer.from("8000000400000000", "hex")
    await expect(portOf(query, never)).rejects.toMatchObject({ code: "protocol" })
    rpcbind.answers = () => Buffer.alloc(4096, 0x7f)
    await expect(portOf(query, never)).rejects.toMatchObject({ code: "unreachable" })
    const { port } = rpcbind
    await rpcbind[Symbol.asyncDispose]()
    await expect(portOf({ ...QUERY, rpcbind: port }, never)).rejects.toMatchObject({ code: "unreachable" })
    rpcbind = await playRpcbind()
  })

  it("ends with the signal's own reason", async () => {
    const over = new AbortController()
    rpcbind.answers = () => {
      over.abort(new Error("over"))
      return Buffer.alloc(0)
    }
    await expect(portOf({ ...QUERY, rpcbind: rpcbind.port }, over.signal)).rejects.toThrow("over")
  })
})

describe("findServer()", () => {
  it.each(["linux", "macos"] as const)(
    "says on %s what does not run, and what starts it",
    async (platform) => {
      const host: ServerHost = { rpcbind: rpcbind.port }
      const start = platform === "linux" ? "systemctl start nfs-" : "nfsd enable"
      const refusal = (message: string) => ({
        code: "not-running",
        message: expect.stringContaining(message),
        next: expect.stringContaining(start),
      })
      await expect(findServer({ platform }, never, host)).rejects.toMatchObject(refusal("does not run"))
      rpcbind.programs.set(PROGRAMS.nfs, 2049)
      await expect(findServer({ platform }, never, host)).rejects.toMatchObject(refusal("no mountd"))
      rpcbind.programs.set(PROGRAMS.mount, 33_333)
      expect(await findServer({ platform }, never, host)).toEqual({ nfs: 2049, mount: 33_333 })
      const { port } = rpcbind
      await rpcbind[Symbol.asyncDispose]()
      await expect(findServer({ platform }, never, { rpcbind: port })).rejects.toMatchObject({
        code: "unreachable",
        message: expect.stringContaining("ECONNREFUSED"),
        next: expect.stringContaining(platform === "linux" ? "rpcbind" : "nfsd enable"),
      })
      rpcbind = await playRpcbind()
    },
  )
})

describe("checkHost() on Linux", () => {
  const system = (installed: boolean): ExportsSystem => ({
    platform: "linux",
    etc: "/etc",
    run: async (file, args) => {
      expect([file, ...args]).toEqual(["exportfs", "-h"])
      if (installed) throw new SidecarError("unsupported", "exportfs: usage")
      throw new SidecarError("host-program-missing", "Cannot export anything: exportfs is not installed", {
        next: "apt-get install nfs-kernel-server",
      })
    },
    deviceOf: () => undefined,
  })
  const host = (): ServerHost => ({ root: directory.path, release: "6.1.0-31-amd64" })

  it("names the kernel that has no server, and what to do without", async () => {
    write("proc/filesystems", "nodev\tsysfs\n\text4\nnodev\tnfsd4\n")
    write("lib/modules/6.1.0-31-amd64/modules.dep", "kernel/fs/nfs/nfs.ko: kernel/fs/lockd/lockd.ko\n")
    await expect(checkHost(system(true), host())).rejects.toMatchObject({
      code: "unsupported",
      message: "Cannot export anything: the kernel of this host (6.1.0-31-amd64) has no NFS server",
      next: expect.stringContaining("--share-protocol nfs"),
    })
  })

  it.each([
    ["is in use", "proc/filesystems", "nodev\tnfsd\n"],
    ["is built in", "lib/modules/6.1.0-31-amd64/modules.builtin", "kernel/fs/nfsd/nfsd.ko\n"],
    ["can be loaded", "lib/modules/6.1.0-31-amd64/modules.dep", "kernel/fs/nfsd/nfsd.ko.xz: kernel/a.ko\n"],
  ])("takes one whose server %s", async (_, path, text) => {
    write(path, text)
    await checkHost(system(true), host())
    await expect(checkHost(system(false), host())).rejects.toMatchObject({
      code: "host-program-missing",
      next: "apt-get install nfs-kernel-server",
    })
  })
})

describe("checkHost() on macOS", () => {
  const system = (): ExportsSystem => ({
    platform: "macos",
    etc: directory.path,
    // As nfsd(8) says it where it is off; it exits with 1 then.
    run: async () => {
      throw new SidecarError(
        "unsupported",
        'Cannot run "nfsd status": nfsd service is enabled\nnfsd is not running',
      )
    },
    deviceOf: () => undefined,
  })

  it("wants mounts from high ports to be let in, as nfs.conf(5) says last", async () => {
    const refusal = {
      code: "unsupported",
      next: expect.stringMatching(/require_resv_port = 0.*nfsd restart/),
    }
    await expect(checkHost(system())).rejects.toMatchObject(refusal)
    write("nfs.conf", "# nfs.server.mount.require_resv_port = 0\n")
    await expect(checkHost(system())).rejects.toMatchObject(refusal)
    write(
      "nfs.conf",
      "#\n# nfs.conf: the NFS configuration file\n#\nnfs.server.mount.require_resv_port = 0\n",
    )
    await checkHost(system())
    write("nfs.conf", "nfs.server.mount.require_resv_port=0\nnfs.server.mount.require_resv_port=1\n")
    await expect(checkHost(system())).rejects.toMatchObject(refusal)
  })
})
