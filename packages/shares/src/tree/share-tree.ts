/**
 * All shares of a machine as one file system: a directory whose entries are the shares, each served by a file system of its own.
 *
 * ```
 *  /         made up here (tree-root.ts)
 *  /1        share 1: hidden ◄ ownership ◄ passthrough of a directory of the host
 *  /2        …
 * ```
 *
 * Shares come and go while it is in use. A node or handle of one that went is ESTALE, and nothing else ever gets its number. What would reach
 * from one share into another is EXDEV. Calls cost one division more than those of the share.
 *
 * @module
 */
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
} from "@skep/vfs"
import { PLACE, placeOf, placeOfLife, ROOT, rootOfShare } from "./numbers.ts"
import { fillRootAttributes, fillRootUsage, listRoot, parseShareName } from "./tree-root.ts"

const EPERM = 1
const ENOENT = 2
const EBADF = 9
const EISDIR = 21
const EINVAL = 22
const EXDEV = 18
const EROFS = 30
const ENODATA = 61
const EOPNOTSUPP = 95
const ESTALE = 116

/** Of a durable handle: which share; 0 is the root of all. */
const DURABLE_HEAD = 4
const ROOT_HANDLE = 1
const DOT = Uint8Array.of(0x2e)
/** Keeps numbers of files of several devices apart, 16 bits above those that file systems use. */
const DEVICE_SHIFT = 16
const DEVICE_BITS = 0x7fff
/** A multiplier that spreads (Knuth). */
const SPREAD = 0x9e3779b1

export interface ShareTreeOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** A share of the tree. */
export interface TreeShare {
  /** Its name in the root. Never given twice. */
  readonly number: number
  /** Which life of its directory this is: see numbers.ts. No other share has its place. */
  readonly life: number
  /** Undefined for one whose directory is gone: all is ESTALE. Owned by the tree from now on. */
  readonly fileSystem: FileSystem | undefined
}

interface Mounted extends TreeShare {
  readonly fileSystem: FileSystem
  /** Its own place among all. */
  readonly place: number
  readonly first: number
}

export class ShareTree implements FileSystem {
  readonly root: NodeId = ROOT
  readonly #now: () => number
  /** By number, in their order. Undefined is one whose directory is gone. */
  #byNumber: ReadonlyMap<number, Mounted | undefined> = new Map()
  readonly #byPlace: (Mounted | undefined)[] = []
  /** Whose files keep the numbers that the host gave them. */
  #home: number | undefined
  #changedMs: number

  constructor({ now }: ShareTreeOptions) {
    this.#now = now
    this.#changedMs = now()
  }

  /** The device whose files keep their numbers, once one was seen or set. */
  get home(): number | undefined {
    return this.#home
  }

  set home(device: number | undefined) {
    this.#home = device
  }

  get size(): number {
    return this.#byNumber.size
  }

  /** The file system of a share, where it has one. */
  at(number: number): FileSystem | undefined {
    return this.#byNumber.get(number)?.fileSystem
  }

  /** Which share a node is of; undefined for the root and what is stale. */
  shareOf(node: NodeId): number | undefined {
    return this.#of(node)?.number
  }

  /** The share and its own number of a node; undefined for the root and what is stale. */
  resolve(node: NodeId): { readonly share: number; readonly node: NodeId } | undefined {
    const share = this.#of(node)
    return share && { share: share.number, node: own(share, node) }
  }

  /** The tree's number of a share's node. */
  nodeOf(number: number, node: NodeId): NodeId | undefined {
    const share = this.#byNumber.get(number)
    return share && out(share, node)
  }

  /** Adds a share, or puts another life in the place of one: what belonged to the last is stale. */
  put(share: TreeShare): void {
    const { number, life, fileSystem } = share
    this.#end(number)
    const place = placeOfLife(life)
    const mounted =
      fileSystem === undefined ? undefined : { number, life, fileSystem, place, first: place * PLACE }
    if (mounted !== undefined) this.#byPlace[place] = mounted
    const entries = [...this.#byNumber].filter(([other]) => other !== number)
    this.#byNumber = new Map(
      [...entries, [number, mounted] as const].toSorted(([left], [right]) => left - right),
    )
    this.#changedMs = this.#now()
  }

