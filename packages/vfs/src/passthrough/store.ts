/**
 * Where the tables of a passthrough are: one mapping, of private memory or of the journal's file.
 *
 * ```
 *  │ header │ nodes: 64 bytes each │ handles: 32 │ other names: 16 │ names: units of 16 │
 *  0       4096
 * ```
 *
 * The file is sparse and as long as it will ever be. Its pages are what the kernel keeps of it, so whatever was stored is there for a successor when this
 * process is killed between two instructions. It is not for when the machine goes down: then the clients are gone too, and a journal of another boot is emptied.
 * Space is allocated before it is touched, for a full disk would end the process (SIGBUS); where there is none, the rest is private memory.
 *
 * @module
 */
import { readFileSync, renameSync } from "node:fs"
import { Mapping, mapShared } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { f64, u32 } from "./cells.ts"
import { mix } from "./slot-index.ts"
import type { Stat } from "./stat.ts"

const PAGE = 4096
const CHUNK = 256 * 1024
export const NODE_BYTES = 64
export const HANDLE_BYTES = 32
export const OTHER_BYTES = 16
const NAME_BYTES = 32
export const HANDLES = 65536
export const OTHERS = 65536

// Words of the header.
const MAGIC = 0
const VERSION = 2
const CAPACITY = 3
const BOOT = 4
const ROOT = 6
// Numbers of the header.
const NEXT_NODE = 8
const NEXT_HANDLE = 9
const USED_NODES = 10
const USED_HANDLES = 11
const USED_OTHERS = 12

const MAGIC_LOW = 0x70656b73
const MAGIC_HIGH = 0x7366762d
const FORMAT = 1
/** Ids of successors without a journal begin later than ours end: this many a millisecond, from a day of 2020 on. Below 2^44 until 2055. */
const IDS_PER_MS = 16
const EPOCH_MS = 1_600_000_000_000

export interface StoreOptions {
  /** The most nodes there can be. */
  readonly capacity: number
  /** The journal's file; private memory where there is none. */
  readonly path?: string | undefined
}

/** A part of the mapping that is used from its beginning on. */
export class Region {
  readonly bytes: Uint8Array
  readonly words: Uint32Array
  readonly numbers: Float64Array
  readonly #grow: (from: number, to: number) => boolean
  #reserved = 0

  constructor(
    buffer: ArrayBuffer,
    offset: number,
    length: number,
    grow: (from: number, to: number) => boolean,
  ) {
    this.bytes = new Uint8Array(buffer, offset, length)
    this.words = new Uint32Array(buffer, offset, length / 4)
    this.numbers = new Float64Array(buffer, offset, length / 8)
    this.#grow = grow
  }

