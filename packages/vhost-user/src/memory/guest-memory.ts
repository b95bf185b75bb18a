/**
 * The guest's memory in this process: regions by guest address, and by the addresses of the front end's process.
 *
 * ```
 *   guest physical    | region 0 |      hole      |   region 1 (over 4 GiB)   |
 *   front end         |    user address 1 …  |    | user address 0 |
 *   this process      |  mapping 0  |         |         mapping 1         |
 * ```
 *
 * Descriptors name guest addresses, ring addresses are those of the front end (docs/interop/vhost-user.rst, "Memory region
 * description"). Every address comes from outside and is checked here, nowhere else.
 *
 * @module
 */
import { type Mapping, mapShared, type Views, WINDOW_OVERLAP, WINDOW_STRIDE } from "@skep/loop/memory"
import type { MemoryRegion } from "../protocol/payload.ts"

interface Mapped extends MemoryRegion {
  readonly mapping: Mapping
  /** Its first GiB, where most of what is copied lies. */
  readonly first: Views
  readonly firstBytes: number
}

export interface GuestMemoryOptions {
  /** What a file may do that could shrink: see `mapShared` of @skep/loop. "refuse" unless told. */
  readonly shrinkable?: "refuse" | "accept"
}

export class GuestMemory implements Disposable {
  /** By guest address. */
  readonly #regions: Mapped[] = []
  readonly #options: GuestMemoryOptions
  #last: Mapped | undefined
  /** After `locate` found something: where the byte is here, and how many bytes follow it in one piece. */
  address = 0
  room = 0
  /** After `#window` found something: where the byte is in it, and how many of those asked for are in one piece. */
  #inWindow = 0
  #part = 0

  constructor(options: GuestMemoryOptions = {}) {
    this.#options = options
  }

  get regions(): readonly MemoryRegion[] {
    return this.#regions
  }

  /** Bytes of all regions. */
  get size(): number {
    return this.#regions.reduce((sum, { size }) => sum + size, 0)
  }

