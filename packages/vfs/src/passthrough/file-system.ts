/**
 * A directory of the host as a `FileSystem`: every operation, from nodes and handles to system calls.
 *
 * ```
 *  NodeId ─ NodeTable ─► slot ─ Walker ─► O_PATH descriptor ─► statx, openat, renameat2, … below it, or /proc/self/fd/N for the file itself
 *  Handle ─ Handles ───► descriptor ─ Data ─► preadv2, pwritev, or a job of the pool
 * ```
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
import { change } from "./changes.ts"
import type { Core } from "./core.ts"
import type { Data } from "./data.ts"
import type { DirectoryReader } from "./directory-reader.ts"
import * as durable from "./durable.ts"
import { Extended } from "./extended.ts"
import type { Locks } from "./locks.ts"
import { Naming, openDirectory, openNode } from "./naming.ts"
import { DEPTH, ROOT_ID, ROOT_SLOT } from "./node-table.ts"
import type { Store } from "./store.ts"
import { readUsage } from "./usage.ts"

/** What layers above keep with files, under `user.skep.`: the names are whole ones. */
export interface ReservedAttributes {
  getExtended(node: NodeId, name: Name, into: Uint8Array): number
  setExtended(node: NodeId, name: Name, value: Uint8Array, flags: number): number
  removeExtended(node: NodeId, name: Name): number
  listExtended(node: NodeId, into: Uint8Array): number
}

/** What it holds at the moment. */
export interface PassthroughCounts {
  readonly nodes: number
  readonly descriptors: number
  readonly handles: number
}

export interface PassthroughParts {
  readonly core: Core
  readonly data: Data
  readonly reader: DirectoryReader
  readonly locks: Locks
  readonly store: Store
}

export class Passthrough implements FileSystem {
  readonly root: NodeId = ROOT_ID
  /** Attributes that are not shown. */
  readonly reserved: ReservedAttributes
  readonly #core: Core
  readonly #naming: Naming
  readonly #data: Data
  readonly #reader: DirectoryReader
  readonly #locks: Locks
  readonly #store: Store
  readonly #extended: Extended
  #disposed = false

  constructor(parts: PassthroughParts) {
    this.#core = parts.core
    this.#data = parts.data
    this.#reader = parts.reader
    this.#locks = parts.locks
    this.#store = parts.store
    this.#naming = new Naming(parts.core)
    this.#extended = new Extended(parts.core, false)
    this.reserved = this.#reservedAttributes(new Extended(parts.core, true))
  }

  /** What became of a journal that could not be used, in a sentence. */
  get notice(): string | undefined {
    return this.#store.notice
  }

  counts(): PassthroughCounts {
    const { table, walker, handles } = this.#core
    return { nodes: table.count, descriptors: walker.count, handles: handles.count }
  }

  /**
   * Looks whether the shared directory is still at its path. Where another one is there, that is served from now on; where none is, all is ESTALE until there
   * is one. Asked by itself only where the directory was removed and somebody uses it.
   */
  checkRoot(): "same" | "replaced" | "gone" {
    return this.#core.checkRoot()
  }

  /** Waits until no call is under way that touches memory given with it. */
  drain(): void {
    this.#data.drain()
  }

  /** The path of a node below the root, where it was seen last: names with `/` between them, empty for the root. Undefined for what is not known. */
  pathOf(node: NodeId): Uint8Array | undefined {
    const { table } = this.#core
    let slot = table.slotOf(node)
    if (slot < 0 || table.isGone(slot)) return undefined
    const names: Uint8Array[] = []
    for (; slot !== ROOT_SLOT && names.length < DEPTH; slot = table.parent(slot)) {
      const name = new Uint8Array(256)
      names.push(name.subarray(0, table.names.copy(table.name(slot), name)))
    }
    return slot === ROOT_SLOT ? join(names.toReversed()) : undefined
  }

  lookup(parent: NodeId, name: Name, _caller: Caller, into: Attributes): number {
    return this.#naming.lookup(parent, name, into)
  }

  forget(node: NodeId, count: number): void {
    const slot = this.#core.table.slotOf(node)
    if (slot > ROOT_SLOT) this.#core.table.unrefer(slot, count)
  }

