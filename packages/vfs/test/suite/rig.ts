/**
 * A file system with calls that read like a sentence: results as numbers or the names of errors, data as bytes, names as text of one byte a character.
 *
 * @module
 */
import { addressOf, errnoName } from "@skep/loop/sys"
import {
  type Attributes,
  type Caller,
  type Changes,
  type FileSystem,
  type Handle,
  type Lock,
  type NodeId,
  newAttributes,
  newUsage,
  type Pieces,
  type Usage,
} from "../../src/index.ts"

/** Zero or more, or the name of an error. */
export type Answer = number | string

export interface Shown {
  readonly name: string
  readonly cookie: bigint
  readonly type: number
  readonly ino: bigint
}

export const O_RDONLY = 0
export const O_WRONLY = 1
export const O_RDWR = 2
export const O_EXCL = 0o200
export const O_TRUNC = 0o1000
export const O_APPEND = 0o2000

export const DT_FIFO = 1
export const DT_DIR = 4
export const DT_REG = 8
export const DT_LNK = 10
export const DT_SOCK = 12

export const S_IFMT = 0o170000
export const S_IFIFO = 0o010000
export const S_IFDIR = 0o040000
export const S_IFREG = 0o100000
export const S_IFLNK = 0o120000
export const S_IFSOCK = 0o140000

export const LAST = Number.MAX_SAFE_INTEGER

/** One character a byte. */
export function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "latin1"))
}

export function text(of: Uint8Array): string {
  return Buffer.from(of).toString("latin1")
}

function answer(result: number): Answer {
  return result < 0 ? errnoName(result) : result
}

/** Bytes in memory that does not move, cut into pieces of `step`, with the array of iovecs that names them. */
export class Buffers {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly pieces: Pieces
  // Kept, because the pieces point into it.
  readonly iovecs: BigUint64Array<ArrayBuffer>

  constructor(content: Uint8Array | number, step: number = 2 ** 30) {
    const length = typeof content === "number" ? content : content.length
    const buffer = new ArrayBuffer(Math.max(length, 1))
    this.bytes = new Uint8Array(buffer, 0, length)
    if (typeof content !== "number") this.bytes.set(content)
    const count = length === 0 ? 0 : Math.ceil(length / step)
    this.iovecs = new BigUint64Array(Math.max(count, 1) * 2)
    const address = addressOf(buffer)
    for (let index = 0; index < count; index++) {
      const at = index * step
      this.iovecs[index * 2] = BigInt(address + at)
      this.iovecs[index * 2 + 1] = BigInt(Math.min(step, length - at))
    }
    this.pieces = { address: addressOf(this.iovecs.buffer), count, bytes: length }
  }
}

export class Rig {
  readonly fs: FileSystem
  readonly caller: Caller
  readonly root: NodeId

  constructor(fs: FileSystem, caller: Caller = { uid: 0, gid: 0, pid: 1 }) {
    this.fs = fs
    this.caller = caller
    this.root = fs.root
  }

  /** The same file system asked by somebody else. */
  as(uid: number, gid: number = uid): Rig {
    return new Rig(this.fs, { uid, gid, pid: 1 })
  }

  lookup(name: string | Uint8Array, parent: NodeId = this.root): Answer {
    return answer(this.fs.lookup(parent, raw(name), this.caller, newAttributes()))
  }

  /** The node of a path below the root; throws where there is none. */
  walk(path: string): NodeId {
    let node = this.root
    for (const name of path.split("/").filter((part) => part !== "")) node = sure(this.lookup(name, node))
    return node
  }

  stat(node: NodeId, handle: Handle = -1): Attributes {
    const into = newAttributes()
    sure(answer(this.fs.getAttributes(node, handle, this.caller, into)))
    return into
  }

  tryStat(node: NodeId, handle: Handle = -1): Answer {
    return answer(this.fs.getAttributes(node, handle, this.caller, newAttributes()))
  }

  change(node: NodeId, changes: Changes, handle: Handle = -1): Answer {
    return answer(this.fs.setAttributes(node, handle, changes, this.caller, newAttributes()))
  }

