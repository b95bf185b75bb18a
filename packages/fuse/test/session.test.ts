/**
 * What a session agrees upon, keeps and refuses.
 *
 * @module
 */
import { EAGAIN, EEXIST, EINTR, EINVAL, EIO, ENOENT, ENOSYS, EPROTO } from "@skep/loop/sys"
import { type FileSystem, memoryFileSystem, newAttributes } from "@skep/vfs"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { DirectChannel, FuseClient } from "../src/driver/index.ts"
import { CACHED, CONSISTENT, DELEGATED, type FuseSessionOptions, type Policy } from "../src/index.ts"
import { parseEntryHead } from "../src/protocol/attributes.ts"
import * as c from "../src/protocol/constants.ts"
import { emitInHeader, IN_HEADER, newInHeader, OUT_HEADER, parseOutHeader } from "../src/protocol/header.ts"
import { parseOpenOut } from "../src/protocol/open.ts"
import { putU32, u32 } from "../src/protocol/words.ts"

const CALLER = { uid: 0, gid: 0, pid: 1 }
const LAST = Number.MAX_SAFE_INTEGER
const name = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))

let memory: FileSystem
beforeEach(() => {
  memory = memoryFileSystem()
})
afterEach(() => memory[Symbol.dispose]())

function open(options: Partial<FuseSessionOptions> = {}) {
  const channel = new DirectChannel({ fileSystem: memory, ...options })
  return { channel, client: new FuseClient({ channel }), session: channel.session }
}

/** Sends bytes as they are. Returns the error of the answer, or what follows its header; undefined where there is none. */
function raw(channel: DirectChannel, opcode: number, args: Uint8Array, room = { writable: 4096 }) {
  const end = IN_HEADER + args.length
  const header = { ...newInHeader(), length: end, opcode, uniqueLow: 8, node: 1 }
  emitInHeader(header, channel.request.u32, 0)
  channel.request.bytes.set(args, IN_HEADER)
  let result: number | Uint8Array | undefined
  channel.send(end, room, (answer, total) => {
    if (total === 0) return
    const out = parseOutHeader(answer.u32, 0, total)
    if (typeof out === "string") throw new Error(out)
    result = out.error < 0 ? out.error : answer.bytes.slice(OUT_HEADER, total)
  })
  return result
}

describe("INIT", () => {
  it("agrees upon what both can do", () => {
    const { client } = open()
    expect(client.init()).toMatchObject({ major: 7, minor: 38, maxWrite: 1 << 20, maxPages: 256 })
    const flags = (options: Partial<FuseSessionOptions>, offered = 0x7fff_ffff): number => {
      const answer = open(options).client.init({ flags: offered })
      return typeof answer === "number" ? answer : answer.flags
    }
    const lacks = c.POSIX_LOCKS | c.FLOCK_LOCKS | c.WRITEBACK_CACHE | c.DONT_MASK
    expect(flags({}) & lacks).toBe(0)
    expect(flags({ locks: "host" }) & lacks).toBe(c.POSIX_LOCKS | c.FLOCK_LOCKS)
    expect(flags({ writeback: true }) & lacks).toBe(c.WRITEBACK_CACHE)
    expect(flags({}, c.ASYNC_READ)).toBe(c.ASYNC_READ)
    expect(open().client.init({ flags: 0, minor: 33 })).toMatchObject({ minor: 33, maxWrite: 128 * 1024 })
  })

  it("refuses a version before virtiofs, and asks one from the future to begin again", () => {
    expect(open().client.init({ minor: 30 })).toBe(-EPROTO)
    expect(open().client.init({ major: 6 })).toBe(-EPROTO)
    const { client, session } = open()
    expect(client.init({ major: 8, minor: 1 })).toMatchObject({ major: 7 })
    expect(session.agreed).toBe(false)
    client.init()
    expect(session.agreed).toBe(true)
  })

  it("comes before all else, and a second one gives back what the last guest had open", () => {
    let begun = 0
    const { client, session } = open({ onInit: () => begun++ })
    expect(client.lookup(1, name("a"), CALLER, newAttributes())).toBe(-EIO)
    client.init()
    const how = { flags: c.O_RDWR, mode: 0o600, opened: -1 }
    client.create(1, name("a"), how, CALLER, newAttributes())
    client.openDirectory(1, CALLER)
    expect(session.counts()).toMatchObject({ openFiles: 1, openDirectories: 1, "malformed-not-begun": 1 })
    client.init()
    expect(session.counts()).toMatchObject({ openFiles: 0, openDirectories: 0 })
    expect(begun).toBe(2)
    expect(memory.getAttributes(memory.root, how.opened, CALLER, newAttributes())).toBeLessThan(0)
  })
})

