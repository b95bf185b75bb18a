/**
 * A file system of the host as a guest uses it, with the host's changes told to the guest: it learns what the guest knows, remembers what the guest
 * changes itself, and answers the requests by which changes are repeated (swallow.ts). All else passes through.
 *
 * @module
 */

import { EIO, EPERM, O_RDWR, O_TRUNC, O_WRONLY } from "@skep/loop/sys"
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
import { RENAME_EXCHANGE } from "@skep/vfs"
import { DT_FILE, type Echo, echoIdOf } from "./echo.ts"
import type { Knowledge } from "./knowledge.ts"
import { SWALLOWED_HANDLE } from "./swallow.ts"

const WRITING: number = O_WRONLY | O_RDWR

export class EchoLayer implements FileSystem {
  readonly root: NodeId
  readonly #inner: FileSystem
  readonly #known: Knowledge
  /** What the guest has open to write to. */
  readonly #writing = new Map<Handle, NodeId>()
  readonly #echoAt: (id: number) => Echo | undefined

  constructor(inner: FileSystem, knowledge: Knowledge, echoAt: (id: number) => Echo | undefined) {
    this.root = inner.root
    this.#inner = inner
    this.#known = knowledge
    this.#echoAt = echoAt
  }

  // Nodes.

  lookup(parent: NodeId, name: Name, caller: Caller, into: Attributes): number {
    const id = echoIdOf(caller)
    if (id >= 0) return this.#known.swallow.lookup(this.#echoAt(id), parent, name, into)
    const node = this.#inner.lookup(parent, name, caller, into)
    this.#known.looked(parent, name, node, caller, into)
    return node
  }

  forget(node: NodeId, count: number): void {
    const left = this.#known.swallow.forget(node, count)
    if (left === 0) return
    this.#known.forgot(node, left)
    this.#inner.forget(node, left)
  }

  durable(node: NodeId, into: Uint8Array): number {
    return this.#inner.durable(node, into)
  }

  find(durable: Uint8Array): number {
    return this.#inner.find(durable)
  }

  getAttributes(node: NodeId, handle: Handle, caller: Caller, into: Attributes): number {
    const id = echoIdOf(caller)
    if (id >= 0) return this.#known.swallow.attributes(node, this.#echoAt(id)?.type ?? DT_FILE, into)
    return this.#inner.getAttributes(node, handle, caller, into)
  }

  setAttributes(node: NodeId, handle: Handle, changes: Changes, caller: Caller, into: Attributes): number {
    const id = echoIdOf(caller)
    if (id >= 0) return this.#known.swallow.setAttributes(this.#echoAt(id), node, into)
    this.#known.own.node(node)
    return this.#inner.setAttributes(node, handle, changes, caller, into)
  }

  readLink(node: NodeId, into: Uint8Array): number {
    return this.#inner.readLink(node, into)
  }

  // Names.

  makeNode(parent: NodeId, name: Name, node: NewNode, caller: Caller, into: Attributes): number {
    const id = echoIdOf(caller)
    if (id >= 0) return this.#known.swallow.make(this.#echoAt(id), parent, name, into)
    return this.#made(parent, name, this.#inner.makeNode(parent, name, node, caller, into), into)
  }

  makeDirectory(parent: NodeId, name: Name, mode: number, caller: Caller, into: Attributes): number {
    const id = echoIdOf(caller)
    if (id >= 0) return this.#known.swallow.make(this.#echoAt(id), parent, name, into)
    return this.#made(parent, name, this.#inner.makeDirectory(parent, name, mode, caller, into), into)
  }

  makeSymlink(parent: NodeId, name: Name, target: Name, caller: Caller, into: Attributes): number {
    const id = echoIdOf(caller)
    if (id >= 0) return this.#known.swallow.make(this.#echoAt(id), parent, name, into)
    return this.#made(parent, name, this.#inner.makeSymlink(parent, name, target, caller, into), into)
  }

  link(node: NodeId, parent: NodeId, name: Name, caller: Caller, into: Attributes): number {
    if (echoIdOf(caller) >= 0) return -EPERM
    return this.#made(parent, name, this.#inner.link(node, parent, name, caller, into), into)
  }

  unlink(parent: NodeId, name: Name, caller: Caller): number {
    const id = echoIdOf(caller)
    if (id >= 0) return this.#known.swallow.remove(this.#echoAt(id), parent, name)
    const result = this.#inner.unlink(parent, name, caller)
    if (result >= 0) this.#known.removed(parent, name)
    return result
  }

  removeDirectory(parent: NodeId, name: Name, caller: Caller): number {
    const id = echoIdOf(caller)
    if (id >= 0) return this.#known.swallow.remove(this.#echoAt(id), parent, name)
    const result = this.#inner.removeDirectory(parent, name, caller)
    if (result >= 0) this.#known.removed(parent, name)
    return result
  }

