/**
 * Mapped memory whose views cannot outlive it.
 *
 * ```
 *  fd, offset ──mmap──► address … address + length
 *                       │ window 0: 1 GiB + 1 MiB │
 *                                        │ window 1: 1 GiB + 1 MiB │ …
 * ```
 *
 * A view over 6 GiB would abort the process, so there is one a GiB. Neighbours overlap by 1 MiB: a structure of up to 1 MiB lies whole in the
 * window it begins in.
 *
 * @module
 */
import * as c from "../sys/constants.ts"
import { EINVAL, EOVERFLOW } from "../sys/errno.ts"
import { check, SystemError } from "../sys/error.ts"
import { viewOf } from "../sys/libc.ts"
import { addSeals, fileSize, getSeals, mapZeros, mmap, munmap } from "../sys/shared-memory.ts"
import { detach } from "./detach.ts"

export const WINDOW_SHIFT = 30
export const WINDOW_STRIDE: number = 2 ** WINDOW_SHIFT
export const WINDOW_OVERLAP: number = 2 ** 20

/** Typed views over one part of a mapping. Offsets count from its beginning. */
export interface Views {
  readonly bytes: Uint8Array
  readonly u16: Uint16Array
  readonly u32: Uint32Array
}

/** Memory of this process. After disposal `address` is 0, every view is empty, and kernel calls with old addresses say EFAULT. */
export class Mapping implements Disposable {
  readonly length: number
  readonly #empty: typeof detach
  #address: number
  #buffers: ArrayBuffer[] = []
  #windows: readonly Views[] | undefined

  /** Owns the memory from now on. `empty` is for tests of engines that cannot. */
  constructor(address: number, length: number, empty: typeof detach = detach) {
    this.#address = address
    this.length = length
    this.#empty = empty
  }

  get address(): number {
    return this.#address
  }

  get disposed(): boolean {
    return this.#address === 0
  }

  /** One a GiB: the byte at `offset` is in window `offset >> 30` at `offset & (2^30 - 1)`. Made when first asked for. */
  get windows(): readonly Views[] {
    this.#windows ??= this.#makeWindows()
    return this.#windows
  }

  /** An `ArrayBuffer` over a range of at most 1 GiB + 1 MiB. Costs about a microsecond, so keep it. */
  view(offset: number, length: number): ArrayBuffer {
    if (this.disposed) throw new Error("Cannot view a mapping that is disposed of")
    const inside = offset >= 0 && length > 0 && offset + length <= this.length
    if (!inside || length > WINDOW_STRIDE + WINDOW_OVERLAP)
      throw new RangeError(`Cannot view ${length} bytes at ${offset} of a mapping of ${this.length}`)
    const buffer = viewOf(this.#address + offset, length)
    this.#buffers.push(buffer)
    return buffer
  }

  /** Empties one view early, as when a ring moves. */
  release(buffer: ArrayBuffer): void {
    const index = this.#buffers.indexOf(buffer)
    // One that cannot be emptied stays known, so that disposal leaves memory under it.
    if (index >= 0 && this.#empty(buffer)) this.#buffers.splice(index, 1)
  }

  /** Empties every view, then gives the memory back. Idempotent. */
  [Symbol.dispose](): void {
    if (this.disposed) return
    const address = this.#address
    this.#address = 0
    this.#windows = []
    let emptied = true
    for (const buffer of this.#buffers) emptied = this.#empty(buffer) && emptied
    this.#buffers = []
    // Where a view is left, its addresses stay ours and read zeros: the file is let go of, and nobody crashes.
    if (emptied) check(munmap(address, this.length), "munmap")
    else check(mapZeros(address, this.length), "mmap")
  }

  #makeWindows(): readonly Views[] {
    const count = Math.ceil(this.length / WINDOW_STRIDE)
    return Array.from({ length: count }, (_, index) => {
      const offset = index * WINDOW_STRIDE
      const length = Math.min(WINDOW_STRIDE + WINDOW_OVERLAP, this.length - offset)
      return typedViews(this.view(offset, length))
    })
  }
}

/** The typed views of a buffer; what does not fill a word at its end is left out of the wider ones. */
export function typedViews(buffer: ArrayBuffer): Views {
  return {
    bytes: new Uint8Array(buffer),
    u16: new Uint16Array(buffer, 0, buffer.byteLength >>> 1),
    u32: new Uint32Array(buffer, 0, buffer.byteLength >>> 2),
  }
}

/** Private zeroed memory. */
export function mapAnonymous(length: number): Mapping {
  const flags = c.MAP_PRIVATE | c.MAP_ANONYMOUS
  return new Mapping(check(mmap(length, c.PROT_READ | c.PROT_WRITE, flags, -1, 0), "mmap"), length)
}

export interface MapSharedOptions {
  /** A multiple of the page size of the file. 0 unless told. */
  readonly offset?: number
  readonly readOnly?: boolean
  /**
   * What to do with a file that its other owner could truncate. A touched page beyond the new end is SIGBUS, which ends the process
   * and cannot be caught from JavaScript. "refuse" unless told; "accept" for files and hugetlbfs of an owner that is trusted.
   */
  readonly shrinkable?: "refuse" | "accept"
}

/**
 * Maps `length` bytes of a file that others map too, as a hypervisor's memory. The descriptor may be closed afterwards.
 *
 * Throws a `SystemError`: EOVERFLOW where the file is shorter than what is to be mapped, EINVAL where it can shrink. A memfd whose owner left
 * it unsealed but open for seals is sealed here.
 */
export function mapShared(fd: number, length: number, options: MapSharedOptions = {}): Mapping {
  const offset = options.offset ?? 0
  // Seal before size: the other way round it could shrink in between.
  if ((options.shrinkable ?? "refuse") === "refuse" && !sealShrink(fd))
    throw new SystemError(
      "mmap",
      EINVAL,
      "the memory is not sealed against shrinking (F_SEAL_SHRINK), so its owner could crash us",
    )
  const size = check(fileSize(fd), "statx")
  if (length <= 0 || offset + length > size)
    throw new SystemError(
      "mmap",
      EOVERFLOW,
      `${length} bytes at ${offset} are not all inside a file of ${size}`,
    )
  const protection = options.readOnly === true ? c.PROT_READ : c.PROT_READ | c.PROT_WRITE
  return new Mapping(check(mmap(length, protection, c.MAP_SHARED, fd, offset), "mmap"), length)
}

/** Whether the file cannot shrink any more. */
function sealShrink(fd: number): boolean {
  const seals = getSeals(fd)
  if (seals < 0) return false
  return (seals & c.F_SEAL_SHRINK) !== 0 || addSeals(fd, c.F_SEAL_SHRINK) >= 0
}