  mkdir(name: string | Uint8Array, parent: NodeId = this.root, mode = 0o755): Answer {
    return answer(this.fs.makeDirectory(parent, raw(name), mode, this.caller, newAttributes()))
  }

  mknod(name: string | Uint8Array, mode: number, parent: NodeId = this.root): Answer {
    return answer(this.fs.makeNode(parent, raw(name), { mode, rdev: 0 }, this.caller, newAttributes()))
  }

  symlink(name: string | Uint8Array, target: string, parent: NodeId = this.root): Answer {
    return answer(this.fs.makeSymlink(parent, raw(name), bytes(target), this.caller, newAttributes()))
  }

  link(node: NodeId, name: string | Uint8Array, parent: NodeId = this.root): Answer {
    return answer(this.fs.link(node, parent, raw(name), this.caller, newAttributes()))
  }

  unlink(name: string | Uint8Array, parent: NodeId = this.root): Answer {
    return answer(this.fs.unlink(parent, raw(name), this.caller))
  }

  rmdir(name: string | Uint8Array, parent: NodeId = this.root): Answer {
    return answer(this.fs.removeDirectory(parent, raw(name), this.caller))
  }

  rename(
    from: string,
    to: string,
    flags = 0,
    parents: readonly [NodeId, NodeId] = [this.root, this.root],
  ): Answer {
    const [source, target] = parents
    const fromPlace = { parent: source, name: bytes(from) }
    return answer(this.fs.rename(fromPlace, { parent: target, name: bytes(to) }, flags, this.caller))
  }

  readLink(node: NodeId, room = 4096): string {
    const into = new Uint8Array(room)
    const result = this.fs.readLink(node, into)
    return result < 0 ? errnoName(result) : text(into.subarray(0, result))
  }

  open(node: NodeId, flags = O_RDWR): Answer {
    return answer(this.fs.open(node, flags, this.caller))
  }

  create(
    name: string | Uint8Array,
    parent: NodeId = this.root,
    { flags = O_RDWR, mode = 0o644 }: { readonly flags?: number; readonly mode?: number } = {},
  ): { readonly answer: Answer; readonly node: NodeId; readonly handle: Handle } {
    const how = { flags, mode, opened: -1 }
    const result = this.fs.create(parent, raw(name), how, this.caller, newAttributes())
    return { answer: answer(result), node: result, handle: how.opened }
  }

  /** Makes a file with bytes in it; returns its node. */
  async file(name: string | Uint8Array, parent: NodeId = this.root, content = ""): Promise<NodeId> {
    const made = this.create(name, parent)
    const node = sure(made.answer)
    if (content !== "") sure(await this.write(made.handle, 0, bytes(content)))
    this.fs.release(made.handle)
    return node
  }

  async read(handle: Handle, offset: number, length: number, step?: number): Promise<Uint8Array | string> {
    const buffers = new Buffers(length, step)
    const result = await this.done((done) => this.fs.read(handle, offset, buffers.pieces, done))
    return typeof result === "string" ? result : buffers.bytes.slice(0, result)
  }

  async readText(handle: Handle, offset: number, length: number): Promise<string> {
    const result = await this.read(handle, offset, length)
    return typeof result === "string" ? result : text(result)
  }

  /** All bytes of a file by its node. */
  async content(node: NodeId): Promise<string> {
    const handle = sure(this.open(node, O_RDONLY))
    const result = await this.readText(handle, 0, this.stat(node, handle).size)
    this.fs.release(handle)
    return result
  }

  async write(handle: Handle, offset: number, content: Uint8Array | string, step?: number): Promise<Answer> {
    const buffers = new Buffers(typeof content === "string" ? bytes(content) : content, step)
    const result = await this.done((done) => this.fs.write(handle, offset, buffers.pieces, done))
    // Reached only after the operation: until then the memory is its own.
    return buffers.bytes.length >= 0 ? result : 0
  }

  sync(handle: Handle, dataOnly = false): Promise<Answer> {
    return this.done((done) => this.fs.sync(handle, dataOnly, done))
  }

  allocate(handle: Handle, mode: number, offset: number, length: number): Promise<Answer> {
    return this.done((done) => this.fs.allocate(handle, mode, offset, length, done))
  }