  rename(from: Place, to: Place, flags: number, caller: Caller): number {
    const id = echoIdOf(caller)
    if (id >= 0) return this.#known.swallow.rename(this.#echoAt(id), from, to)
    const result = this.#inner.rename(from, to, flags, caller)
    if (result >= 0) this.#known.renamed(from, to, (flags & RENAME_EXCHANGE) !== 0)
    return result
  }

  // Files.

  open(node: NodeId, flags: number, caller: Caller): number {
    const id = echoIdOf(caller)
    if (id >= 0) return this.#known.swallow.open(this.#echoAt(id), node)
    const handle = this.#inner.open(node, flags, caller)
    if (handle >= 0) this.#opened(handle, node, flags)
    return handle
  }

  create(parent: NodeId, name: Name, how: HowToCreate, caller: Caller, into: Attributes): number {
    const id = echoIdOf(caller)
    if (id >= 0) {
      how.opened = SWALLOWED_HANDLE
      return this.#known.swallow.make(this.#echoAt(id), parent, name, into)
    }
    const node = this.#made(parent, name, this.#inner.create(parent, name, how, caller, into), into)
    if (node >= 0) this.#opened(how.opened, node, how.flags)
    return node
  }

  release(handle: Handle): void {
    if (handle === SWALLOWED_HANDLE) return
    const node = this.#writing.get(handle)
    if (node !== undefined) {
      // Its end is an event of its own.
      this.#writing.delete(handle)
      this.#known.own.node(node)
    }
    this.#inner.release(handle)
  }

  read(handle: Handle, offset: number, into: Pieces, done: Done): void {
    this.#inner.read(handle, offset, into, done)
  }

  write(handle: Handle, offset: number, from: Pieces, done: Done): void {
    if (handle === SWALLOWED_HANDLE) done(-EIO)
    else this.#inner.write(handle, offset, from, this.#writer(handle, done))
  }

  sync(handle: Handle, dataOnly: boolean, done: Done): void {
    if (handle === SWALLOWED_HANDLE) done(0)
    else this.#inner.sync(handle, dataOnly, done)
  }

  allocate(handle: Handle, mode: number, offset: number, length: number, done: Done): void {
    this.#inner.allocate(handle, mode, offset, length, this.#writer(handle, done))
  }

  seek(handle: Handle, offset: number, whence: number): number {
    return this.#inner.seek(handle, offset, whence)
  }

  // oxlint-disable-next-line max-params -- copy_file_range(2) has them
  copy(from: Handle, fromOffset: number, to: Handle, toOffset: number, length: number, done: Done): void {
    this.#inner.copy(from, fromOffset, to, toOffset, length, this.#writer(to, done))
  }

  // Directories.

  openDirectory(node: NodeId, caller: Caller): number {
    this.#known.enter(node)
    return this.#inner.openDirectory(node, caller)
  }

  readDirectory(handle: Handle, cookie: bigint, visit: Visit): number {
    return this.#inner.readDirectory(handle, cookie, visit)
  }

  releaseDirectory(handle: Handle): void {
    this.#inner.releaseDirectory(handle)
  }

  // Extended attributes, locks, space.

  getExtended(node: NodeId, name: Name, into: Uint8Array): number {
    return this.#inner.getExtended(node, name, into)
  }

  setExtended(node: NodeId, name: Name, value: Uint8Array, flags: number): number {
    this.#known.own.node(node)
    return this.#inner.setExtended(node, name, value, flags)
  }

  listExtended(node: NodeId, into: Uint8Array): number {
    return this.#inner.listExtended(node, into)
  }

  removeExtended(node: NodeId, name: Name): number {
    this.#known.own.node(node)
    return this.#inner.removeExtended(node, name)
  }

  getLock(handle: Handle, owner: bigint, lock: Lock): number {
    return this.#inner.getLock(handle, owner, lock)
  }

  setLock(handle: Handle, owner: bigint, lock: Lock): number {
    return handle === SWALLOWED_HANDLE ? 0 : this.#inner.setLock(handle, owner, lock)
  }

  usage(node: NodeId, into: Usage): number {
    return this.#inner.usage(node, into)
  }

  [Symbol.dispose](): void {
    this.#known[Symbol.dispose]()
    this.#inner[Symbol.dispose]()
  }

  #opened(handle: Handle, node: NodeId, flags: number): void {
    if ((flags & WRITING) !== 0) this.#writing.set(handle, node)
    if ((flags & O_TRUNC) !== 0) this.#known.own.node(node)
  }

  #made(parent: NodeId, name: Name, node: number, into: Attributes): number {
    if (node < 0) return node
    this.#known.own.place(parent, name)
    this.#known.own.node(node)
    this.#known.known(parent, name, node, into)
    return node
  }

  /** Says when what is written was written. */
  #writer(handle: Handle, done: Done): Done {
    const node = this.#writing.get(handle)
    if (node === undefined) return done
    const { own } = this.#known
    own.begin(node)
    return (result) => {
      own.end(node)
      done(result)
    }
  }
}