  /** Takes a share away. Returns whether there was one. */
  remove(number: number): boolean {
    if (!this.#byNumber.has(number)) return false
    this.#end(number)
    this.#byNumber = new Map([...this.#byNumber].filter(([other]) => other !== number))
    this.#changedMs = this.#now()
    return true
  }

  [Symbol.dispose](): void {
    for (const number of this.#byNumber.keys()) this.#end(number)
    this.#byNumber = new Map()
  }

  #end(number: number): void {
    const share = this.#byNumber.get(number)
    if (share === undefined) return
    this.#byPlace[share.place] = undefined
    share.fileSystem[Symbol.dispose]()
  }

  // ---- Nodes

  lookup(parent: NodeId, name: Name, caller: Caller, into: Attributes): number {
    if (parent === ROOT) return this.#lookupShare(name, caller, into)
    const share = this.#of(parent)
    if (share === undefined) return -ESTALE
    if (isDotDot(name) && own(share, parent) === share.fileSystem.root) return this.#rootAttributes(into)
    return this.#found(share, share.fileSystem.lookup(own(share, parent), name, caller, into), into)
  }

  #lookupShare(name: Name, caller: Caller, into: Attributes): number {
    const number = parseShareName(name)
    if (number === 0) return this.#rootAttributes(into)
    if (number < 0 || !this.#byNumber.has(number)) return -ENOENT
    const share = this.#byNumber.get(number)
    if (share === undefined) return -ESTALE
    const { fileSystem } = share
    // "." counts the reference that `forget` gives back.
    return this.#found(share, fileSystem.lookup(fileSystem.root, DOT, caller, into), into)
  }

  forget(node: NodeId, count: number): void {
    const share = this.#of(node)
    share?.fileSystem.forget(own(share, node), count)
  }

  durable(node: NodeId, into: Uint8Array): number {
    const share = this.#of(node)
    if (share === undefined && node !== ROOT) return -ESTALE
    new DataView(into.buffer, into.byteOffset, into.byteLength).setUint32(0, share?.number ?? 0)
    if (share === undefined) return DURABLE_HEAD
    const length = share.fileSystem.durable(own(share, node), into.subarray(DURABLE_HEAD))
    return length < 0 ? length : DURABLE_HEAD + length
  }

  find(durable: Uint8Array): number {
    if (durable.length < DURABLE_HEAD) return -EBADF
    const number = new DataView(durable.buffer, durable.byteOffset, durable.byteLength).getUint32(0)
    if (number === 0) return durable.length === DURABLE_HEAD ? ROOT : -EBADF
    const share = this.#byNumber.get(number)
    if (share === undefined) return -ESTALE
    return out(share, share.fileSystem.find(durable.subarray(DURABLE_HEAD)))
  }

  getAttributes(node: NodeId, handle: Handle, caller: Caller, into: Attributes): number {
    if (node === ROOT) {
      this.#rootAttributes(into)
      return 0
    }
    const share = this.#of(node)
    if (share === undefined) return -ESTALE
    const itsHandle = this.#ownHandle(share, handle)
    const result = share.fileSystem.getAttributes(own(share, node), itsHandle, caller, into)
    if (result >= 0) this.#number(into)
    return result
  }

  setAttributes(node: NodeId, handle: Handle, changes: Changes, caller: Caller, into: Attributes): number {
    const share = this.#of(node)
    if (share === undefined) return node === ROOT ? -EROFS : -ESTALE
    const itsHandle = this.#ownHandle(share, handle)
    const result = share.fileSystem.setAttributes(own(share, node), itsHandle, changes, caller, into)
    if (result >= 0) this.#number(into)
    return result
  }

  readLink(node: NodeId, into: Uint8Array): number {
    const share = this.#of(node)
    if (share === undefined) return node === ROOT ? -EINVAL : -ESTALE
    return share.fileSystem.readLink(own(share, node), into)
  }

  // ---- Names

  makeNode(parent: NodeId, name: Name, node: NewNode, caller: Caller, into: Attributes): number {
    const share = this.#of(parent)
    if (share === undefined) return closed(parent)
    return this.#found(share, share.fileSystem.makeNode(own(share, parent), name, node, caller, into), into)
  }

  makeDirectory(parent: NodeId, name: Name, mode: number, caller: Caller, into: Attributes): number {
    const share = this.#of(parent)
    if (share === undefined) return closed(parent)
    return this.#found(
      share,
      share.fileSystem.makeDirectory(own(share, parent), name, mode, caller, into),
      into,
    )
  }

