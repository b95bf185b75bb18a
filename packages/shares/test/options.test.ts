import { silentLog } from "@skep/runtime"
import { describe, expect, it } from "vitest"
import { openGuest } from "../src/guest-way.ts"
import { ownSockets, parseSharesOptions } from "../src/options.ts"

const EXPORTS = {
  socket: "/r/nfs",
  mountSocket: "/r/mount",
  from: "127.64.0.1",
  port: 2049,
  mountPort: 20_048,
}
const good = { machine: "m", socket: "/r/s.sock", stateDirectory: "/r/s" }

describe("parseSharesOptions()", () => {
  it("fills in what is not said", () => {
    expect(parseSharesOptions({ ...good, shares: [{ path: "/home/me" }] })).toMatchObject({
      protocol: "auto",
      xattrs: false,
      tag: "skep",
      hidden: [],
      lonelyMs: 0,
      shares: [
        { path: "/home/me", target: "/home/me", readOnly: false, cache: "consistent", ownership: "virtual" },
      ],
    })
  })

  it.each([
    [{ machine: "a b" }, `Cannot use "machine" of the shares: it is 'a b'`],
    [{ socket: "s" }, `Cannot use "socket" of the shares: it is 's': must be an absolute path`],
    [{ protocol: "smb" }, `Cannot use "protocol" of the shares`],
    [{ protocol: "nfs" }, `NFS needs to be told where to listen`],
    [
      { protocol: "nfs", nfs: { port: 0 }, guest: { connect: "/c", cid: 3, port: 1027 } },
      `the guest needs to be told where NFS is`,
    ],
    [{ protocol: "exports" }, `the way to the host's server is missing`],
    [{ protocol: "exports", exports: EXPORTS }, `the way to the host's server is missing`],
    [{ exports: { ...EXPORTS, from: "::1" } }, `Cannot use "exports.from" of the shares: it is '::1'`],
    [{ guest: { connect: "/c", cid: 2 } }, `Cannot use "guest.cid" of the shares: it is 2`],
    [{ shares: [{ path: "/a/../b" }] }, `must be written without ".."`],
    [{ shares: [{ path: "/a/" }] }, `must be written without`],
    [{ shares: [{ path: "/a", target: "b" }] }, `"target" of the share`],
    [{ shares: [{ path: "/a", more: 1 }] }, `the share`],
    [{ more: 1 }, `more`],
  ])("names field and value of %j", (change, message) => {
    const parse = (): unknown => parseSharesOptions({ ...good, ...change })
    expect(parse).toThrow(message)
    expect(parse).toThrow(expect.objectContaining({ code: "bad-options" }))
  })

  it("refuses sockets that not every kernel takes", () => {
    const socket = `/${"x".repeat(120)}`
    const tooLong = expect.objectContaining({ code: "path-too-long" })
    expect(() => parseSharesOptions({ ...good, socket })).toThrow(tooLong)
    expect(() => parseSharesOptions({ ...good, nfs: { socket } })).toThrow(tooLong)
    expect(ownSockets(parseSharesOptions({ ...good, nfs: { socket: "/r/nfs.sock" } }))).toEqual([
      "/r/s.sock",
      "/r/nfs.sock",
    ])
    const exported = { exports: EXPORTS, nfsAddress: "10.0.0.1", protocol: "exports" }
    expect(ownSockets(parseSharesOptions({ ...good, ...exported }))).toEqual([
      "/r/s.sock",
      "/r/nfs",
      "/r/mount",
    ])
  })
})

describe("openGuest()", () => {
  const guest = { connect: "/nowhere/connect", cid: 3, port: 1027 }
  const choiceOf = async (more: object, nfs: string | number | undefined) => {
    const options = parseSharesOptions({ ...good, guest, ...more })
    const context = { log: silentLog, emit: () => undefined }
    const way = { options, context, nfs, onGuest: () => undefined, onEchoed: () => undefined }
    const opened = openGuest(way)
    await opened?.side[Symbol.asyncDispose]()
    return opened?.side.choice
  }

  it("tries what is best first, or what was asked for", async () => {
    expect(await choiceOf({}, undefined)).toMatchObject({ protocol: "virtiofs" })
    const nfs = { nfs: { socket: "/r/nfs.sock" }, nfsAddress: "10.0.0.1", nfsPort: 2049 }
    expect(await choiceOf(nfs, "/r/nfs.sock")).toMatchObject({ protocol: "virtiofs" })
    expect(await choiceOf({ ...nfs, protocol: "nfs" }, "/r/nfs.sock")).toEqual({
      protocol: "nfs",
      reason: "it was asked for",
    })
    const exported = { exports: EXPORTS, nfsAddress: "10.0.0.1", protocol: "exports" }
    expect(await choiceOf(exported, undefined)).toEqual({ protocol: "exports", reason: "it was asked for" })
  })

  it("does nothing where no way was told", () => {
    const options = parseSharesOptions(good)
    const context = { log: silentLog, emit: () => undefined }
    const way = { options, context, nfs: undefined, onGuest: () => undefined, onEchoed: () => undefined }
    expect(openGuest(way)).toBeUndefined()
  })
})