  durable(node: NodeId, into: Uint8Array): number {
    const slot = this.#core.slot(node)
    return slot < 0 ? slot : durable.emit(this.#core, slot, into)
  }

  find(handle: Uint8Array): number {
    return durable.find(this.#core, handle)
  }

  getAttributes(node: NodeId, handle: Handle, _caller: Caller, into: Attributes): number {
    const { stat } = this.#core
    const slot = this.#core.slot(node)
    if (slot < 0) return slot
    const fd = this.#openDescriptor(slot, handle)
    const result = fd < 0 ? this.#core.ask(slot) : stat.ofDescriptor(fd)
    if (result === 0) stat.fill(into)
    return result
  }

  setAttributes(node: NodeId, handle: Handle, changes: Changes, _caller: Caller, into: Attributes): number {
    const core = this.#core
    const slot = core.slot(node)
    if (slot < 0) return slot
    const file = handle < 0 ? undefined : core.handles.any(handle)
    const open = typeof file === "object" && file.slot === slot ? file : undefined
    const fd = open?.fd ?? core.descriptor(slot)
    if (fd < 0) return fd
    if (core.options.readOnly && Object.values(changes).some((value) => value !== undefined))
      return -sys.EROFS
    const result = change(core, slot, fd, changes, open)
    if (result < 0) return result
    const asked = core.stat.ofDescriptor(fd)
    if (asked === 0) core.stat.fill(into)
    return asked
  }

  readLink(node: NodeId, into: Uint8Array): number {
    const { memory } = this.#core
    const slot = this.#core.slot(node)
    if (slot < 0) return slot
    if (this.#core.table.type(slot) !== sys.S_IFLNK) return -sys.EINVAL
    const fd = this.#core.descriptor(slot)
    if (fd < 0) return fd
    const { address, length, bytes } = memory.target
    const size = sys.readlinkat(fd, memory.empty, address, length)
    if (size < 0) return size
    if (size > into.length) return -sys.ERANGE
    into.set(bytes.subarray(0, size))
    return size
  }

  makeNode(parent: NodeId, name: Name, node: NewNode, caller: Caller, into: Attributes): number {
    return this.#naming.makeNode(parent, name, node, caller, into)
  }

  makeDirectory(parent: NodeId, name: Name, mode: number, caller: Caller, into: Attributes): number {
    return this.#naming.makeDirectory(parent, name, mode, caller, into)
  }

  makeSymlink(parent: NodeId, name: Name, target: Name, caller: Caller, into: Attributes): number {
    return this.#naming.makeSymlink(parent, name, target, caller, into)
  }

  link(node: NodeId, parent: NodeId, name: Name, _caller: Caller, into: Attributes): number {
    return this.#naming.link(node, parent, name, into)
  }

  unlink(parent: NodeId, name: Name, _caller: Caller): number {
    return this.#naming.unlink(parent, name, 0)
  }

  removeDirectory(parent: NodeId, name: Name, _caller: Caller): number {
    return this.#naming.unlink(parent, name, sys.AT_REMOVEDIR)
  }

  rename(from: Place, to: Place, flags: number, _caller: Caller): number {
    return this.#naming.rename(from, to, flags)
  }

  open(node: NodeId, flags: number, _caller: Caller): number {
    const slot = this.#core.slot(node)
    return slot < 0 ? slot : openNode(this.#core, slot, flags)
  }

  create(parent: NodeId, name: Name, how: HowToCreate, caller: Caller, into: Attributes): number {
    return this.#naming.create(parent, name, how, caller, into)
  }

  release(handle: Handle): void {
    const file = this.#core.handles.remove(handle, false)
    if (file !== undefined) this.#locks.release(file)
  }

  read(handle: Handle, offset: number, into: Pieces, done: Done): void {
    const file = this.#core.handles.get(handle)
    if (typeof file === "number") done(file)
    else if (offset < 0) done(-sys.EINVAL)
    else this.#data.read(file, this.#core.table.device(file.slot), offset, into, done)
  }

  write(handle: Handle, offset: number, from: Pieces, done: Done): void {
    const file = this.#core.handles.get(handle)
    if (typeof file === "number") done(file)
    else if (offset < 0) done(-sys.EINVAL)
    else this.#data.write(file, offset, from, done)
  }

  sync(handle: Handle, dataOnly: boolean, done: Done): void {
    const file = this.#core.handles.any(handle)
    if (typeof file === "number") done(file)
    else this.#data.sync(file, dataOnly, done)
  }

  allocate(handle: Handle, mode: number, offset: number, length: number, done: Done): void {
    const file = this.#core.handles.get(handle)
    if (typeof file === "number") done(file)
    else this.#data.allocate(file, mode, { offset, length }, done)
  }

  seek(handle: Handle, offset: number, whence: number): number {
    if (whence !== sys.SEEK_DATA && whence !== sys.SEEK_HOLE) return -sys.EINVAL
    const file = this.#core.handles.get(handle)
    return typeof file === "number" ? file : sys.lseek(file.fd, offset, whence)
  }

  // oxlint-disable-next-line max-params -- as the interface has it
  copy(from: Handle, fromOffset: number, to: Handle, toOffset: number, length: number, done: Done): void {
    const source = this.#core.handles.get(from)
    const target = this.#core.handles.get(to)
    if (typeof source === "number") done(source)
    else if (typeof target === "number") done(target)
    else
      this.#data.copy({ file: source, offset: fromOffset }, { file: target, offset: toOffset }, length, done)
  }

  openDirectory(node: NodeId, _caller: Caller): number {
    const slot = this.#core.slot(node)
    if (slot < 0) return slot
    const fd = openDirectory(this.#core, slot)
    return fd < 0 ? fd : this.#core.handles.add(slot, fd, 0, true)
  }

  readDirectory(handle: Handle, cookie: bigint, visit: Visit): number {
    const { table, handles } = this.#core
    const file = handles.get(handle, true)
    if (typeof file === "number") return file
    const atRoot = file.slot === ROOT_SLOT
    const above = atRoot ? { inoLow: table.inoLow(ROOT_SLOT), inoHigh: table.inoHigh(ROOT_SLOT) } : undefined
    return this.#reader.read(file, cookie, visit, above)
  }

  releaseDirectory(handle: Handle): void {
    const file = this.#core.handles.remove(handle, true)
    if (file !== undefined) this.#reader.release(file)
  }

  getExtended(node: NodeId, name: Name, into: Uint8Array): number {
    const slot = this.#core.slot(node)
    return slot < 0 ? slot : this.#extended.get(slot, name, into)
  }

  setExtended(node: NodeId, name: Name, value: Uint8Array, flags: number): number {
    const slot = this.#core.slot(node)
    return slot < 0 ? slot : this.#extended.set(slot, name, value, flags)
  }

  listExtended(node: NodeId, into: Uint8Array): number {
    const slot = this.#core.slot(node)
    return slot < 0 ? slot : this.#extended.list(slot, into)
  }

  removeExtended(node: NodeId, name: Name): number {
    const slot = this.#core.slot(node)
    return slot < 0 ? slot : this.#extended.remove(slot, name)
  }

  getLock(handle: Handle, owner: bigint, lock: Lock): number {
    const file = this.#core.handles.get(handle)
    return typeof file === "number" ? file : this.#locks.get(file, owner, lock)
  }

  setLock(handle: Handle, owner: bigint, lock: Lock): number {
    const file = this.#core.handles.get(handle)
    return typeof file === "number" ? file : this.#locks.set(file, owner, lock)
  }

  usage(node: NodeId, into: Usage): number {
    const slot = this.#core.slot(node)
    const fd = slot < 0 ? slot : this.#core.descriptor(slot)
    return fd < 0 ? fd : readUsage(this.#core.memory, fd, into)
  }

  /** Waits for what is under way and closes all. What a journal has stays in it, for a successor. */
  [Symbol.dispose](): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#data.drain()
    this.#locks[Symbol.dispose]()
    this.#core.handles[Symbol.dispose]()
    this.#reader[Symbol.dispose]()
    this.#core.walker[Symbol.dispose]()
    this.#core.memory[Symbol.dispose]()
    this.#store[Symbol.dispose]()
  }

  #openDescriptor(slot: number, handle: Handle): number {
    if (handle < 0) return -1
    const file = this.#core.handles.any(handle)
    return typeof file === "object" && file.slot === slot ? file.fd : -1
  }

  #reservedAttributes(extended: Extended): ReservedAttributes {
    const core = this.#core
    const at = (node: NodeId, call: (slot: number) => number): number => {
      const slot = core.slot(node)
      return slot < 0 ? slot : call(slot)
    }
    return {
      getExtended: (node, name, into) => at(node, (slot) => extended.get(slot, name, into)),
      setExtended: (node, name, value, flags) => at(node, (slot) => extended.set(slot, name, value, flags)),
      removeExtended: (node, name) => at(node, (slot) => extended.remove(slot, name)),
      listExtended: (node, into) => at(node, (slot) => extended.list(slot, into)),
    }
  }
}

function join(names: readonly Uint8Array[]): Uint8Array {
  const [first, ...others] = names
  const path: number[] = first === undefined ? [] : [...first]
  for (const name of others) path.push(0x2f, ...name)
  return Uint8Array.from(path)
}
