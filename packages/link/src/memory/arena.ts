/**
 * One piece of memory that never moves, for frames and streams, where WebAssembly can sum them up.
 *
 * ```
 *  0        │ inbox        │ slots          │ scratch │ heap                          │
 *  unused   │ frames of a  │ frames lent to │ copies, │ what `allocate` gives:        │
 *  page     │ turn, any    │ whoever sends  │ headers │ rings, queues, datagrams      │
 *           │ link's       │                │         │                               │
 * ```
 *
 * A page that nobody used is not there. A turn belongs to one link, from its first frame to the return of `onSettle`: so all links of a thread
 * read into the same inbox, and many links cost no more than one.
 *
 * @module
 */
import { Buddy } from "./buddy.ts"
import { element } from "./element.ts"
import { SLOT, Slots } from "./slots.ts"

/** Adds `length` bytes at an offset to `seed`: 16-bit big-endian words with the carries folded in. */
export type Summer = (offset: number, length: number, seed: number) => number

/** What of a WebAssembly memory is used here. */
export interface FixedMemory {
  readonly buffer: ArrayBuffer
}

export interface ArenaOptions {
  /** The bound of all that is allocated at once, sizes rounded up to powers of two; a multiple of 4 MiB. 64 MiB unless told. */
  readonly heapBytes?: number
  /** Frames of up to 64 KiB that can be lent at once, by all links together. 64 unless told. */
  readonly slots?: number
  /** Makes what sums up bytes of the memory. A plain loop unless told. */
  readonly summer?: (memory: FixedMemory) => Summer
}

const PAGE = 4096
/** Memory comes in pages of this size, WebAssembly Core Specification, section 4.2.8. */
const WEBASSEMBLY_PAGE = 65_536
const HEAP = 64 * 1024 * 1024
const SLOTS = 64
const INBOX_SLOTS = 16

/** Bytes of the scratch place. */
export const SCRATCH = 65_536

/** The library of this name is not among those that the compiler is told of. */
declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => FixedMemory
}

export class Arena {
  /** All of it. Offsets count from its beginning, and 0 is nobody's. */
  readonly bytes: Uint8Array
  readonly buffer: ArrayBuffer
  /** Where a link puts the frames of a turn: 16 slots, one after the other. */
  readonly inbox: number
  readonly inboxLength: number = INBOX_SLOTS * SLOT
  readonly slots: Slots
  /** For what is over before anything else begins. */
  readonly scratch: number
  /** Where the heap begins. */
  readonly heapAt: number
  readonly heap: Buddy
  readonly sum: Summer

  constructor(options: ArenaOptions = {}) {
    const heapBytes = options.heapBytes ?? HEAP
    const slots = options.slots ?? SLOTS
    this.inbox = PAGE
    const slotsAt = this.inbox + this.inboxLength
    this.scratch = Math.ceil((slotsAt + slots * SLOT) / PAGE) * PAGE
    this.heapAt = this.scratch + SCRATCH
    const pages = Math.ceil((this.heapAt + heapBytes) / WEBASSEMBLY_PAGE)
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
    this.buffer = memory.buffer
    this.bytes = new Uint8Array(memory.buffer)
    this.slots = new Slots(slotsAt, slots)
    this.heap = new Buddy(heapBytes)
    this.sum = options.summer?.(memory) ?? plainSummer(this.bytes)
  }
}

/** The sum by a plain loop: right, and seven times slower than WebAssembly's. */
export function plainSummer(bytes: Uint8Array): Summer {
  return (offset, length, seed) => {
    let total = seed
    const even = offset + (length & ~1)
    for (let at = offset; at < even; at += 2) total += (element(bytes, at) << 8) | element(bytes, at + 1)
    if (even < offset + length) total += element(bytes, even) << 8
    // 65,536 bytes add less than 2^31; longer ones stay exact far beyond.
    while (total > 0xffff) total = (total % 0x10000) + Math.floor(total / 0x10000)
    return total
  }
}