describe("a policy", () => {
  const openWith = (policy: Policy) => {
    const opened = open({ policyOf: () => policy })
    opened.client.init()
    return opened
  }
  const lookup = (channel: DirectChannel, text: string) => {
    const answer = raw(channel, c.LOOKUP, name(`${text}\0`))
    if (!(answer instanceof Uint8Array)) return answer
    return parseEntryHead(new Uint32Array(answer.slice().buffer), 0)
  }
  const openFlags = (channel: DirectChannel, opcode: number, node: number): number => {
    putU32(channel.request.u32, 0, 0)
    const end = IN_HEADER + 8
    emitInHeader({ ...newInHeader(), length: end, opcode, node }, channel.request.u32, 0)
    channel.request.bytes.fill(0, IN_HEADER, end)
    let flags = -1
    channel.send(end, { writable: 32 }, (answer) => {
      flags = parseOpenOut(answer.u32, OUT_HEADER).openFlags
    })
    return flags
  }

  it("says how long names and attributes are valid, also of names that are not there", () => {
    for (const policy of [CONSISTENT, CACHED, DELEGATED]) {
      const { channel, client } = openWith(policy)
      client.makeDirectory(1, name("d"), 0o755, CALLER, newAttributes())
      expect(lookup(channel, "d")).toMatchObject({ entryMs: policy.entryMs, attributeMs: policy.attributeMs })
      const none = lookup(channel, "none")
      if (policy.negativeMs === 0) expect(none).toBe(-ENOENT)
      else expect(none).toEqual({ node: 0, entryMs: policy.negativeMs, attributeMs: 0 })
    }
  })

  it("says what stays in the guest's memory when a file is opened", () => {
    const node = (client: FuseClient): number => {
      const how = { flags: c.O_RDWR, mode: 0o600, opened: -1 }
      return client.create(1, name("a"), how, CALLER, newAttributes())
    }
    const cases: [Policy, number, number][] = [
      [CONSISTENT, 0, 0],
      [CACHED, c.FOPEN_KEEP_CACHE, 0],
      [DELEGATED, c.FOPEN_KEEP_CACHE, c.FOPEN_CACHE_DIR | c.FOPEN_KEEP_CACHE],
      [{ ...DELEGATED, direct: true }, c.FOPEN_DIRECT_IO | c.FOPEN_PARALLEL_DIRECT_WRITES, 0],
    ]
    for (const [policy, ofFile, ofDirectory] of cases) {
      const { channel, client } = openWith(policy)
      expect(openFlags(channel, c.OPEN, node(client))).toBe(ofFile)
      expect(openFlags(channel, c.OPENDIR, 1)).toBe(ofDirectory)
    }
  })
})

describe("privileges", () => {
  it("are lost by a write that says so", () => {
    const { channel, client } = open()
    client.init()
    const into = newAttributes()
    const how = { flags: c.O_RDWR, mode: 0o600, opened: -1 }
    const node = client.create(1, name("a"), how, CALLER, into)
    const set = (): number => client.setAttributes(node, -1, { mode: 0o6755 }, CALLER, into)
    const mode = (): number => {
      client.getAttributes(node, -1, CALLER, into)
      return into.mode & 0o7777
    }
    set()
    expect(mode()).toBe(0o6755)
    // WRITE of nothing, with WRITE_KILL_SUIDGID.
    const args = new Uint8Array(40)
    new DataView(args.buffer).setBigUint64(0, BigInt(how.opened), true)
    args[20] = c.WRITE_KILL_SUIDGID
    const write = (): void => {
      const end = IN_HEADER + 40
      emitInHeader({ ...newInHeader(), length: end, opcode: c.WRITE, node }, channel.request.u32, 0)
      channel.request.bytes.set(args, IN_HEADER)
      channel.send(end, { writable: 24, data: { address: 0, count: 0, bytes: 0 } }, (answer) => {
        expect(u32(answer.u32, 4)).toBe(0)
      })
    }
    write()
    expect(mode()).toBe(0o755)
    // S_ISGID without the group's execution marks locking and stays.
    client.setAttributes(node, -1, { mode: 0o2644 }, CALLER, into)
    write()
    expect(mode()).toBe(0o2644)
  })
})

