/**
 * From a node to a descriptor of its file: opened one name at a time below the root's own descriptor, and checked to be that file.
 *
 * A descriptor is O_PATH: it opens nothing, waits for nothing, and stays with the file when it is renamed. There is a bounded number of them; the one that was
 * not used for longest goes first, and its file is looked for again where it was seen last: under its names, then in the whole of the directory, for others rename too.
 *
 * No symbolic link is ever followed, since every name is opened with O_NOFOLLOW and is not `..`. A directory that others move out of the root
 * meanwhile is left by them with our descriptor in it, and is still what the client was shown; nothing above it can be reached.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import { i32 } from "./cells.ts"
import type { Memory } from "./memory.ts"
import { DEPTH, DESCRIPTOR, NEWER, type NodeTable, OLDER, ROOT_SLOT } from "./node-table.ts"
import { scan } from "./scan.ts"
import { Stat } from "./stat.ts"

const OPEN = sys.O_PATH | sys.O_NOFOLLOW
/** No single operation uses more at a time. */
const LEAST = 64

export interface WalkerOptions {
  readonly path: string
  readonly most: number
}

export class Walker implements Disposable {
  /** Of /proc/self/fd. */
  readonly descriptors: number
  readonly #path: string
  readonly #most: number
  readonly #memory: Memory
  readonly #table: NodeTable
  /** Apart from that of the operation, whose answer is not to be disturbed. */
  readonly #stat: Stat
  readonly #chain = new Int32Array(DEPTH)
  /** How much of the chain walks are in: one may begin another. */
  #depth = 0
  /** The ring's ends, as slot + 1: 0 is none. */
  #newest = 0
  #oldest = 0
  #count = 0
  #root: number

  constructor(memory: Memory, table: NodeTable, options: WalkerOptions, root: number) {
    this.#memory = memory
    this.#table = table
    this.#stat = new Stat(memory, memory.walkedStat)
    this.#path = options.path
    this.#most = Math.max(options.most, LEAST)
    this.#root = root
    this.descriptors = sys.check(
      sys.open("/proc/self/fd", sys.O_PATH | sys.O_DIRECTORY),
      "open",
      "/proc/self/fd",
    )
    table.onDrop = (slot) => this.close(slot)
  }

  get root(): number {
    return this.#root
  }

  /** How many descriptors are kept, besides the root's. */
  get count(): number {
    return this.#count
  }

  /** A descriptor of the node's file, good until the next call. ESTALE where it is not found. */
  descriptor(slot: number): number {
    if (slot === ROOT_SLOT) return this.#root < 0 ? -sys.ESTALE : this.#root
    const fd = this.#table.word(slot, DESCRIPTOR) - 1
    if (fd < 0) return this.#walk(slot)
    this.#touch(slot)
    return fd
  }

  /** The descriptor that is kept already, or -1. */
  kept(slot: number): number {
    return slot === ROOT_SLOT ? this.#root : this.#table.word(slot, DESCRIPTOR) - 1
  }

  /** Opens the name at the address `name` below a directory, where it is the node's file, and keeps the descriptor. */
  open(slot: number, directory: number, name: number): number {
    let fd = sys.openat(directory, name, OPEN)
    if ((fd === -sys.EMFILE || fd === -sys.ENFILE) && this.makeRoom()) fd = sys.openat(directory, name, OPEN)
    if (fd < 0) return missing(fd) ? -sys.ESTALE : fd
    const result = this.#stat.ofDescriptor(fd)
    if (result < 0 || !this.#table.is(slot, this.#stat)) {
      sys.close(fd)
      return result < 0 ? result : -sys.ESTALE
    }
    this.#keep(slot, fd)
    return fd
  }

