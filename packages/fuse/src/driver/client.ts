/**
 * The kernel's side of FUSE, as a file system again: each call is a request. For tests of a session with whatever tests file systems, and for loads
 * without a guest. Nothing is cached.
 *
 * @module
 */
import { EIO, ENOSYS } from "@skep/loop/sys"
import type {
  Attributes,
  Caller,
  Changes,
  DirectoryEntry,
  Done,
  FileSystem,
  Handle,
  HowToCreate,
  Lock,
  Name,
  NewNode,
  NodeId,
  Pieces,
  Place,
  Usage,
  Visit,
} from "@skep/vfs"
import {
  ATTR_OUT,
  ENTRY_ATTR,
  ENTRY_OUT,
  emitSetAttrIn,
  parseAttributes,
  parseEntryHead,
  parseStatfs,
  SETATTR_IN,
  STATFS_OUT,
} from "../protocol/attributes.ts"
import * as c from "../protocol/constants.ts"
import { entriesOf, parseDirent } from "../protocol/entries.ts"
import { emitInHeader, IN_HEADER, newInHeader, OUT_HEADER, parseOutHeader } from "../protocol/header.ts"
import {
  emitInitIn,
  INIT_IN_EXTENDED,
  INIT_OUT,
  type InitIn,
  type InitOut,
  parseInitOut,
} from "../protocol/init.ts"
import { emitName } from "../protocol/names.ts"
import * as files from "../protocol/open.ts"
import * as others from "../protocol/others.ts"
import { putBig64, putU32, putU64, u32, u64 } from "../protocol/words.ts"
import type { Channel, Room } from "./channel.ts"
import { newViews } from "./channel.ts"

const ATTRIBUTES = 16
const LIST = 4096
const PATH = 4096
const NOBODY: Caller = { uid: 0, gid: 0, pid: 0 }
const BODY = IN_HEADER

export interface FuseClientOptions {
  readonly channel: Channel
  /** Whether directories are read with READDIRPLUS. */
  readonly plus?: boolean
  /** Bytes asked for in one READDIR. */
  readonly listBytes?: number
}

export class FuseClient implements FileSystem {
  readonly root: NodeId = c.ROOT_ID
  readonly #channel: Channel
  readonly #plus: boolean
  readonly #listBytes: number
  readonly #header = newInHeader()
  /** The last answer's header and what followed it, but for what went by address. */
  readonly #answer = newViews(OUT_HEADER + 128 * 1024)
  readonly #bytes: Uint8Array
  readonly #words: Uint32Array
  /** The number of the last request. */
  unique = 0

  constructor({ channel, plus = false, listBytes = LIST }: FuseClientOptions) {
    this.#channel = channel
    this.#plus = plus
    this.#listBytes = listBytes
    this.#bytes = channel.request.bytes
    this.#words = channel.request.u32
  }

