/**
 * Memory by the addresses of this process: what system calls read and write.
 *
 * What is in the arena is copied and summed up in place. Memory elsewhere, as a machine's own, is reached by the C library's memcpy, and brought into
 * the arena to be summed up. Addresses outside are trusted: who gives one has checked it.
 *
 * @module
 */
import type { Scope, Timer } from "@skep/loop"
import { Iovecs, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { Arena, type ArenaMemory, type ArenaOptions, SCRATCH } from "./arena.ts"
import { copyBytes } from "./element.ts"

const TRIM_MS = 1000
const IOVECS = 32 * 1024

export interface SystemMemoryOptions extends ArenaOptions {
  /** With it pages that have been free for one to two seconds go back to the system. Without, whenever `trim` is called. */
  readonly scope?: Scope
}

/** One for each thread, shared by its links and its flows. */
export class SystemMemory implements ArenaMemory, Disposable {
  readonly arena: Arena
  /** The arena's bytes: the byte at the address `a` is at `a - base`. */
  readonly bytes: Uint8Array
  /** The address of the arena's first byte. */
  readonly base: number
  /** For one gathering call, and over with it. */
  readonly iovecs: Iovecs
  readonly #end: number
  readonly #scratch = new Scratch(IOVECS)
  readonly #timer: Timer | undefined
  #trimming = false

  constructor(options: SystemMemoryOptions = {}) {
    this.arena = new Arena(options)
    this.bytes = this.arena.bytes
    this.base = sys.addressOf(this.arena.buffer)
    this.#end = this.base + this.bytes.length
    this.iovecs = new Iovecs(this.#scratch, "iovecs")
    this.#timer = options.scope?.timer(() => {
      this.#trimming = false
      if (this.trim()) this.#trimLater()
    })
  }

  /** Whether all of it lies in the arena, so that `bytes` has it. */
  contains(address: number, length: number): boolean {
    return address >= this.base && address + length <= this.#end
  }

  copy(from: number, to: number, length: number): void {
    const { base } = this
    if (this.contains(from, length) && this.contains(to, length))
      this.bytes.copyWithin(to - base, from - base, from - base + length)
    else sys.copyMemory(to, from, length)
  }

  read(from: number, length: number, into: Uint8Array, at: number): void {
    if (this.contains(from, length)) copyBytes(this.bytes, from - this.base, length, into, at)
    else sys.copyFromMemory(into.subarray(at, at + length), from)
  }

  write(from: Uint8Array, at: number, length: number, to: number): void {
    if (this.contains(to, length)) copyBytes(from, at, length, this.bytes, to - this.base)
    else sys.copyToMemory(to, from.subarray(at, at + length))
  }

  sum(address: number, length: number, seed: number): number {
    const { arena, base } = this
    if (this.contains(address, length)) return arena.sum(address - base, length, seed)
    let total = seed
    for (let done = 0; done < length; done += SCRATCH) {
      const part = Math.min(SCRATCH, length - done)
      sys.copyMemory(base + arena.scratch, address + done, part)
      total = arena.sum(arena.scratch, part, total)
    }
    return total
  }

  allocate(length: number): number {
    const offset = this.arena.heap.allocate(length)
    return offset < 0 ? 0 : this.base + this.arena.heapAt + offset
  }

  free(address: number, length: number): void {
    this.arena.heap.free(address - this.base - this.arena.heapAt, length)
    if (!this.#trimming) this.#trimLater()
  }

  /** Gives back pages that were free at the last call too. Returns whether more may follow at the next. */
  trim(): boolean {
    const start = this.base + this.arena.heapAt
    return this.arena.heap.trim((offset, length) => {
      sys.check(sys.madvise(start + offset, length, sys.MADV_DONTNEED), "madvise")
    })
  }

  [Symbol.dispose](): void {
    this.#timer?.cancel()
    this.#scratch[Symbol.dispose]()
  }

  #trimLater(): void {
    if (this.#timer === undefined) return
    this.#trimming = true
    this.#timer.after(TRIM_MS)
  }
}