  /** Closes half of what is kept, for somebody who cannot open what he needs. Returns whether there was any. */
  makeRoom(): boolean {
    const most = this.#count >> 1
    if (this.#count <= LEAST) return false
    while (this.#count > most) this.close(this.#oldest - 1)
    return true
  }

  close(slot: number): void {
    const fd = this.#table.word(slot, DESCRIPTOR) - 1
    if (fd < 0) return
    this.#unlink(slot)
    this.#table.setWord(slot, DESCRIPTOR, 0)
    this.#count--
    sys.close(fd)
  }

  /** Looks whether the root's path leads to the directory that is served. Serves another one that is there instead. */
  checkRoot(): "same" | "replaced" | "gone" {
    const fd = openRoot(this.#path)
    if (fd < 0) return this.#leaveRoot()
    const found = this.#stat.ofDescriptor(fd)
    if (found >= 0 && this.#root >= 0 && this.#table.is(ROOT_SLOT, this.#stat)) {
      sys.close(fd)
      return "same"
    }
    this.#leaveRoot()
    this.#root = fd
    this.#table.setRoot(this.#stat)
    return "replaced"
  }

  /** What the root is, as it was asked by `checkRoot`. */
  get rootStat(): Stat {
    return this.#stat
  }

  [Symbol.dispose](): void {
    this.#leaveRoot()
    sys.close(this.descriptors)
  }

  #leaveRoot(): "gone" {
    while (this.#oldest > 0) this.close(this.#oldest - 1)
    if (this.#root >= 0) sys.close(this.#root)
    this.#root = -1
    return "gone"
  }

  #walk(slot: number): number {
    const table = this.#table
    const start = this.#depth
    let at = slot
    while (at !== ROOT_SLOT && table.word(at, DESCRIPTOR) === 0) {
      if (table.isGone(at)) return this.#leave(start, -sys.ESTALE)
      if (this.#depth >= DEPTH) return this.#leave(start, -sys.ELOOP)
      this.#chain[this.#depth++] = at
      at = table.parent(at)
    }
    let fd = this.descriptor(at)
    while (fd >= 0 && this.#depth > start) {
      this.#depth--
      fd = this.#openChild(i32(this.#chain, this.#depth), fd)
    }
    return this.#leave(start, fd)
  }

  #leave(depth: number, result: number): number {
    this.#depth = depth
    return result
  }

  #openChild(slot: number, directory: number): number {
    const { names } = this.#table
    const { walked } = this.#memory
    names.copy(this.#table.name(slot), walked.bytes)
    const fd = this.open(slot, directory, walked.address)
    if (fd !== -sys.ESTALE) return fd
    const other = this.#openByOtherName(slot)
    return other === -sys.ESTALE ? this.#openByNumber(slot) : other
  }

  /** A file with several names may have lost the one that was tried. */
  #openByOtherName(slot: number): number {
    const { names } = this.#table
    for (let left = this.#table.nameCount(slot) - 1; left > 0 && this.#table.rotate(slot); left--) {
      const directory = this.descriptor(this.#table.parent(slot))
      if (directory < 0) continue
      names.copy(this.#table.name(slot), this.#memory.walked.bytes)
      const fd = this.open(slot, directory, this.#memory.walked.address)
      if (fd !== -sys.ESTALE) return fd
    }
    return -sys.ESTALE
  }

  /** Somebody of the host may have renamed it within its directory: its number says which it is. Looked for once. */
  #openByNumber(slot: number): number {
    const table = this.#table
    if (table.isLost(slot)) return -sys.ESTALE
    const parent = table.parent(slot)
    const directory = this.descriptor(parent)
    if (directory < 0) return directory
    const { walked } = this.#memory
    const [low, high] = [table.inoLow(slot), table.inoHigh(slot)]
    let fd = -sys.ESTALE
    scan(this.#memory, directory, (entry) => {
      if (entry.inoLow !== low || entry.inoHigh !== high) return true
      walked.bytes.set(entry.name)
      walked.bytes[entry.name.length] = 0
      fd = this.open(slot, directory, walked.address)
      return fd < 0
    })
    if (fd < 0) table.setLost(slot)
    else table.seenAt(slot, parent, walked.bytes, walked.bytes.indexOf(0), false)
    return fd
  }

  #keep(slot: number, fd: number): void {
    if (this.#count >= this.#most) this.close(this.#oldest - 1)
    this.#table.setWord(slot, DESCRIPTOR, fd + 1)
    this.#count++
    this.#link(slot)
  }

  #touch(slot: number): void {
    if (this.#newest === slot + 1) return
    this.#unlink(slot)
    this.#link(slot)
  }

  #link(slot: number): void {
    const table = this.#table
    table.setWord(slot, OLDER, this.#newest)
    table.setWord(slot, NEWER, 0)
    if (this.#newest > 0) table.setWord(this.#newest - 1, NEWER, slot + 1)
    else this.#oldest = slot + 1
    this.#newest = slot + 1
  }

  #unlink(slot: number): void {
    const table = this.#table
    const newer = table.word(slot, NEWER)
    const older = table.word(slot, OLDER)
    if (newer > 0) table.setWord(newer - 1, OLDER, older)
    else this.#newest = older
    if (older > 0) table.setWord(older - 1, NEWER, newer)
    else this.#oldest = newer
  }
}

/** A descriptor of the shared directory, or `-errno`. */
export function openRoot(path: string): number {
  return sys.open(path, sys.O_PATH | sys.O_DIRECTORY | sys.O_NOFOLLOW)
}

/** Whether an error says that the file is not at its place. */
function missing(result: number): boolean {
  return (
    result === -sys.ENOENT || result === -sys.ENOTDIR || result === -sys.ELOOP || result === -sys.ENAMETOOLONG
  )
}