  /** The first request of all. Returns what was agreed upon, or `-errno`. */
  init(init: Partial<InitIn> = {}): InitOut | number {
    const whole = { major: c.MAJOR, minor: c.MINOR, maxReadahead: 131_072, flags: 0x7fff_ffff, flags2: 0 }
    emitInitIn({ ...whole, ...init }, this.#words, BODY)
    const result = this.#ask(c.INIT, 0, BODY + INIT_IN_EXTENDED, INIT_OUT)
    return result < 0 ? result : parseInitOut(this.#answer.u32, OUT_HEADER)
  }

  destroy(): number {
    return this.#ask(c.DESTROY, 0, BODY, 0)
  }

  lookup(parent: NodeId, name: Name, caller: Caller, into: Attributes): number {
    return this.#entry(c.LOOKUP, parent, emitName(name, this.#bytes, BODY), caller, into)
  }

  forget(node: NodeId, count: number): void {
    putU64(this.#words, BODY, count)
    this.#send(c.FORGET, node, BODY + others.FORGET_IN, { writable: 0 }, NOBODY, () => undefined)
  }

  /** Not in the protocol. */
  durable(): number {
    return -ENOSYS
  }

  /** Not in the protocol. */
  find(): number {
    return -ENOSYS
  }

  getAttributes(node: NodeId, handle: Handle, caller: Caller, into: Attributes): number {
    putU32(this.#words, BODY, handle < 0 ? 0 : c.GETATTR_FH)
    putU32(this.#words, BODY + 4, 0)
    putU64(this.#words, BODY + 8, Math.max(handle, 0))
    return this.#attributes(c.GETATTR, node, BODY + others.GETATTR_IN, caller, into)
  }

  setAttributes(node: NodeId, handle: Handle, changes: Changes, caller: Caller, into: Attributes): number {
    emitSetAttrIn({ valid: 0, handle, changes }, this.#words, BODY)
    return this.#attributes(c.SETATTR, node, BODY + SETATTR_IN, caller, into)
  }

  readLink(node: NodeId, into: Uint8Array): number {
    return this.#copied(this.#ask(c.READLINK, node, BODY, Math.min(into.length, PATH)), into)
  }

  makeNode(parent: NodeId, name: Name, { mode, rdev }: NewNode, caller: Caller, into: Attributes): number {
    this.#words.set([mode, rdev, 0, 0], BODY >>> 2)
    return this.#entry(c.MKNOD, parent, emitName(name, this.#bytes, BODY + others.MKNOD_IN), caller, into)
  }

  makeDirectory(parent: NodeId, name: Name, mode: number, caller: Caller, into: Attributes): number {
    this.#words.set([mode, 0], BODY >>> 2)
    return this.#entry(c.MKDIR, parent, emitName(name, this.#bytes, BODY + others.MKDIR_IN), caller, into)
  }

  makeSymlink(parent: NodeId, name: Name, target: Name, caller: Caller, into: Attributes): number {
    const end = emitName(target, this.#bytes, emitName(name, this.#bytes, BODY))
    return this.#entry(c.SYMLINK, parent, end, caller, into)
  }

  link(node: NodeId, parent: NodeId, name: Name, caller: Caller, into: Attributes): number {
    putU64(this.#words, BODY, node)
    return this.#entry(c.LINK, parent, emitName(name, this.#bytes, BODY + others.LINK_IN), caller, into)
  }

  unlink(parent: NodeId, name: Name, caller: Caller): number {
    return this.#ask(c.UNLINK, parent, emitName(name, this.#bytes, BODY), 0, caller)
  }

  removeDirectory(parent: NodeId, name: Name, caller: Caller): number {
    return this.#ask(c.RMDIR, parent, emitName(name, this.#bytes, BODY), 0, caller)
  }

  rename(from: Place, to: Place, flags: number, caller: Caller): number {
    others.emitRename2In({ newParent: to.parent, flags }, this.#words, BODY)
    const first = emitName(from.name, this.#bytes, BODY + others.RENAME2_IN)
    return this.#ask(c.RENAME2, from.parent, emitName(to.name, this.#bytes, first), 0, caller)
  }

  open(node: NodeId, flags: number, caller: Caller): number {
    return this.#opened(c.OPEN, node, flags, caller)
  }

  create(parent: NodeId, name: Name, how: HowToCreate, caller: Caller, into: Attributes): number {
    files.emitCreateIn({ flags: how.flags | c.O_CREAT, mode: how.mode, openFlags: 0 }, this.#words, BODY)
    const end = emitName(name, this.#bytes, BODY + files.CREATE_IN)
    const result = this.#ask(c.CREATE, parent, end, ENTRY_OUT + files.OPEN_OUT, caller)
    if (result < 0) return result
    how.opened = files.parseOpenOut(this.#answer.u32, OUT_HEADER + ENTRY_OUT).handle
    return this.#parsedEntry(into)
  }

  release(handle: Handle): void {
    files.emitReleaseIn({ handle, releaseFlags: 0 }, 0n, this.#words, BODY)
    this.#ask(c.RELEASE, 0, BODY + files.RELEASE_IN, 0)
  }

  read(handle: Handle, offset: number, into: Pieces, done: Done): void {
    files.emitReadIn({ handle, offset, size: into.bytes, how: 0 }, this.#words, BODY)
    const room = { writable: OUT_HEADER + into.bytes, target: into }
    this.#send(c.READ, 0, BODY + files.READ_IN, room, NOBODY, done)
  }

  write(handle: Handle, offset: number, from: Pieces, done: Done): void {
    files.emitReadIn({ handle, offset, size: from.bytes, how: 0 }, this.#words, BODY)
    const room = { writable: OUT_HEADER + files.WRITE_OUT, data: from }
    this.#moved(c.WRITE, BODY + files.READ_IN, room, done)
  }

  sync(handle: Handle, dataOnly: boolean, done: Done): void {
    files.emitFsyncIn({ handle, flags: dataOnly ? c.FSYNC_FDATASYNC : 0 }, this.#words, BODY)
    this.#send(c.FSYNC, 0, BODY + files.FSYNC_IN, { writable: OUT_HEADER }, NOBODY, done)
  }

  allocate(handle: Handle, mode: number, offset: number, length: number, done: Done): void {
    files.emitFallocateIn({ handle, mode, offset, length }, this.#words, BODY)
    this.#send(c.FALLOCATE, 0, BODY + files.FALLOCATE_IN, { writable: OUT_HEADER }, NOBODY, done)
  }

  seek(handle: Handle, offset: number, whence: number): number {
    files.emitLseekIn({ handle, offset, whence }, this.#words, BODY)
    const result = this.#ask(c.LSEEK, 0, BODY + files.LSEEK_IN, files.LSEEK_OUT)
    return result < 0 ? result : u64(this.#answer.u32, OUT_HEADER)
  }

  // oxlint-disable-next-line max-params -- the interface's
  copy(from: Handle, fromOffset: number, to: Handle, toOffset: number, length: number, done: Done): void {
    files.emitCopyIn({ from, fromOffset, toNode: 0, to, toOffset, length, flags: 0 }, this.#words, BODY)
    const room = { writable: OUT_HEADER + files.WRITE_OUT }
    this.#moved(c.COPY_FILE_RANGE, BODY + files.COPY_IN, room, done)
  }

  openDirectory(node: NodeId, caller: Caller): number {
    const handle = this.#opened(c.OPENDIR, node, 0, caller)
    if (handle >= 0) this.#directories.set(handle, node)
    return handle
  }

  /** The node of each open directory: READDIRPLUS looks names up in it. */
  readonly #directories = new Map<Handle, NodeId>()

  readDirectory(handle: Handle, cookie: bigint, visit: Visit): number {
    for (let next = cookie; ; ) {
      const entries = this.#list(handle, next)
      if (typeof entries === "number") return entries
      const [last] = entries.slice(-1)
      if (last === undefined) return 0
      for (const entry of entries) if (!visit(entry)) return 0
      next = last.cookie
    }
  }

  releaseDirectory(handle: Handle): void {
    this.#directories.delete(handle)
    files.emitReleaseIn({ handle, releaseFlags: 0 }, 0n, this.#words, BODY)
    this.#ask(c.RELEASEDIR, 0, BODY + files.RELEASE_IN, 0)
  }

  getExtended(node: NodeId, name: Name, into: Uint8Array): number {
    this.#words.set([into.length, 0], BODY >>> 2)
    const end = emitName(name, this.#bytes, BODY + others.GETXATTR_IN)
    return this.#sized(this.#ask(c.GETXATTR, node, end, roomOf(into)), into)
  }

  setExtended(node: NodeId, name: Name, value: Uint8Array, flags: number): number {
    this.#words.set([value.length, flags], BODY >>> 2)
    const at = emitName(name, this.#bytes, BODY + others.SETXATTR_IN)
    this.#bytes.set(value, at)
    return this.#ask(c.SETXATTR, node, at + value.length, 0)
  }

  listExtended(node: NodeId, into: Uint8Array): number {
    this.#words.set([into.length, 0], BODY >>> 2)
    const end = BODY + others.GETXATTR_IN
    return this.#sized(this.#ask(c.LISTXATTR, node, end, roomOf(into)), into)
  }

  removeExtended(node: NodeId, name: Name): number {
    return this.#ask(c.REMOVEXATTR, node, emitName(name, this.#bytes, BODY), 0)
  }

  getLock(handle: Handle, owner: bigint, lock: Lock): number {
    others.emitLockIn({ handle, owner, flags: 0, lock }, this.#words, BODY)
    const result = this.#ask(c.GETLK, 0, BODY + others.LOCK_IN, others.LOCK_OUT)
    if (result < 0) return result
    const found = others.parseLock(this.#answer.u32, OUT_HEADER)
    if (typeof found === "string") return -EIO
    Object.assign(lock, found)
    return 0
  }

  setLock(handle: Handle, owner: bigint, lock: Lock): number {
    others.emitLockIn({ handle, owner, flags: 0, lock }, this.#words, BODY)
    return this.#ask(c.SETLK, 0, BODY + others.LOCK_IN, 0)
  }

  /** Waits for the lock. Returns the number of the request, for `interrupt`. */
  waitForLock(handle: Handle, owner: bigint, lock: Lock, done: Done): number {
    others.emitLockIn({ handle, owner, flags: 0, lock }, this.#words, BODY)
    this.#send(c.SETLKW, 0, BODY + others.LOCK_IN, { writable: OUT_HEADER }, NOBODY, done)
    return this.unique
  }

  interrupt(unique: number): void {
    putU64(this.#words, BODY, unique)
    this.#send(c.INTERRUPT, 0, BODY + others.INTERRUPT_IN, { writable: 0 }, NOBODY, () => undefined)
  }

  usage(node: NodeId, into: Usage): number {
    const result = this.#ask(c.STATFS, node, BODY, STATFS_OUT)
    if (result >= 0) parseStatfs(this.#answer.u32, OUT_HEADER, into)
    return Math.min(result, 0)
  }

  [Symbol.dispose](): void {
    this.destroy()
  }

  #opened(opcode: number, node: NodeId, flags: number, caller: Caller): number {
    files.emitOpenIn({ flags, openFlags: 0 }, this.#words, BODY)
    const result = this.#ask(opcode, node, BODY + files.OPEN_IN, files.OPEN_OUT, caller)
    return result < 0 ? result : files.parseOpenOut(this.#answer.u32, OUT_HEADER).handle
  }

  #attributes(opcode: number, node: NodeId, end: number, caller: Caller, into: Attributes): number {
    const result = this.#ask(opcode, node, end, ATTR_OUT, caller)
    if (result >= 0) parseAttributes(this.#answer.u32, OUT_HEADER + ATTRIBUTES, into)
    return Math.min(result, 0)
  }

  #entry(opcode: number, parent: NodeId, end: number, caller: Caller, into: Attributes): number {
    const result = this.#ask(opcode, parent, end, ENTRY_OUT, caller)
    return result < 0 ? result : this.#parsedEntry(into)
  }

  #parsedEntry(into: Attributes): number {
    parseAttributes(this.#answer.u32, OUT_HEADER + ENTRY_ATTR, into)
    return parseEntryHead(this.#answer.u32, OUT_HEADER).node
  }

  #list(handle: Handle, cookie: bigint): DirectoryEntry[] | number {
    const size = this.#listBytes
    files.emitReadIn({ handle, offset: 0, size, how: 0 }, this.#words, BODY)
    putBig64(this.#words, BODY + files.READ_OFFSET, cookie)
    const opcode = this.#plus ? c.READDIRPLUS : c.READDIR
    const result = this.#ask(opcode, this.#directories.get(handle) ?? 0, BODY + files.READ_IN, size)
    if (result < 0) return result
    const { bytes, u32: words } = this.#answer
    const entries: DirectoryEntry[] = []
    const nodes: NodeId[] = []
    for (const { at, dirent } of entriesOf(words, OUT_HEADER, OUT_HEADER + result, this.#plus)) {
      entries.push(parseDirent(bytes, words, dirent))
      if (this.#plus) nodes.push(parseEntryHead(words, at).node)
    }
    for (const node of nodes) if (node > 0) this.forget(node, 1)
    return entries
  }

  #moved(opcode: number, end: number, room: Room, done: Done): void {
    this.#send(opcode, 0, end, room, NOBODY, (result) =>
      done(result < 0 ? result : u32(this.#answer.u32, OUT_HEADER)),
    )
  }

  #copied(result: number, into: Uint8Array): number {
    if (result > 0) into.set(this.#answer.bytes.subarray(OUT_HEADER, OUT_HEADER + result))
    return result
  }

  #sized(result: number, into: Uint8Array): number {
    if (result < 0 || into.length > 0) return this.#copied(result, into)
    return u32(this.#answer.u32, OUT_HEADER)
  }

  /** Asks what is answered at once. Returns the length of the answer's body, or `-errno`. */
  #ask(opcode: number, node: NodeId, end: number, body: number, caller: Caller = NOBODY): number {
    let result: number | undefined
    this.#send(opcode, node, end, { writable: OUT_HEADER + body }, caller, (answer) => {
      result = answer
    })
    if (result === undefined) throw new Error(`${c.nameOfOpcode(opcode)} was not answered at once`)
    return result
  }

  // oxlint-disable-next-line max-params -- all that a request is
  #send(opcode: number, node: NodeId, end: number, room: Room, caller: Caller, done: Done): void {
    this.unique += 2
    const header = Object.assign(this.#header, caller, {
      length: end + (room.data?.bytes ?? 0),
      opcode,
      node,
      uniqueLow: this.unique,
    })
    emitInHeader(header, this.#words, 0)
    const { unique } = this
    this.#channel.send(end, room, (answer, total) => {
      if (total === 0) return done(0)
      const out = parseOutHeader(answer.u32, 0, total)
      if (typeof out === "string" || out.uniqueLow !== unique) return done(-EIO)
      const inline = room.target === undefined || out.error !== 0 ? total : OUT_HEADER
      this.#answer.bytes.set(answer.bytes.subarray(0, inline))
      done(out.error === 0 ? total - OUT_HEADER : out.error)
    })
  }
}

function roomOf(into: Uint8Array): number {
  return into.length === 0 ? others.GETXATTR_OUT : into.length
}
