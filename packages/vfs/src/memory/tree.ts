/**
 * All inodes of a file system in memory, which of them clients know as nodes, and which are open.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { Attributes, Caller, Handle, Name, NodeId } from "../filesystem.ts"
import type { FileClock } from "./clock.ts"
import { Entries } from "./entries.ts"
import { type Content, type DirectoryInode, describe, type Inode, isDirectory } from "./inode.ts"
import { S_ISGID } from "./linux.ts"
import { checkNewName } from "./name.ts"
import type { Space } from "./sparse-data.ts"

export interface TreeOptions {
  readonly device: number
  readonly readOnly: boolean
  readonly clock: FileClock
  readonly space: Space
  readonly files: number
}

/** What a new inode is, but for its owner and what it has in it. */
export interface NewInode {
  readonly mode: number
  readonly rdev?: number
  readonly content: Content
}

/** An open file or directory. */
export interface OpenFile {
  readonly inode: Inode
  /** open(2)'s. */
  readonly flags: number
}

interface Known {
  readonly inode: Inode
  references: number
}

const ROOT_INO = 1

export class Tree {
  readonly options: TreeOptions
  readonly root: NodeId = 1
  readonly #nodes = new Map<NodeId, Known>()
  readonly #ids = new Map<Inode, NodeId>()
  readonly #inodes = new Map<number, Inode>()
  readonly #handles = new Map<Handle, OpenFile>()
  #nextNode = 2
  #nextIno = ROOT_INO
  #nextHandle = 1

  constructor(options: TreeOptions) {
    this.options = options
    const content = { kind: "directory", entries: new Entries(), parent: undefined, dead: false } as const
    const root = this.make({ mode: sys.S_IFDIR | 0o755, content }, { uid: 0, gid: 0, pid: 0 }, undefined)
    root.links = 2
    root.holders = 1
    this.#nodes.set(this.root, { inode: root, references: 1 })
    this.#ids.set(root, this.root)
  }

  get inodes(): number {
    return this.#inodes.size
  }

  node(node: NodeId): Inode | number {
    return this.#nodes.get(node)?.inode ?? -sys.ESTALE
  }

  /** The directory in which a name is looked for. */
  directory(node: NodeId): DirectoryInode | number {
    const inode = this.node(node)
    if (typeof inode === "number") return inode
    return isDirectory(inode) ? inode : -sys.ENOTDIR
  }

  /** The directory in which a name is made, taken away or moved. */
  parentOf(node: NodeId, name: Name): DirectoryInode | number {
    const directory = this.directory(node)
    if (typeof directory === "number") return directory
    return checkNewName(name) || directory
  }

  /** 0 where the tree may change. */
  get writable(): number {
    return this.options.readOnly ? -sys.EROFS : 0
  }

  /** Counts a reference, fills `into`, and returns the node: how every operation that finds or makes a file ends. */
  refer(inode: Inode, into: Attributes | undefined): NodeId {
    if (into !== undefined) describe(inode, this.options.device, into)
    const id = this.#ids.get(inode)
    const known = id === undefined ? undefined : this.#nodes.get(id)
    if (id !== undefined && known !== undefined) {
      known.references++
      return id
    }
    const node = this.#nextNode++
    this.#nodes.set(node, { inode, references: 1 })
    this.#ids.set(inode, node)
    inode.holders++
    return node
  }

  forget(node: NodeId, count: number): void {
    const known = this.#nodes.get(node)
    if (known === undefined || node === this.root) return
    known.references -= count
    if (known.references > 0) return
    this.#nodes.delete(node)
    this.#ids.delete(known.inode)
    this.let(known.inode)
  }

  byNumber(ino: number): Inode | undefined {
    return this.#inodes.get(ino)
  }

  open(inode: Inode, flags: number): Handle {
    const handle = this.#nextHandle++
    this.#handles.set(handle, { inode, flags })
    inode.holders++
    return handle
  }

  handle(handle: Handle): OpenFile | number {
    return this.#handles.get(handle) ?? -sys.EBADF
  }

  release(handle: Handle): void {
    const open = this.#handles.get(handle)
    if (open === undefined) return
    this.#handles.delete(handle)
    if (open.inode.content.kind === "file") open.inode.content.locks.release(handle)
    this.let(open.inode)
  }

  /** Whether there is room for one more file. */
  get room(): number {
    return this.#inodes.size < this.options.files ? 0 : -sys.ENOSPC
  }

  /** A file without a name as yet. In a directory with S_ISGID it gets the directory's group, and a directory that bit too. */
  make({ mode, rdev, content }: NewInode, { uid, gid }: Caller, parent: Inode | undefined): Inode {
    const now = this.options.clock()
    const inherits = parent !== undefined && (parent.mode & S_ISGID) !== 0
    const ino = this.#nextIno++
    const inode: Inode = {
      ino,
      generation: ino,
      content,
      rdev: rdev ?? 0,
      mode: inherits && content.kind === "directory" ? mode | S_ISGID : mode,
      links: 0,
      uid,
      gid: inherits ? parent.gid : gid,
      access: now,
      modify: now,
      change: now,
      extended: new Map(),
      holders: 0,
    }
    this.#inodes.set(ino, inode)
    return inode
  }

  /** Takes a holder away; what nobody holds and no name leads to is gone. */
  let(inode: Inode): void {
    inode.holders--
    this.settle(inode)
  }

  settle(inode: Inode): void {
    if (inode.links > 0 || inode.holders > 0) return
    this.#inodes.delete(inode.ino)
    if (inode.content.kind === "file") inode.content.data.clear()
  }

  /** Marks that an inode's attributes changed, and with `data` its content too. */
  touch(inode: Inode, data: boolean): void {
    const now = this.options.clock()
    inode.change = now
    if (data) inode.modify = now
  }

  /** Marks that it was read, as `relatime` does: once after each change. */
  touchAccess(inode: Inode): void {
    if (this.options.readOnly || later(inode.access, inode.modify)) return
    inode.access = this.options.clock()
  }

  dispose(): void {
    this.#nodes.clear()
    this.#ids.clear()
    this.#handles.clear()
    this.#inodes.clear()
  }
}

type Time = Inode["access"]

function later(one: Time, other: Time): boolean {
  return one.seconds > other.seconds || (one.seconds === other.seconds && one.nanoseconds > other.nanoseconds)
}