  copy(from: readonly [Handle, number], to: readonly [Handle, number], length: number): Promise<Answer> {
    return this.done((done) => this.fs.copy(from[0], from[1], to[0], to[1], length, done))
  }

  seek(handle: Handle, offset: number, whence: number): Answer {
    return answer(this.fs.seek(handle, offset, whence))
  }

  openDirectory(node: NodeId = this.root): Answer {
    return answer(this.fs.openDirectory(node, this.caller))
  }

  /** At most `limit` entries behind a cookie. */
  entries(handle: Handle, cookie = 0n, limit = Infinity): Shown[] {
    const shown: Shown[] = []
    const result = this.fs.readDirectory(handle, cookie, (entry) => {
      if (shown.length >= limit) return false
      const ino = (BigInt(entry.inoHigh) << 32n) | BigInt(entry.inoLow)
      shown.push({ name: text(entry.name), cookie: entry.cookie, type: entry.type, ino })
      return true
    })
    if (result !== 0) throw new Error(`Cannot read a directory: ${errnoName(result)}`)
    return shown
  }

  /** The names in a directory in order, without `.` and `..`. */
  names(node: NodeId = this.root): string[] {
    const handle = sure(this.openDirectory(node))
    const shown = this.entries(handle).map(({ name }) => name)
    this.fs.releaseDirectory(handle)
    return shown.filter((name) => name !== "." && name !== "..").toSorted()
  }

  getExtended(node: NodeId, name: string, room = 256): string {
    const into = new Uint8Array(room)
    const result = this.fs.getExtended(node, bytes(name), into)
    return result < 0 ? errnoName(result) : text(into.subarray(0, result))
  }

  setExtended(node: NodeId, name: string, value: string, flags = 0): Answer {
    return answer(this.fs.setExtended(node, bytes(name), bytes(value), flags))
  }

  /** Names of the `user` namespace in order, or the name of an error. */
  listExtended(node: NodeId, room = 4096): string[] | string {
    const into = new Uint8Array(room)
    const result = this.fs.listExtended(node, into)
    if (result < 0) return errnoName(result)
    const names = text(into.subarray(0, result)).split("\0")
    return names.filter((name) => name.startsWith("user.")).toSorted()
  }

  removeExtended(node: NodeId, name: string): Answer {
    return answer(this.fs.removeExtended(node, bytes(name)))
  }

  lock(
    handle: Handle,
    owner: bigint,
    type: Lock["type"],
    range: readonly [number, number] = [0, LAST],
  ): Answer {
    return answer(
      this.fs.setLock(handle, owner, { type, start: range[0], end: range[1], pid: Number(owner) }),
    )
  }

  /** What is in the way of a lock: "none", or like "write 0-99". */
  testLock(
    handle: Handle,
    owner: bigint,
    type: "read" | "write",
    range: readonly [number, number] = [0, LAST],
  ): string {
    const lock: Lock = { type, start: range[0], end: range[1], pid: Number(owner) }
    const result = this.fs.getLock(handle, owner, lock)
    if (result < 0) return errnoName(result)
    return lock.type === "none"
      ? "none"
      : `${lock.type} ${lock.start}-${lock.end === LAST ? "end" : lock.end}`
  }

  durable(node: NodeId): Uint8Array {
    const into = new Uint8Array(52)
    return into.subarray(0, sure(answer(this.fs.durable(node, into))))
  }

  find(durable: Uint8Array): Answer {
    return answer(this.fs.find(durable))
  }

  usage(node: NodeId = this.root): Usage {
    const into = newUsage()
    sure(answer(this.fs.usage(node, into)))
    return into
  }

  done(start: (done: (result: number) => void) => void): Promise<Answer> {
    return new Promise((resolve) => start((result) => resolve(answer(result))))
  }
}

/** The number, where it is no error. */
export function sure(result: Answer): number {
  if (typeof result === "string") throw new Error(`Not expected: ${result}`)
  return result
}

function raw(name: string | Uint8Array): Uint8Array {
  return typeof name === "string" ? bytes(name) : name
}
