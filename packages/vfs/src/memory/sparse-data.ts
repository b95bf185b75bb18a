/**
 * The bytes of a file in pages that are there once they are written: what lies between them is a hole, and reads as zeros.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"

/** Bytes of a page: the grain of holes and of the space that is counted. */
export const PAGE = 4096

const ZEROS = new Uint8Array(PAGE)

/** How many pages all files of a file system may have together. */
export interface Space {
  readonly pages: number
  used: number
}

/** Nobody needs a file that is longer: what is written beyond is refused with EFBIG by whoever calls. */
export const SIZE_MAX: number = Number.MAX_SAFE_INTEGER

/** A file's bytes. Offsets and lengths are checked by the caller. */
export class SparseData {
  size = 0
  readonly #pages = new Map<number, Uint8Array>()
  readonly #space: Space

  constructor(space: Space) {
    this.#space = space
  }

  get pages(): number {
    return this.#pages.size
  }

  /** Copies `length` bytes, all within the file, to an address. */
  read(offset: number, length: number, address: number): void {
    for (let done = 0; done < length; ) {
      const at = (offset + done) % PAGE
      const part = Math.min(PAGE - at, length - done)
      const page = this.#pages.get(Math.floor((offset + done) / PAGE)) ?? ZEROS
      sys.copyToMemory(address + done, page.subarray(at, at + part))
      done += part
    }
  }

  /** Copies bytes from an address into the file, and returns how many there was space for. The file grows with them. */
  write(offset: number, length: number, address: number): number {
    let done = 0
    while (done < length) {
      const at = (offset + done) % PAGE
      const part = Math.min(PAGE - at, length - done)
      const page = this.#page(Math.floor((offset + done) / PAGE))
      if (page === undefined) break
      sys.copyFromMemory(page.subarray(at, at + part), address + done)
      done += part
    }
    if (done > 0) this.size = Math.max(this.size, offset + done)
    return done
  }

  /** Copies bytes of another file, or of another part of this one that does not overlap. Returns how many there was space for. */
  copyFrom(from: SparseData, fromOffset: number, offset: number, length: number): number {
    let done = 0
    while (done < length) {
      const source = (fromOffset + done) % PAGE
      const at = (offset + done) % PAGE
      const part = Math.min(PAGE - source, PAGE - at, length - done)
      const page = this.#page(Math.floor((offset + done) / PAGE))
      if (page === undefined) break
      const bytes = from.#pages.get(Math.floor((fromOffset + done) / PAGE)) ?? ZEROS
      page.set(bytes.subarray(source, source + part), at)
      done += part
    }
    if (done > 0) this.size = Math.max(this.size, offset + done)
    return done
  }

  resize(size: number): void {
    if (size < this.size) this.punch(size, Infinity)
    this.size = size
  }

  /** Makes a hole of all that lies in the range. */
  punch(offset: number, end: number): void {
    for (const [index, page] of this.#pages) {
      const first = Math.max(offset - index * PAGE, 0)
      const last = Math.min(end - index * PAGE, PAGE)
      if (first >= last) continue
      if (first > 0 || last < PAGE) page.fill(0, first, last)
      else this.#drop(index)
    }
  }

  /** Has pages for all of the range. False where there is not space enough; nothing has changed then. */
  reserve(offset: number, end: number): boolean {
    const first = Math.floor(offset / PAGE)
    const last = Math.ceil(end / PAGE)
    let missing = last - first
    for (const index of this.#pages.keys()) if (index >= first && index < last) missing--
    if (missing > this.#space.pages - this.#space.used) return false
    for (let index = first; index < last; index++) this.#page(index)
    return true
  }

  /** Where data begins at or after `offset`; undefined where none does. */
  nextData(offset: number): number | undefined {
    const from = Math.floor(offset / PAGE)
    let next = Infinity
    for (const index of this.#pages.keys()) if (index >= from && index < next) next = index
    if (next * PAGE >= this.size) return undefined
    return Math.max(offset, next * PAGE)
  }

  /** Where a hole begins at or after `offset`: behind the last byte is one. */
  nextHole(offset: number): number {
    let index = Math.floor(offset / PAGE)
    while (this.#pages.has(index)) index++
    return Math.min(Math.max(offset, index * PAGE), this.size)
  }

  /** Gives all space back. */
  clear(): void {
    this.#space.used -= this.#pages.size
    this.#pages.clear()
  }

  #page(index: number): Uint8Array | undefined {
    const there = this.#pages.get(index)
    if (there !== undefined) return there
    if (this.#space.used >= this.#space.pages) return undefined
    const page = new Uint8Array(PAGE)
    this.#pages.set(index, page)
    this.#space.used++
    return page
  }

  #drop(index: number): void {
    if (this.#pages.delete(index)) this.#space.used--
  }
}