  /** Sees to it that the first `bytes` may be touched. */
  readonly reserve = (bytes: number): boolean => {
    if (bytes <= this.#reserved) return true
    if (bytes > this.bytes.length) return false
    const to = Math.min(Math.ceil(bytes / CHUNK) * CHUNK, this.bytes.length)
    if (!this.#grow(this.#reserved, to)) return false
    this.#reserved = to
    return true
  }
}

export class Store implements Disposable {
  readonly capacity: number
  readonly nodes: Region
  readonly handles: Region
  readonly others: Region
  readonly names: Region
  /** Whether a predecessor's nodes, handles and names are in it. */
  inherited = false
  /** What became of a journal that could not be used, in a sentence. */
  notice: string | undefined
  /** Whether the journal's disk is full, and what is new is not kept. */
  degraded = false
  readonly #mapping: Mapping
  readonly #words: Uint32Array
  readonly #numbers: Float64Array
  readonly #options: StoreOptions
  readonly #fd: number

  private constructor(options: StoreOptions) {
    this.capacity = Math.ceil(options.capacity / PAGE) * PAGE
    const sizes = [
      this.capacity * NODE_BYTES,
      HANDLES * HANDLE_BYTES,
      OTHERS * OTHER_BYTES,
      this.capacity * NAME_BYTES,
    ]
    const length = sizes.reduce((sum, size) => sum + size, PAGE)
    this.#options = options
    this.#fd = options.path === undefined ? -1 : openLocked(options.path)
    try {
      this.#mapping = this.#fd < 0 ? mapPrivate(length) : this.#mapFile(length)
    } catch (error) {
      if (this.#fd >= 0) sys.close(this.#fd)
      throw error
    }
    const buffer = this.#mapping.view(0, length)
    this.#words = new Uint32Array(buffer, 0, PAGE / 4)
    this.#numbers = new Float64Array(buffer, 0, PAGE / 8)
    this.#allocate(0, PAGE)
    let offset = PAGE
    const [nodes, handles, others, names] = sizes.map((size) => {
      const start = offset
      offset += size
      return new Region(buffer, start, size, (from, to) =>
        this.#allocate(start + from, start + to, start + size),
      )
    })
    if (nodes === undefined || handles === undefined || others === undefined || names === undefined)
      throw new Error("unreachable")
    this.nodes = nodes
    this.handles = handles
    this.others = others
    this.names = names
  }

  /** `root` is the shared directory, whose journal it has to be. Throws where another process has it. */
  static open(options: StoreOptions, root: Stat): Store {
    const store = new Store(options)
    if (store.inherited) {
      if (!store.#looksRight()) return store.replace("is damaged or is none of ours", root)
      if (!store.#isOfThisBoot()) store.#empty()
      else if (!store.#hasRoot(root)) return store.replace("is of another directory", root)
    }
    store.#begin(root, { node: 0, handle: 0 })
    return store
  }

  /** Ends this one, keeps its file aside, and returns one that is empty. Ids go on where the present ones end. */
  replace(why: string, root: Stat): Store {
    const limits = { node: this.nodeLimit, handle: this.handleLimit }
    const { path } = this.#options
    this[Symbol.dispose]()
    if (path === undefined) throw new Error(`private memory ${why}`)
    const aside = `${path}.aside`
    renameSync(path, aside)
    const store = new Store(this.#options)
    store.#begin(root, limits)
    store.notice = `The journal "${path}" ${why}: it is kept as "${aside}", and what clients hold is stale.`
    return store
  }

  /** The root is another one now. */
  changeRoot(root: Stat): void {
    this.#words.set(rootWords(root), ROOT)
  }

  nextNode(): number {
    return this.#next(NEXT_NODE)
  }

  nextHandle(): number {
    return this.#next(NEXT_HANDLE)
  }

  /** Ids below this one may have been given out. */
  get nodeLimit(): number {
    return f64(this.#numbers, NEXT_NODE)
  }

  get handleLimit(): number {
    return f64(this.#numbers, NEXT_HANDLE)
  }

  get usedNodes(): number {
    return f64(this.#numbers, USED_NODES)
  }

  set usedNodes(count: number) {
    this.#numbers[USED_NODES] = count
  }

  get usedHandles(): number {
    return f64(this.#numbers, USED_HANDLES)
  }

  set usedHandles(count: number) {
    this.#numbers[USED_HANDLES] = count
  }

  get usedOthers(): number {
    return f64(this.#numbers, USED_OTHERS)
  }

  set usedOthers(count: number) {
    this.#numbers[USED_OTHERS] = count
  }

  [Symbol.dispose](): void {
    if (this.#mapping.disposed) return
    this.#mapping[Symbol.dispose]()
    if (this.#fd >= 0) sys.close(this.#fd)
  }

  #next(which: number): number {
    const id = f64(this.#numbers, which)
    // Stored before it is given out.
    this.#numbers[which] = id + 1
    return id
  }

  #looksRight(): boolean {
    const words = this.#words
    if (u32(words, MAGIC) !== MAGIC_LOW || u32(words, MAGIC + 1) !== MAGIC_HIGH) return false
    if (u32(words, VERSION) !== FORMAT || u32(words, CAPACITY) !== this.capacity) return false
    const bounds: readonly (readonly [number, number])[] = [
      [this.nodeLimit, Number.MAX_SAFE_INTEGER],
      [this.handleLimit, Number.MAX_SAFE_INTEGER],
      [this.usedNodes, this.capacity],
      [this.usedHandles, HANDLES],
      [this.usedOthers, OTHERS],
    ]
    return bounds.every(([value, most]) => Number.isSafeInteger(value) && value >= 0 && value <= most)
  }

  #isOfThisBoot(): boolean {
    const [boot0, boot1] = bootWords()
    return u32(this.#words, BOOT) === boot0 && u32(this.#words, BOOT + 1) === boot1
  }

  #hasRoot(root: Stat): boolean {
    return rootWords(root).every((word, index) => u32(this.#words, ROOT + index) === word)
  }

  #begin(root: Stat, least: { readonly node: number; readonly handle: number }): void {
    const words = this.#words
    words[VERSION] = FORMAT
    words[CAPACITY] = this.capacity
    words.set(bootWords(), BOOT)
    words.set(rootWords(root), ROOT)
    if (!this.inherited) {
      this.#numbers[NEXT_NODE] = later(least.node, this.nodeLimit)
      this.#numbers[NEXT_HANDLE] = later(least.handle, this.handleLimit)
    }
    words[MAGIC] = MAGIC_LOW
    words[MAGIC + 1] = MAGIC_HIGH
  }

  /** Forgets all but the ids. */
  #empty(): void {
    this.inherited = false
    const { nodeLimit, handleLimit } = this
    sys.check(sys.ftruncate(this.#fd, 0), "ftruncate")
    sys.check(sys.ftruncate(this.#fd, this.#mapping.length), "ftruncate")
    this.#allocate(0, PAGE)
    this.#numbers[NEXT_NODE] = nodeLimit
    this.#numbers[NEXT_HANDLE] = handleLimit
  }

  #mapFile(length: number): Mapping {
    const size = sys.check(sys.fileSize(this.#fd), "statx")
    this.inherited = size > 0
    if (size !== length) sys.check(sys.ftruncate(this.#fd, length), "ftruncate")
    return mapShared(this.#fd, length, { shrinkable: "accept" })
  }

  /** Allocates a part of the file; where there is no room, private memory comes to be from there to `end`, which nothing has touched yet. */
  #allocate(from: number, to: number, end: number = to): boolean {
    if (this.#fd < 0) return true
    this.degraded ||= sys.fallocate(this.#fd, 0, from, to - from) < 0
    return !this.degraded || sys.mapZeros(this.#mapping.address + from, end - from) >= 0
  }
}

function openLocked(path: string): number {
  const fd = sys.check(sys.open(path, sys.O_RDWR | sys.O_CREAT | sys.O_NOFOLLOW, 0o600), "open", path)
  const locked = sys.flock(fd, sys.LOCK_EX | sys.LOCK_NB)
  if (locked >= 0) return fd
  sys.close(fd)
  throw new sys.SystemError("flock", -locked, `another process has the journal "${path}"`)
}

function mapPrivate(length: number): Mapping {
  const flags = sys.MAP_PRIVATE | sys.MAP_ANONYMOUS | sys.MAP_NORESERVE
  return new Mapping(
    sys.check(sys.mmap(length, sys.PROT_READ | sys.PROT_WRITE, flags, -1, 0), "mmap"),
    length,
  )
}

function bootWords(): readonly [number, number] {
  const id = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim().replaceAll("-", "")
  const [a = 0, b = 0, c = 0, d = 0] = [0, 8, 16, 24].map((at) => Number.parseInt(id.slice(at, at + 8), 16))
  return [mix(a, b), mix(c, d)]
}

/** Where ids begin: not where others may have ended. What is damaged counts for nothing. */
function later(...limits: readonly number[]): number {
  const now = (Date.now() - EPOCH_MS) * IDS_PER_MS
  return Math.max(now, ...limits.filter((limit) => Number.isSafeInteger(limit) && limit < 2 * now))
}

function rootWords(root: Stat): readonly number[] {
  return [root.device, root.inoLow, root.inoHigh, root.bornSeconds, root.bornNanoseconds]
}
