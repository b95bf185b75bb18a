/**
 * A complete file system in memory: what the protocols that serve file systems are tested on, and the shortest reading of the specification. As Linux answers
 * root: nobody is refused for permissions.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type {
  Attributes,
  Caller,
  Changes,
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
} from "../filesystem.ts"
import type { ExtendedCalls } from "../forwarding.ts"
import * as changes from "./changes.ts"
import { type FileClock, tickingClock } from "./clock.ts"
import * as durableHandle from "./durable-handle.ts"
import { Entries } from "./entries.ts"
import * as extended from "./extended.ts"
import * as data from "./file-data.ts"
import { type Content, type DirectoryInode, describe, type Inode, isDirectory, isFile } from "./inode.ts"
import { NAME_MAX, PERMISSIONS, TARGET_MAX } from "./linux.ts"
import { checkName, isDot, isDotDot, keyOf } from "./name.ts"
import * as names from "./names.ts"
import { RangeLocks } from "./range-locks.ts"
import * as reading from "./reading.ts"
import { PAGE, type Space, SparseData } from "./sparse-data.ts"
import { Tree } from "./tree.ts"

export interface MemoryOptions {
  /** What marks times; without one each operation comes a microsecond after the one before. */
  readonly clock?: FileClock
  /** What all files may hold together: 256 MiB unless told. */
  readonly capacityBytes?: number
  /** How many files there may be: a million unless told. */
  readonly files?: number
  readonly readOnly?: boolean
  /** The number of the device that attributes show. */
  readonly device?: number
  /** Whether there are extended attributes; there are unless told. */
  readonly extended?: boolean
}

const CAPACITY = 256 * 1024 * 1024
const FILES = 1_000_000
const DEVICE = 0x2a

/** A file system that keeps attributes for a layer above. */
export interface MemoryFileSystem extends FileSystem {
  readonly reserved: ExtendedCalls
}

export function memoryFileSystem(options: MemoryOptions = {}): MemoryFileSystem {
  return new Memory(options)
}

class Memory implements MemoryFileSystem {
  readonly reserved: ExtendedCalls
  readonly #tree: Tree
  readonly #space: Space
  readonly #shown: ExtendedCalls