  /**
   * Maps a region. The descriptor stays the caller's and may be closed afterwards. Throws a `RangeError` for one that lies over
   * another in the guest or in the front end, and what `mapShared` throws.
   */
  add(region: MemoryRegion, fd: number): void {
    const clash = this.#regions.find((other) => overlap(region, other))
    if (clash !== undefined)
      throw new RangeError(
        `the region at ${hex(region.guestAddress)} lies over the one at ${hex(clash.guestAddress)}`,
      )
    const mapping = mapShared(fd, region.size, { ...this.#options, offset: region.mapOffset })
    const [first] = mapping.windows
    if (first === undefined) throw new RangeError("a region is empty")
    this.#regions.push({ ...region, mapping, first, firstBytes: Math.min(region.size, WINDOW_STRIDE) })
    this.#regions.sort((a, b) => a.guestAddress - b.guestAddress)
  }

  /** Unmaps the region that is exactly this one. Returns whether there was one. */
  remove({ guestAddress, size, userAddress }: MemoryRegion): boolean {
    const index = this.#regions.findIndex(
      (each) => each.guestAddress === guestAddress && each.size === size && each.userAddress === userAddress,
    )
    if (index < 0) return false
    this.#last = undefined
    this.#regions.splice(index, 1)[0]?.mapping[Symbol.dispose]()
    return true
  }

  /** Finds the byte at a guest address and fills `address` and `room`. Returns false where the guest has no memory. */
  locate(guestAddress: number): boolean {
    let region = this.#last
    if (region === undefined || !holds(region, guestAddress)) {
      region = this.#find(guestAddress)
      if (region === undefined) return false
      this.#last = region
    }
    const offset = guestAddress - region.guestAddress
    this.address = region.mapping.address + offset
    this.room = region.size - offset
    return true
  }

  /** Copies guest memory to `into` from `at` on; returns false where a part of it is outside. */
  copyOut(guestAddress: number, length: number, into: Copy, at: number = 0): boolean {
    for (let done = 0; done < length; done += this.#part) {
      const window = this.#window(guestAddress + done, length - done)
      if (window === undefined) return false
      copy(window, this.#inWindow, into, at + done, this.#part)
    }
    return true
  }

  /** Copies `length` bytes of `from` to guest memory; returns false where a part of that is outside. */
  copyIn(from: Copy, at: number, guestAddress: number, length: number): boolean {
    for (let done = 0; done < length; done += this.#part) {
      const window = this.#window(guestAddress + done, length - done)
      if (window === undefined) return false
      copy(from, at + done, window, this.#inWindow, this.#part)
    }
    return true
  }

  /** The memory of a ring, by the front end's address of its first byte; undefined where it does not lie whole in one region. */
  viewOfUser(userAddress: number, length: number): View | undefined {
    const region = this.#regions.find(
      (each) => userAddress >= each.userAddress && userAddress + length <= each.userAddress + each.size,
    )
    if (region === undefined) return undefined
    const offset = userAddress - region.userAddress
    const buffer = region.mapping.view(offset, length)
    return { buffer, release: () => region.mapping.release(buffer) }
  }

  /** Unmaps everything. Views that somebody still holds are empty from then on. */
  clear(): void {
    this.#last = undefined
    for (const { mapping } of this.#regions.splice(0)) mapping[Symbol.dispose]()
  }

  [Symbol.dispose](): void {
    this.clear()
  }

  /** Finds the view that a guest's byte is in, and fills `#inWindow` and `#part`. */
  #window(guestAddress: number, wanted: number): Views | undefined {
    const near = this.#last
    if (near !== undefined) {
      const offset = guestAddress - near.guestAddress
      if (offset >= 0 && offset + wanted <= near.firstBytes) {
        this.#inWindow = offset
        this.#part = wanted
        return near.first
      }
    }
    if (!this.locate(guestAddress) || this.#last === undefined) return undefined
    const { windows, address } = this.#last.mapping
    const offset = this.address - address
    this.#inWindow = offset % WINDOW_STRIDE
    this.#part = Math.min(wanted, this.room, WINDOW_STRIDE + WINDOW_OVERLAP - this.#inWindow)
    return windows[Math.floor(offset / WINDOW_STRIDE)]
  }

  /** Few regions, and mostly the last one again: a search through them is as fast as a cleverer one. */
  #find(guestAddress: number): Mapped | undefined {
    for (const region of this.#regions) if (holds(region, guestAddress)) return region
    return undefined
  }
}

/** Private memory, as bytes and as words. */
export type Copy = Views

export function newCopy(bytes: number): Copy {
  const buffer = new ArrayBuffer(bytes)
  const u32 = new Uint32Array(buffer, 0, bytes >>> 2)
  return { bytes: new Uint8Array(buffer), u16: new Uint16Array(buffer, 0, bytes >>> 1), u32 }
}

/** A part of guest memory as an `ArrayBuffer`; released, or when its region goes, it is empty. */
export interface View {
  readonly buffer: ArrayBuffer
  readonly release: () => void
}

function holds(region: MemoryRegion, guestAddress: number): boolean {
  return guestAddress >= region.guestAddress && guestAddress < region.guestAddress + region.size
}

function overlap(a: MemoryRegion, b: MemoryRegion): boolean {
  const inGuest = a.guestAddress < b.guestAddress + b.size && b.guestAddress < a.guestAddress + a.size
  return inGuest || (a.userAddress < b.userAddress + b.size && b.userAddress < a.userAddress + a.size)
}

/**
 * `set` with a `subarray` takes 50 ns whatever the length; a loop 0.35 ns a byte where both sides are aligned alike to words, 0.65 to half words, 1.8
 * otherwise (measured). So up to these lengths a loop is faster.
 */
const FEW_WORDS = 128
const FEW_HALVES = 64
const FEW_BYTES = 24

function copy(from: Views, at: number, to: Views, start: number, count: number): void {
  const apart = at ^ start
  if ((apart & 3) === 0 && count <= FEW_WORDS) copyWords(from, at, to, start, count)
  else if ((apart & 1) === 0 && count <= FEW_HALVES) copyHalves(from, at, to, start, count)
  else if (count <= FEW_BYTES) copyBytes(from, at, to, start, count)
  else to.bytes.set(from.bytes.subarray(at, at + count), start)
}

function copyWords(from: Views, at: number, to: Views, start: number, count: number): void {
  const source = from.u32
  const target = to.u32
  // Bytes before the first whole word.
  const ahead = Math.min(count, -at & 3)
  copyBytes(from, at, to, start, ahead)
  const end = (at + count) >>> 2
  let into = (start + ahead) >>> 2
  for (let word = (at + ahead) >>> 2; word < end; word++, into++) target[into] = source[word] ?? 0
  const done = Math.max(ahead, end * 4 - at)
  copyBytes(from, at + done, to, start + done, count - done)
}

function copyHalves(from: Views, at: number, to: Views, start: number, count: number): void {
  const source = from.u16
  const target = to.u16
  const ahead = Math.min(count, at & 1)
  copyBytes(from, at, to, start, ahead)
  const end = (at + count) >>> 1
  let into = (start + ahead) >>> 1
  for (let half = (at + ahead) >>> 1; half < end; half++, into++) target[into] = source[half] ?? 0
  const done = Math.max(ahead, end * 2 - at)
  copyBytes(from, at + done, to, start + done, count - done)
}

function copyBytes(from: Views, at: number, to: Views, start: number, count: number): void {
  for (let done = 0; done < count; done++) to.bytes[start + done] = from.bytes[at + done] ?? 0
}

function hex(value: number): string {
  return `0x${value.toString(16)}`
}
