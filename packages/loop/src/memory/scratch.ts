/**
 * One private area for what is handed to the kernel by address: iovecs, message headers, names, events, headers of frames.
 *
 * ```
 *  │ page │ region "events" │ region "iovecs" │ region "names" │ … free … │
 *           ▲ address, bytes, u32
 * ```
 *
 * Regions are taken once, when a thing starts, and live as long as the area. Nothing is allocated afterwards.
 *
 * @module
 */
import { type Mapping, mapAnonymous, typedViews, type Views } from "./mapping.ts"

const PAGE = 4096
const ALIGN = 16

/** A named piece of a scratch area: where it is for the kernel, and views of it for us. */
export interface Region extends Views {
  readonly name: string
  readonly address: number
  readonly length: number
}

export class Scratch implements Disposable {
  readonly #mapping: Mapping
  readonly #buffer: ArrayBuffer
  readonly #regions = new Map<string, Region>()
  #used = 0

  /** `size` is rounded up to pages; pages never touched cost nothing. */
  constructor(size: number) {
    this.#mapping = mapAnonymous(Math.ceil(size / PAGE) * PAGE)
    this.#buffer = this.#mapping.view(0, this.#mapping.length)
  }

  get free(): number {
    return this.#mapping.length - this.#used
  }

  /** Takes `length` zeroed bytes, aligned to 16 or to `align`, a power of two up to 4096. Names are for errors and must differ. */
  region(name: string, length: number, align: number = ALIGN): Region {
    if (this.#regions.has(name)) throw new Error(`Cannot take region "${name}" twice`)
    const offset = Math.ceil(this.#used / align) * align
    if (length <= 0 || offset + length > this.#mapping.length)
      throw new RangeError(
        `Cannot take ${length} bytes for region "${name}": ${this.free} of ${this.#mapping.length} are free`,
      )
    this.#used = offset + length
    const region: Region = {
      name,
      address: this.#mapping.address + offset,
      length,
      ...typedViewsOf(this.#buffer, offset, length),
    }
    this.#regions.set(name, region)
    return region
  }

  /** Empties the views of every region and gives the memory back. Idempotent. */
  [Symbol.dispose](): void {
    this.#mapping[Symbol.dispose]()
  }
}

function typedViewsOf(buffer: ArrayBuffer, offset: number, length: number): Views {
  if (offset === 0 && length === buffer.byteLength) return typedViews(buffer)
  return {
    bytes: new Uint8Array(buffer, offset, length),
    u16: new Uint16Array(buffer, offset, length >>> 1),
    u32: new Uint32Array(buffer, offset, length >>> 2),
  }
}