  makeSymlink(parent: NodeId, name: Name, target: Name, caller: Caller, into: Attributes): number {
    const share = this.#of(parent)
    if (share === undefined) return closed(parent)
    return this.#found(
      share,
      share.fileSystem.makeSymlink(own(share, parent), name, target, caller, into),
      into,
    )
  }

  link(node: NodeId, parent: NodeId, name: Name, caller: Caller, into: Attributes): number {
    const share = this.#of(parent)
    if (share === undefined) return closed(parent)
    const from = this.#of(node)
    if (from === undefined) return node === ROOT ? -EPERM : -ESTALE
    if (from !== share) return -EXDEV
    return this.#found(
      share,
      share.fileSystem.link(own(share, node), own(share, parent), name, caller, into),
      into,
    )
  }

  unlink(parent: NodeId, name: Name, caller: Caller): number {
    const share = this.#of(parent)
    if (share === undefined) return closed(parent)
    return share.fileSystem.unlink(own(share, parent), name, caller)
  }

  removeDirectory(parent: NodeId, name: Name, caller: Caller): number {
    const share = this.#of(parent)
    if (share === undefined) return closed(parent)
    return share.fileSystem.removeDirectory(own(share, parent), name, caller)
  }

  rename(from: Place, to: Place, flags: number, caller: Caller): number {
    const share = this.#of(from.parent)
    if (share === undefined) return closed(from.parent)
    const other = this.#of(to.parent)
    if (other === undefined) return closed(to.parent)
    if (other !== share) return -EXDEV
    return share.fileSystem.rename(ownPlace(share, from), ownPlace(share, to), flags, caller)
  }

  // ---- Files

  open(node: NodeId, flags: number, caller: Caller): number {
    const share = this.#of(node)
    if (share === undefined) return node === ROOT ? -EISDIR : -ESTALE
    return handleOf(share, share.fileSystem.open(own(share, node), flags, caller))
  }

  create(parent: NodeId, name: Name, how: HowToCreate, caller: Caller, into: Attributes): number {
    const share = this.#of(parent)
    if (share === undefined) return closed(parent)
    const node = share.fileSystem.create(own(share, parent), name, how, caller, into)
    if (node >= 0) how.opened = handleOf(share, how.opened)
    return this.#found(share, node, into)
  }

  release(handle: Handle): void {
    const share = this.#ofHandle(handle)
    share?.fileSystem.release(handle - share.first)
  }

  read(handle: Handle, offset: number, into: Pieces, done: Done): void {
    const share = this.#ofHandle(handle)
    if (share === undefined) done(-ESTALE)
    else share.fileSystem.read(handle - share.first, offset, into, done)
  }

  write(handle: Handle, offset: number, from: Pieces, done: Done): void {
    const share = this.#ofHandle(handle)
    if (share === undefined) done(-ESTALE)
    else share.fileSystem.write(handle - share.first, offset, from, done)
  }

  sync(handle: Handle, dataOnly: boolean, done: Done): void {
    const share = this.#ofHandle(handle)
    if (share !== undefined) share.fileSystem.sync(handle - share.first, dataOnly, done)
    else done(handle === ROOT_HANDLE ? 0 : -ESTALE)
  }

  allocate(handle: Handle, mode: number, offset: number, length: number, done: Done): void {
    const share = this.#ofHandle(handle)
    if (share === undefined) done(-ESTALE)
    else share.fileSystem.allocate(handle - share.first, mode, offset, length, done)
  }

  seek(handle: Handle, offset: number, whence: number): number {
    const share = this.#ofHandle(handle)
    return share === undefined ? -ESTALE : share.fileSystem.seek(handle - share.first, offset, whence)
  }

  // oxlint-disable-next-line max-params -- copy_file_range(2) has them
  copy(from: Handle, fromOffset: number, to: Handle, toOffset: number, length: number, done: Done): void {
    const share = this.#ofHandle(from)
    const other = this.#ofHandle(to)
    if (share === undefined || other === undefined) done(-ESTALE)
    else if (share !== other) done(-EXDEV)
    else share.fileSystem.copy(from - share.first, fromOffset, to - share.first, toOffset, length, done)
  }

  // ---- Directories

  openDirectory(node: NodeId, caller: Caller): number {
    if (node === ROOT) return ROOT_HANDLE
    const share = this.#of(node)
    if (share === undefined) return -ESTALE
    return handleOf(share, share.fileSystem.openDirectory(own(share, node), caller))
  }

  readDirectory(handle: Handle, cookie: bigint, visit: Visit): number {
    if (handle === ROOT_HANDLE) {
      listRoot(this.#byNumber.keys(), cookie, visit)
      return 0
    }
    const share = this.#ofHandle(handle)
    return share === undefined ? -ESTALE : share.fileSystem.readDirectory(handle - share.first, cookie, visit)
  }

  releaseDirectory(handle: Handle): void {
    const share = this.#ofHandle(handle)
    share?.fileSystem.releaseDirectory(handle - share.first)
  }

  // ---- Extended attributes

  getExtended(node: NodeId, name: Name, into: Uint8Array): number {
    const share = this.#of(node)
    if (share === undefined) return node === ROOT ? -ENODATA : -ESTALE
    return share.fileSystem.getExtended(own(share, node), name, into)
  }

  setExtended(node: NodeId, name: Name, value: Uint8Array, flags: number): number {
    const share = this.#of(node)
    if (share === undefined) return node === ROOT ? -EOPNOTSUPP : -ESTALE
    return share.fileSystem.setExtended(own(share, node), name, value, flags)
  }

  listExtended(node: NodeId, into: Uint8Array): number {
    const share = this.#of(node)
    if (share === undefined) return node === ROOT ? 0 : -ESTALE
    return share.fileSystem.listExtended(own(share, node), into)
  }

  removeExtended(node: NodeId, name: Name): number {
    const share = this.#of(node)
    if (share === undefined) return node === ROOT ? -ENODATA : -ESTALE
    return share.fileSystem.removeExtended(own(share, node), name)
  }

  // ---- Locks, space

  getLock(handle: Handle, owner: bigint, lock: Lock): number {
    const share = this.#ofHandle(handle)
    return share === undefined ? -ESTALE : share.fileSystem.getLock(handle - share.first, owner, lock)
  }

  setLock(handle: Handle, owner: bigint, lock: Lock): number {
    const share = this.#ofHandle(handle)
    return share === undefined ? -ESTALE : share.fileSystem.setLock(handle - share.first, owner, lock)
  }

  usage(node: NodeId, into: Usage): number {
    if (node === ROOT) {
      fillRootUsage(into)
      return 0
    }
    const share = this.#of(node)
    return share === undefined ? -ESTALE : share.fileSystem.usage(own(share, node), into)
  }

  // ---- Numbers

  #of(node: NodeId): Mounted | undefined {
    if (node < PLACE) return this.#byNumber.get(node - ROOT)
    return this.#byPlace[placeOf(node)]
  }

  #ofHandle(handle: Handle): Mounted | undefined {
    return this.#byPlace[placeOf(handle)]
  }

  /** A handle of another share, or of another life of it, is as good as none. */
  #ownHandle(share: Mounted, handle: Handle): Handle {
    return handle >= 0 && this.#ofHandle(handle) === share ? handle - share.first : -1
  }

  #found(share: Mounted, node: number, into: Attributes): number {
    if (node < 0) return node
    this.#number(into)
    return out(share, node)
  }

  /** The guest sees one device, so equal numbers there have to be one file. */
  #number(into: Attributes): void {
    this.#home ??= into.device
    if (into.device === this.#home) return
    const mark = (Math.imul(into.device, SPREAD) >>> DEVICE_SHIFT) & DEVICE_BITS
    into.inoHigh = (into.inoHigh ^ (mark << DEVICE_SHIFT)) >>> 0
  }

  #rootAttributes(into: Attributes): number {
    fillRootAttributes(into, this.#byNumber.size, this.#changedMs)
    return ROOT
  }
}

/** What the share calls a node of the tree. */
function own(share: Mounted, node: NodeId): NodeId {
  return node < PLACE ? share.fileSystem.root : node - share.first
}

/** What the tree calls a node of the share; errors stay. */
function out(share: Mounted, node: number): number {
  if (node < 0) return node
  return node === share.fileSystem.root ? rootOfShare(share.number) : share.first + node
}

function ownPlace(share: Mounted, { parent, name }: Place): Place {
  return { parent: own(share, parent), name }
}

function handleOf(share: Mounted, handle: number): number {
  return handle < 0 ? handle : share.first + handle
}

/** Nobody makes or removes anything among the shares. */
function closed(parent: NodeId): number {
  return parent === ROOT ? -EROFS : -ESTALE
}

function isDotDot(name: Name): boolean {
  return name.length === 2 && name[0] === DOT[0] && name[1] === DOT[0]
}
