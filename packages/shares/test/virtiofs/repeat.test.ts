/**
 * Requests that a process was killed with: a successor gives the answer that was owed, and nothing is done twice.
 *
 * @module
 */
import { DirectChannel, FuseClient } from "@skep/fuse/driver"
import { addressOf } from "@skep/loop/sys"
import { type Caller, type FileSystem, memoryFileSystem, newAttributes, newUsage } from "@skep/vfs"
import { describe, expect, it } from "vitest"
import { StateFile } from "../../src/virtiofs/index.ts"

const ROOT: Caller = { uid: 0, gid: 0, pid: 1 }
const RDWR_EXCL = 2 | 0o200
const O_APPEND = 0o2000
const SLOT = 1029
const name = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))

interface World {
  readonly client: FuseClient
  readonly fs: FileSystem
  readonly file: number
  readonly handle: number
}

/** A request, which returns its result and what belongs to it. */
type Ask = (world: World) => unknown

const attributes = newAttributes()

function write({ client, handle }: World): number {
  const bytes = new Uint8Array(new ArrayBuffer(5))
  bytes.set(name("hello"))
  const iovecs = BigUint64Array.of(BigInt(addressOf(bytes.buffer)), 5n)
  let result = -1
  const from = { address: addressOf(iovecs.buffer), count: 1, bytes: 5 }
  client.write(handle, 0, from, (moved) => {
    result = moved
  })
  return result
}

const REQUESTS: Readonly<Record<string, Ask>> = {
  MKDIR: ({ client }) => [client.makeDirectory(1, name("new"), 0o700, ROOT, attributes), attributes.mode],
  MKNOD: ({ client }) => client.makeNode(1, name("new"), { mode: 0o010600, rdev: 0 }, ROOT, attributes),
  SYMLINK: ({ client }) => [
    client.makeSymlink(1, name("new"), name("to"), ROOT, attributes),
    attributes.size,
  ],
  LINK: ({ client, file }) => [client.link(file, 1, name("new"), ROOT, attributes), attributes.links],
  UNLINK: ({ client }) => client.unlink(1, name("file"), ROOT),
  RMDIR: ({ client }) => client.removeDirectory(1, name("directory"), ROOT),
  RENAME2: ({ client }) =>
    client.rename({ parent: 1, name: name("file") }, { parent: 1, name: name("moved") }, 0, ROOT),
  REMOVEXATTR: ({ client, file }) => client.removeExtended(file, name("user.a")),
  SETXATTR: ({ client, file }) => client.setExtended(file, name("user.b"), name("v"), 1),
  CREATE: ({ client }) => {
    const how = { flags: RDWR_EXCL, mode: 0o600, opened: -1 }
    return client.create(1, name("new"), how, ROOT, attributes)
  },
  WRITE: write,
}

function world(fs: FileSystem, client: FuseClient): World {
  const how = { flags: 2 | O_APPEND, mode: 0o600, opened: -1 }
  const file = client.create(1, name("file"), how, ROOT, attributes)
  client.setExtended(file, name("user.a"), name("v"), 0)
  client.makeDirectory(1, name("directory"), 0o755, ROOT, attributes)
  return { client, fs, file, handle: how.opened }
}

/** What a tree is like afterwards: names, sizes, links, attributes. */
function shape({ fs, file, handle }: World): unknown {
  const open = fs.openDirectory(fs.root, ROOT)
  const names: string[] = []
  fs.readDirectory(
    open,
    0n,
    ({ name: each, type }) => names.push(`${Buffer.from(each).toString()} ${type}`) > 0,
  )
  fs.releaseDirectory(open)
  const known = fs.getAttributes(file, handle, ROOT, attributes)
  const list = new Uint8Array(100)
  const listed = fs.listExtended(file, list)
  const usage = newUsage()
  fs.usage(fs.root, usage)
  return [
    names.toSorted((a, b) => a.localeCompare(b)),
    known,
    attributes.size,
    attributes.links,
    list.slice(0, Math.max(listed, 0)),
    usage.freeFiles,
  ]
}

describe.each(Object.entries(REQUESTS))("%s", (_name, ask) => {
  const once = () => {
    using fs = memoryFileSystem()
    const client = new FuseClient({ channel: new DirectChannel({ fileSystem: fs }) })
    client.init()
    const there = world(fs, client)
    return { result: ask(there), shape: shape(there) }
  }

  it("that was done is answered again, and not done again", () => {
    using fs = memoryFileSystem()
    using memo = new StateFile({ queues: 2 })
    const { result, shape: wanted } = once()
    const first = new DirectChannel({ fileSystem: fs, memo })
    const client = new FuseClient({ channel: first })
    client.init()
    const there = world(fs, client)
    first.slot = SLOT
    expect(ask(there)).toEqual(result)
    // The successor knows what was agreed upon by the memo, and is asked the same.
    const channel = new DirectChannel({ fileSystem: fs, memo })
    const successor = new FuseClient({ channel })
    successor.unique = client.unique - 2
    Object.assign(channel, { slot: SLOT, again: true })
    expect(ask({ ...there, client: successor })).toEqual(result)
    expect(shape(there)).toEqual(wanted)
    expect(channel.session.counts()).toMatchObject({ repeats: 1 })
  })

  it("of which only the beginning was written down is done, whether it had been done or not", () => {
    for (const wasDone of [false, true]) {
      using fs = memoryFileSystem()
      using memo = new StateFile({ queues: 2 })
      const { result, shape: wanted } = once()
      const client = new FuseClient({ channel: new DirectChannel({ fileSystem: fs }) })
      client.init()
      const there = world(fs, client)
      memo.setNegotiated({ minor: 38, flags: 0, flags2: 0, maxWrite: 1 << 20 })
      const appends = _name === "WRITE" && wasDone
      if (wasDone) ask(there)
      const channel = new DirectChannel({ fileSystem: fs, memo })
      const successor = new FuseClient({ channel })
      successor.unique = 100
      memo.begin(SLOT, 102, 0)
      Object.assign(channel, { slot: SLOT, again: true })
      const outcome = ask({ ...there, client: successor })
      // One limit: what a write added to the end cannot be told from what was there. And an attribute that must be new is not.
      if (_name === "SETXATTR" && wasDone) expect(outcome).toBe(-17)
      else expect(outcome).toEqual(result)
      if (!appends) expect(shape(there)).toEqual(wanted)
    }
  })

  it("that is another guest's is done, whatever was written down", () => {
    using fs = memoryFileSystem()
    using memo = new StateFile({ queues: 2 })
    memo.begin(SLOT, 1, 0)
    memo.end(SLOT, -5, 99, 99)
    const channel = new DirectChannel({ fileSystem: fs, memo })
    const client = new FuseClient({ channel })
    client.init()
    const there = world(fs, client)
    Object.assign(channel, { slot: SLOT, again: true })
    expect(ask(there)).toEqual(once().result)
  })
})