  constructor(options: MemoryOptions) {
    this.#space = { pages: Math.floor((options.capacityBytes ?? CAPACITY) / PAGE), used: 0 }
    this.#tree = new Tree({
      device: options.device ?? DEVICE,
      readOnly: options.readOnly ?? false,
      clock: options.clock ?? tickingClock(),
      space: this.#space,
      files: options.files ?? FILES,
    })
    const attributes = options.extended ?? true
    this.#shown = extended.calls(this.#tree, { extended: attributes, reserved: false })
    this.reserved = extended.calls(this.#tree, { extended: attributes, reserved: true })
  }

  get root(): NodeId {
    return this.#tree.root
  }

  lookup(parent: NodeId, name: Name, _caller: Caller, into: Attributes): number {
    const directory = this.#tree.directory(parent)
    if (typeof directory === "number") return directory
    const refused = checkName(name)
    if (refused < 0) return refused
    const inode = isDot(name)
      ? directory
      : isDotDot(name)
        ? (directory.content.parent ?? directory)
        : directory.content.entries.get(keyOf(name))
    return inode === undefined ? -sys.ENOENT : this.#tree.refer(inode, into)
  }

  forget(node: NodeId, count: number): void {
    this.#tree.forget(node, count)
  }

  durable(node: NodeId, into: Uint8Array): number {
    const inode = this.#tree.node(node)
    if (typeof inode === "number") return inode
    if (into.length < durableHandle.BYTES) return -sys.ERANGE
    durableHandle.emit(into, inode)
    return durableHandle.BYTES
  }

  find(durable: Uint8Array): number {
    const wanted = durableHandle.parse(durable)
    if (wanted === undefined) return -sys.EBADF
    const inode = this.#tree.byNumber(wanted.ino)
    if (inode === undefined || inode.generation !== wanted.generation || inode.links === 0) return -sys.ESTALE
    return this.#tree.refer(inode, undefined)
  }

  getAttributes(node: NodeId, handle: Handle, _caller: Caller, into: Attributes): number {
    const inode = this.#nodeOrHandle(node, handle)
    if (typeof inode === "number") return inode
    describe(inode, this.#tree.options.device, into)
    return 0
  }

  setAttributes(node: NodeId, handle: Handle, wanted: Changes, _caller: Caller, into: Attributes): number {
    const inode = this.#nodeOrHandle(node, handle)
    if (typeof inode === "number") return inode
    const refused = changes.apply(this.#tree, inode, wanted)
    if (refused < 0) return refused
    describe(inode, this.#tree.options.device, into)
    return 0
  }

  readLink(node: NodeId, into: Uint8Array): number {
    const inode = this.#tree.node(node)
    if (typeof inode === "number") return inode
    if (inode.content.kind !== "link") return -sys.EINVAL
    const { target } = inode.content
    if (into.length < target.length) return -sys.ERANGE
    into.set(target)
    return target.length
  }

  makeNode(parent: NodeId, name: Name, { mode, rdev }: NewNode, caller: Caller, into: Attributes): number {
    // mknod(2): without a type it is a regular file, and directories have their own call.
    const type = (mode & sys.S_IFMT) === 0 ? sys.S_IFREG : mode & sys.S_IFMT
    if (type === sys.S_IFDIR) return -sys.EPERM
    if (![sys.S_IFREG, sys.S_IFIFO, sys.S_IFSOCK, sys.S_IFCHR, sys.S_IFBLK].includes(type)) return -sys.EINVAL
    const content = type === sys.S_IFREG ? this.#newFile() : ({ kind: "special" } as const)
    const made = { mode: type | (mode & PERMISSIONS), rdev, content }
    const inode = this.#add(parent, name, made, caller)
    return typeof inode === "number" ? inode : this.#tree.refer(inode, into)
  }

  makeDirectory(parent: NodeId, name: Name, mode: number, caller: Caller, into: Attributes): number {
    const content = { kind: "directory", entries: new Entries(), parent: undefined, dead: false } as const
    const inode = this.#add(parent, name, { mode: sys.S_IFDIR | (mode & PERMISSIONS), content }, caller)
    return typeof inode === "number" ? inode : this.#tree.refer(inode, into)
  }

  makeSymlink(parent: NodeId, name: Name, target: Name, caller: Caller, into: Attributes): number {
    if (target.length === 0) return -sys.ENOENT
    if (target.length > TARGET_MAX) return -sys.ENAMETOOLONG
    if (target.includes(0)) return -sys.EINVAL
    const content = { kind: "link", target: new Uint8Array(target) } as const
    const inode = this.#add(parent, name, { mode: sys.S_IFLNK | 0o777, content }, caller)
    return typeof inode === "number" ? inode : this.#tree.refer(inode, into)
  }

  link(node: NodeId, parent: NodeId, name: Name, _caller: Caller, into: Attributes): number {
    const inode = this.#tree.node(node)
    if (typeof inode === "number") return inode
    const directory = this.#tree.parentOf(parent, name)
    if (typeof directory === "number") return directory
    const spot = { directory, key: keyOf(name) }
    const refused = names.checkFree(this.#tree, spot)
    if (refused < 0) return refused
    if (isDirectory(inode)) return -sys.EPERM
    if (inode.links === 0) return -sys.ENOENT
    names.add(this.#tree, spot, inode)
    this.#tree.touch(inode, false)
    return this.#tree.refer(inode, into)
  }

  unlink(parent: NodeId, name: Name): number {
    const directory = this.#tree.parentOf(parent, name)
    if (typeof directory === "number") return directory
    return names.unlink(this.#tree, { directory, key: keyOf(name) })
  }

  removeDirectory(parent: NodeId, name: Name): number {
    const directory = this.#tree.parentOf(parent, name)
    if (typeof directory === "number") return directory
    return names.removeDirectory(this.#tree, { directory, key: keyOf(name) })
  }

  rename(from: Place, to: Place, flags: number): number {
    const source = this.#tree.parentOf(from.parent, from.name)
    if (typeof source === "number") return source
    const target = this.#tree.parentOf(to.parent, to.name)
    if (typeof target === "number") return target
    return names.rename(
      this.#tree,
      { directory: source, key: keyOf(from.name) },
      { directory: target, key: keyOf(to.name) },
      flags,
    )
  }

  open(node: NodeId, flags: number): number {
    const inode = this.#tree.node(node)
    return typeof inode === "number" ? inode : this.#open(inode, flags)
  }

  create(parent: NodeId, name: Name, how: HowToCreate, caller: Caller, into: Attributes): number {
    const directory = this.#tree.parentOf(parent, name)
    if (typeof directory === "number") return directory
    const there = directory.content.entries.get(keyOf(name))
    if (there !== undefined) {
      if ((how.flags & sys.O_EXCL) !== 0) return -sys.EEXIST
      const handle = this.#open(there, how.flags)
      if (handle < 0) return handle
      how.opened = handle
      return this.#tree.refer(there, into)
    }
    const made = { mode: sys.S_IFREG | (how.mode & PERMISSIONS), content: this.#newFile() }
    const inode = this.#add(parent, name, made, caller)
    if (typeof inode === "number") return inode
    how.opened = this.#tree.open(inode, how.flags)
    return this.#tree.refer(inode, into)
  }

  release(handle: Handle): void {
    this.#tree.release(handle)
  }

  read(handle: Handle, offset: number, into: Pieces, done: Done): void {
    done(data.read(this.#tree, handle, offset, into))
  }

  write(handle: Handle, offset: number, from: Pieces, done: Done): void {
    done(data.write(this.#tree, handle, offset, from))
  }

  sync(handle: Handle, _dataOnly: boolean, done: Done): void {
    done(data.sync(this.#tree, handle))
  }

  allocate(handle: Handle, mode: number, offset: number, length: number, done: Done): void {
    done(data.allocate(this.#tree, handle, mode, { offset, length }))
  }

  seek(handle: Handle, offset: number, whence: number): number {
    return data.seek(this.#tree, handle, offset, whence)
  }

  copy(...[from, fromOffset, to, toOffset, length, done]: Parameters<FileSystem["copy"]>): void {
    done(
      data.copy(this.#tree, { handle: from, offset: fromOffset }, { handle: to, offset: toOffset }, length),
    )
  }

  openDirectory(node: NodeId): number {
    const inode = this.#tree.directory(node)
    return typeof inode === "number" ? inode : this.#tree.open(inode, sys.O_RDONLY)
  }

  readDirectory(handle: Handle, cookie: bigint, visit: Visit): number {
    return reading.readDirectory(this.#tree, handle, cookie, visit)
  }

  releaseDirectory(handle: Handle): void {
    this.#tree.release(handle)
  }

  getExtended(node: NodeId, name: Name, into: Uint8Array): number {
    return this.#shown.getExtended(node, name, into)
  }

  setExtended(node: NodeId, name: Name, value: Uint8Array, flags: number): number {
    return this.#shown.setExtended(node, name, value, flags)
  }

  listExtended(node: NodeId, into: Uint8Array): number {
    return this.#shown.listExtended(node, into)
  }

  removeExtended(node: NodeId, name: Name): number {
    return this.#shown.removeExtended(node, name)
  }

  getLock(handle: Handle, owner: bigint, lock: Lock): number {
    const open = this.#tree.handle(handle)
    if (typeof open === "number") return open
    if (!isFile(open.inode) || !isRange(lock) || lock.type === "none") return -sys.EINVAL
    open.inode.content.locks.test(owner, lock)
    return 0
  }

  setLock(handle: Handle, owner: bigint, lock: Lock): number {
    const open = this.#tree.handle(handle)
    if (typeof open === "number") return open
    if (!isFile(open.inode) || !isRange(lock)) return -sys.EINVAL
    const access = open.flags & sys.O_ACCMODE
    if (lock.type === "read" && access === sys.O_WRONLY) return -sys.EBADF
    if (lock.type === "write" && access === sys.O_RDONLY) return -sys.EBADF
    return open.inode.content.locks.set(handle, owner, lock)
  }

  usage(node: NodeId, into: Usage): number {
    const inode = this.#tree.node(node)
    if (typeof inode === "number") return inode
    into.blockSize = PAGE
    into.blocks = this.#space.pages
    into.freeBlocks = this.#space.pages - this.#space.used
    into.availableBlocks = into.freeBlocks
    into.files = this.#tree.options.files
    into.freeFiles = this.#tree.options.files - this.#tree.inodes
    into.nameMax = NAME_MAX
    return 0
  }

  [Symbol.dispose](): void {
    this.#tree.dispose()
  }

  #nodeOrHandle(node: NodeId, handle: Handle): Inode | number {
    if (handle < 0) return this.#tree.node(node)
    const open = this.#tree.handle(handle)
    return typeof open === "number" ? open : open.inode
  }

  #newFile(): Content {
    return { kind: "file", data: new SparseData(this.#space), locks: new RangeLocks() }
  }

  #add(parent: NodeId, name: Name, made: Parameters<Tree["make"]>[0], caller: Caller): Inode | number {
    const directory: DirectoryInode | number = this.#tree.parentOf(parent, name)
    if (typeof directory === "number") return directory
    const spot = { directory, key: keyOf(name) }
    const refused = names.checkFree(this.#tree, spot) || this.#tree.room
    if (refused < 0) return refused
    const inode = this.#tree.make(made, caller, directory)
    names.add(this.#tree, spot, inode)
    return inode
  }

  #open(inode: Inode, flags: number): number {
    if (isDirectory(inode)) return -sys.EISDIR
    if (inode.content.kind === "link") return -sys.ELOOP
    if ((flags & sys.O_DIRECTORY) !== 0) return -sys.ENOTDIR
    if (!isFile(inode)) return (inode.mode & sys.S_IFMT) === sys.S_IFIFO ? -sys.EOPNOTSUPP : -sys.ENXIO
    const writes = (flags & sys.O_ACCMODE) !== sys.O_RDONLY
    const truncates = (flags & sys.O_TRUNC) !== 0
    if ((writes || truncates) && this.#tree.writable < 0) return -sys.EROFS
    if (truncates) {
      inode.content.data.resize(0)
      this.#tree.touch(inode, true)
    }
    return this.#tree.open(inode, flags)
  }
}

function isRange(lock: Lock): boolean {
  return lock.start >= 0 && lock.start <= lock.end
}