describe("locks of the host", () => {
  it("are waited for, and interrupted", () => {
    const { client, session, channel } = open({ locks: "host" })
    client.init()
    const how = { flags: c.O_RDWR, mode: 0o600, opened: -1 }
    client.create(1, name("a"), how, CALLER, newAttributes())
    const other = { ...how }
    client.create(1, name("a"), other, CALLER, newAttributes())
    const whole = { start: 0, end: LAST, pid: 1 }
    expect(client.setLock(how.opened, 1n, { type: "write", ...whole })).toBe(0)
    expect(client.setLock(other.opened, 2n, { type: "write", ...whole })).toBe(-EAGAIN)
    const ends: number[] = []
    const wait = (): number =>
      client.waitForLock(other.opened, 2n, { type: "write", ...whole }, (result) => ends.push(result))
    wait()
    const second = wait()
    expect([session.waiting, channel.pending]).toEqual([2, 2])
    client.interrupt(second)
    client.interrupt(second)
    expect(ends).toEqual([-EINTR])
    session.retryLocks()
    expect(session.waiting).toBe(1)
    client.setLock(how.opened, 1n, { type: "none", ...whole })
    session.retryLocks()
    expect(ends).toEqual([-EINTR, 0])
    expect([session.waiting, channel.pending]).toEqual([0, 0])
  })

  it("are the guest's own unless told, which asks no more", () => {
    const { client } = open()
    client.init()
    expect(client.setLock(1, 1n, { type: "read", start: 0, end: 1, pid: 1 })).toBe(-ENOSYS)
  })
})

describe("malformed requests", () => {
  it.each([
    ["a name without NUL", c.LOOKUP, name("ab"), -EINVAL, "name-unterminated"],
    ["an empty name", c.LOOKUP, name("\0\0"), -EINVAL, "name-empty"],
    [
      "one name of two",
      c.RENAME2,
      new Uint8Array([...new Uint8Array(16), 97, 0, 98, 98]),
      -EINVAL,
      "name-unterminated",
    ],
    ["no arguments", c.OPEN, new Uint8Array(4), -EINVAL, "arguments-truncated"],
    ["an offset beyond all files", c.LSEEK, new Uint8Array(24).fill(0xff), -EINVAL, "number-too-large"],
    [
      "a value shorter than it says",
      c.SETXATTR,
      new Uint8Array([9, 0, 0, 0, 0, 0, 0, 0, 97, 0, 1]),
      -EINVAL,
      "count",
    ],
    [
      "more to forget than there is",
      c.BATCH_FORGET,
      new Uint8Array([9, 0, 0, 0, 0, 0, 0, 0]),
      undefined,
      "count",
    ],
    ["data that is not there", c.WRITE, new Uint8Array(40).fill(1, 16, 17), -EINVAL, "data-missing"],
  ])("%s", (_what, opcode, args, answer, reason) => {
    const { channel, client, session } = open()
    client.init()
    const silent = opcode === c.BATCH_FORGET
    expect(raw(channel, opcode, args, { writable: silent ? 0 : 4096 })).toBe(answer)
    expect(session.counts()).toMatchObject({ [`malformed-${reason}`]: 1 })
  })

  it("a size beyond all files is EFBIG, and nobody's mistake", () => {
    const { channel, client, session } = open()
    client.init()
    const args = new Uint8Array(88)
    args[0] = 8
    args.fill(0xff, 16, 23)
    expect(raw(channel, c.SETATTR, args)).toBe(-27)
    expect(session.counts()["malformed-number-too-large"] ?? 0).toBe(0)
  })

  it("an opcode that nobody knows is ENOSYS, and so is what is not done here", () => {
    const { channel, client } = open()
    client.init()
    for (const opcode of [0, 7, 52, 4096, 0xffff_ffff, c.ACCESS, c.IOCTL, c.TMPFILE, c.SYNCFS, c.POLL])
      expect(raw(channel, opcode, new Uint8Array(64))).toBe(-ENOSYS)
  })

  it("are those for extended attributes, where the guest is to have none: ENOSYS, after which it asks no more", () => {
    const { channel, client, session } = open({ xattrs: false })
    client.init()
    for (const opcode of [c.SETXATTR, c.GETXATTR, c.LISTXATTR, c.REMOVEXATTR])
      expect(raw(channel, opcode, new Uint8Array(64))).toBe(-ENOSYS)
    expect(session.counts()).toMatchObject({ unknown: 4 })
  })

  it("without room for an answer there is none, and with too little an error", () => {
    const { channel, client, session } = open()
    client.init()
    expect(raw(channel, c.STATFS, new Uint8Array(0), { writable: 8 })).toBeUndefined()
    expect(raw(channel, c.STATFS, new Uint8Array(0), { writable: 40 })).toBe(-EIO)
    expect(session.counts()).toMatchObject({ "malformed-no-room": 2 })
  })

  it("a name that is too long for any file is answered by its name", () => {
    const { channel, client } = open()
    client.init()
    expect(raw(channel, c.LOOKUP, new Uint8Array([...new Uint8Array(256).fill(97), 0]))).toBe(-36)
    expect(raw(channel, c.MKDIR, new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 46, 46, 0]))).toSatisfy(
      (result) => result === -EEXIST || result === -EINVAL,
    )
  })
})
