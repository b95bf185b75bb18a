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
import { fixedMemory, type Summer, wasmSummer } from "@skep/wire/checksum"
import type { Memory } from "../memory.ts"
import { Buddy } from "./buddy.ts"
import { SLOT, Slots } from "./slots.ts"

/** Memory whose arena is read and written in place. */
export interface ArenaMemory extends Memory {
  readonly arena: Arena
  /** The arena's bytes: the byte at the address `a` is at `a - base`. */
  readonly bytes: Uint8Array
  readonly base: number
}

export interface ArenaOptions {
  /** The bound of all that is allocated at once, sizes rounded up to powers of two; a multiple of 4 MiB. 64 MiB unless told. */
  readonly heapBytes?: number
  /** Frames of up to 64 KiB that can be lent at once, by all links together. 64 unless told. */
  readonly slots?: number
}

const PAGE = 4096
const HEAP = 64 * 1024 * 1024
const SLOTS = 64
const INBOX_SLOTS = 16

/** Bytes of the scratch place. */
export const SCRATCH = 65_536

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
  /** Takes offsets. */
  readonly sum: Summer

  constructor(options: ArenaOptions = {}) {
    const heapBytes = options.heapBytes ?? HEAP
    const slots = options.slots ?? SLOTS
    this.inbox = PAGE
    const slotsAt = this.inbox + this.inboxLength
    this.scratch = Math.ceil((slotsAt + slots * SLOT) / PAGE) * PAGE
    this.heapAt = this.scratch + SCRATCH
    const memory = fixedMemory(this.heapAt + heapBytes)
    this.buffer = memory.buffer
    this.bytes = new Uint8Array(memory.buffer)
    this.slots = new Slots(slotsAt, slots)
    this.heap = new Buddy(heapBytes)
    this.sum = wasmSummer(memory)
  }
}
