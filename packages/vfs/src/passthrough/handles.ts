/**
 * Open files and directories. Each is a row of the store, `| id f64 | node f64 | flags f64 | kind f64 |`, so that a successor opens them again when they are
 * asked for: by the node's name, so one whose file has none any more is stale then.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { Handle } from "../filesystem.ts"
import { f64 } from "./cells.ts"
import type { DirectoryBuffer } from "./directory-reader.ts"
import type { NodeTable } from "./node-table.ts"
import { HANDLE_BYTES, HANDLES, type Store } from "./store.ts"

const NUMBERS = HANDLE_BYTES / 8
const NODE = 1
const FLAGS = 2
const KIND = 3
const FILE = 1
const DIRECTORY = 2

export interface OpenFile {
  readonly id: Handle
  readonly slot: number
  /** open(2)'s, without those that act only once. */
  readonly flags: number
  readonly directory: boolean
  readonly row: number
  /** -1 where a predecessor opened it and nobody has asked yet. */
  fd: number
  /** Calls under way in a pool: the descriptor stays for them. */
  busy: number
  released: boolean
  /** Where a directory is read from, while it has this buffer. */
  buffer: DirectoryBuffer | undefined
  cookie: bigint
  /** The next open file of the same node. */
  next: OpenFile | undefined
}

/** What opens a file anew: a descriptor or `-errno`. */
export type Reopen = (slot: number, flags: number, directory: boolean) => number

export class Handles implements Disposable {
  readonly #store: Store
  readonly #table: NodeTable
  readonly #numbers: Float64Array
  readonly #reopen: Reopen
  readonly #files = new Map<Handle, OpenFile>()
  /** The first open file of each node. */
  readonly #bySlot = new Map<number, OpenFile>()
  readonly #free: number[] = []

  constructor(store: Store, table: NodeTable, reopen: Reopen) {
    this.#store = store
    this.#table = table
    this.#numbers = store.handles.numbers
    this.#reopen = reopen
  }

  get count(): number {
    return this.#files.size
  }

  /** Owns `fd` from now on, also where it returns -ENFILE. */
  add(slot: number, fd: number, flags: number, directory: boolean): Handle {
    const row = this.#take()
    if (row < 0) {
      sys.close(fd)
      return row
    }
    const id = this.#store.nextHandle()
    const at = row * NUMBERS
    this.#numbers[at + NODE] = this.#table.id(slot)
    this.#numbers[at + FLAGS] = flags
    this.#numbers[at + KIND] = directory ? DIRECTORY : FILE
    this.#numbers[at] = id
    this.#put(row, fd)
    return id
  }

  /** An open file with its descriptor, or `-errno`: EBADF for what is none, or is of the other kind. */
  get(id: Handle, directory = false): OpenFile | number {
    const file = this.#files.get(id)
    if (file === undefined || file.directory !== directory) return -sys.EBADF
    if (file.fd < 0) {
      const fd = this.#reopen(file.slot, file.flags, directory)
      if (fd < 0) return fd
      file.fd = fd
    }
    return file
  }

  /** One of either kind. */
  any(id: Handle): OpenFile | number {
    const file = this.get(id)
    return file === -sys.EBADF ? this.get(id, true) : file
  }

  /** A descriptor of one of a node's open files, or -1. */
  descriptorOf(slot: number): number {
    if (this.#table.handles(slot) === 0) return -1
    for (let file = this.#bySlot.get(slot); file !== undefined; file = file.next)
      if (file.fd >= 0) return file.fd
    return -1
  }

  /** Returns the file that was released, for those who keep something for it. */
  remove(id: Handle, directory: boolean): OpenFile | undefined {
    const file = this.#files.get(id)
    if (file === undefined || file.directory !== directory) return undefined
    this.#numbers[file.row * NUMBERS] = 0
    this.#free.push(file.row)
    this.#files.delete(id)
    this.#unlink(file)
    file.released = true
    this.closeIfDone(file)
    this.#table.changeHandles(file.slot, -1)
    return file
  }

  /** After a call of a pool: closes what was released meanwhile. */
  closeIfDone(file: OpenFile): void {
    if (!file.released || file.busy > 0 || file.fd < 0) return
    sys.close(file.fd)
    file.fd = -1
  }

  /** Takes over a predecessor's; those whose node is gone are dropped. */
  inherit(): void {
    const used = this.#store.usedHandles
    if (!this.#store.handles.reserve(used * HANDLE_BYTES)) return
    for (let row = 0; row < used; row++) {
      const at = row * NUMBERS
      const id = f64(this.#numbers, at)
      const slot = id === 0 ? -1 : this.#table.slotOf(f64(this.#numbers, at + NODE))
      const flags = f64(this.#numbers, at + FLAGS)
      const kind = f64(this.#numbers, at + KIND)
      const right = Number.isSafeInteger(id) && id < this.#store.handleLimit && Number.isSafeInteger(flags)
      if (slot < 0 || !right || (kind !== FILE && kind !== DIRECTORY) || this.#files.has(id)) {
        this.#numbers[at] = 0
        this.#free.push(row)
      } else this.#put(row, -1)
    }
  }

  /** Closes descriptors and leaves the rows, for a successor. */
  [Symbol.dispose](): void {
    for (const file of this.#files.values()) if (file.fd >= 0) sys.close(file.fd)
    this.#files.clear()
    this.#bySlot.clear()
  }

  #put(row: number, fd: number): void {
    const at = row * NUMBERS
    const id = f64(this.#numbers, at)
    const slot = this.#table.slotOf(f64(this.#numbers, at + NODE))
    const file: OpenFile = {
      id,
      slot,
      flags: f64(this.#numbers, at + FLAGS),
      directory: f64(this.#numbers, at + KIND) === DIRECTORY,
      row,
      fd,
      busy: 0,
      released: false,
      buffer: undefined,
      cookie: 0n,
      next: this.#bySlot.get(slot),
    }
    this.#files.set(id, file)
    this.#bySlot.set(slot, file)
    this.#table.changeHandles(slot, 1)
  }

  #unlink(file: OpenFile): void {
    const first = this.#bySlot.get(file.slot)
    if (first === file) {
      if (file.next === undefined) this.#bySlot.delete(file.slot)
      else this.#bySlot.set(file.slot, file.next)
      return
    }
    for (let before = first; before !== undefined; before = before.next) {
      if (before.next !== file) continue
      before.next = file.next
      return
    }
  }

  #take(): number {
    const free = this.#free.pop()
    if (free !== undefined) return free
    const row = this.#store.usedHandles
    if (row >= HANDLES || !this.#store.handles.reserve((row + 1) * HANDLE_BYTES)) return -sys.ENFILE
    this.#store.usedHandles = row + 1
    return row
  }
}
