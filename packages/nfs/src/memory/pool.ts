/**
 * The memory of a server: one private mapping, cut into chunks of two sizes, for what arrives and for what leaves.
 *
 * ```
 *  │ receive, small … │ reply, small … │ receive, large … │ reply, large … │
 * ```
 *
 * What arrives and what leaves never take from each other: replies always come free again when a client reads or is given up, so requests that
 * wait for room of a reply do not wait for ever. Pages never touched cost nothing, and those of an idle server are given back.
 *
 * @module
 */
import { type Mapping, mapAnonymous } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"

/** Holds some hundreds of ordinary calls or replies. */
export const SMALL: number = 64 * 1024
/** Holds the longest record with its fragments' marks, and more. */
export const LARGE: number = 4 * 1024 * 1024

export type Size = "small" | "large"

/** A piece of memory with references: its owner's, and one of each operation or reply that lies in it. */
export class Chunk {
  /** Offset in the memory. */
  readonly start: number
  readonly end: number
  readonly size: Size
  /** Where the next thing goes. Its users' to move. */
  used: number
  #references = 0
  readonly #pool: ChunkPool

  constructor(pool: ChunkPool, start: number, size: Size) {
    this.#pool = pool
    this.start = start
    this.end = start + (size === "small" ? SMALL : LARGE)
    this.size = size
    this.used = start
  }

  get room(): number {
    return this.end - this.used
  }

  /** Whether nothing but its owner needs it. */
  get alone(): boolean {
    return this.#references === 1
  }

  hold(): void {
    this.#references++
  }

  drop(): void {
    this.#references--
    if (this.#references > 0) return
    this.used = this.start
    this.#pool.give(this)
  }
}

/** Chunks of one size and purpose: the one that was used last is the next one, while the processor still has it at hand. */
export class ChunkPool {
  readonly #free: Chunk[] = []
  /** Those that were taken since the last `trim`. */
  readonly #touched = new Set<Chunk>()
  readonly #onFree: () => void

  constructor(
    place: { readonly start: number; readonly count: number; readonly size: Size },
    onFree: () => void,
  ) {
    const bytes = place.size === "small" ? SMALL : LARGE
    for (let index = place.count - 1; index >= 0; index--)
      this.#free.push(new Chunk(this, place.start + index * bytes, place.size))
    this.#onFree = onFree
  }

  get free(): number {
    return this.#free.length
  }

  /** A chunk with one reference, or undefined where all are in use. */
  take(): Chunk | undefined {
    const chunk = this.#free.pop()
    if (chunk === undefined) return undefined
    this.#touched.add(chunk)
    chunk.hold()
    return chunk
  }

  give(chunk: Chunk): void {
    this.#free.push(chunk)
    this.#onFree()
  }

  /** Gives the pages of free chunks back to the kernel. */
  trim(address: number): void {
    for (const chunk of this.#free) {
      if (!this.#touched.delete(chunk)) continue
      sys.madvise(address + chunk.start, chunk.end - chunk.start, sys.MADV_DONTNEED)
    }
  }
}

export interface MemoryLimits {
  /** Chunks of 64 KiB for what arrives, and as many for replies. One connection with something on its way needs one of each. */
  readonly small: number
  /** Chunks of 4 MiB for long records, and as many for long replies. */
  readonly large: number
}

export class Memory implements Disposable {
  readonly address: number
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly receive: Readonly<Record<Size, ChunkPool>>
  readonly reply: Readonly<Record<Size, ChunkPool>>
  readonly #mapping: Mapping
  /** Those who wait for a chunk; each is told once. */
  readonly #waiting = new Set<() => void>()
  /** Operations that somebody else carries out in this memory. */
  #busy = 0
  #disposed = false

  constructor(limits: MemoryLimits) {
    const { small, large } = limits
    const length = 2 * (small * SMALL + large * LARGE)
    this.#mapping = mapAnonymous(length)
    this.address = this.#mapping.address
    const buffer = this.#mapping.view(0, length)
    this.bytes = new Uint8Array(buffer)
    this.view = new DataView(buffer)
    const onFree = () => this.#wake()
    const largeStart = 2 * small * SMALL
    this.receive = {
      small: new ChunkPool({ start: 0, count: small, size: "small" }, onFree),
      large: new ChunkPool({ start: largeStart, count: large, size: "large" }, onFree),
    }
    this.reply = {
      small: new ChunkPool({ start: small * SMALL, count: small, size: "small" }, onFree),
      large: new ChunkPool({ start: largeStart + large * LARGE, count: large, size: "large" }, onFree),
    }
  }

  get disposed(): boolean {
    return this.#disposed
  }

  /** An operation that goes on without us begins: the memory stays until `end`. */
  begin(): void {
    this.#busy++
  }

  end(): void {
    this.#busy--
    if (this.#busy === 0 && this.#disposed) this.#mapping[Symbol.dispose]()
  }

  /** Calls `wake` once, when a chunk has come free. */
  whenFree(wake: () => void): void {
    this.#waiting.add(wake)
  }

  forgetWaiting(wake: () => void): void {
    this.#waiting.delete(wake)
  }

  trim(): void {
    if (this.#disposed) return
    for (const pool of [this.receive.small, this.receive.large, this.reply.small, this.reply.large])
      pool.trim(this.address)
  }

  /** Gives the memory back, as soon as no operation is under way in it. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#waiting.clear()
    if (this.#busy === 0) this.#mapping[Symbol.dispose]()
  }

  #wake(): void {
    if (this.#waiting.size === 0) return
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of waiting) wake()
  }
}
