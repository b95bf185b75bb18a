/**
 * The device's side of a split virtqueue (Virtio 1.2, section 2.7).
 *
 * ```
 * available  | flags u16 | idx u16 | ring u16 × size | used_event u16 |          written by the guest
 * used       | flags u16 | idx u16 | { id u32, len u32 } × size | avail_event u16 |   written here
 * ```
 *
 * Indices count modulo 2^16. What both sides write is read and written with `Atomics`: sequentially consistent, so that a store of
 * an index is seen before the load of the other side's event index that follows it (section 2.7.13.3.1 wants that barrier).
 *
 * @module
 */
import { type Copy, type GuestMemory, newCopy, type View } from "../memory/guest-memory.ts"
import { Chain, DESCRIPTOR, type MalformedChain } from "./chain.ts"

export const SIZE_MAX = 1024
/** Room in a chain for pieces that span regions. */
const SPARE_PIECES = 8

const FLAGS = 0
const INDEX = 1
const RING = 2
const MASK16 = 0xffff

const F_NO_INTERRUPT = 1
const F_NO_NOTIFY = 1

export type BrokenRing = MalformedChain | "index-jumped"

export interface RingAddresses {
  readonly descriptors: number
  readonly available: number
  readonly used: number
}

export interface RingOptions {
  /** A power of two. */
  readonly size: number
  readonly memory: GuestMemory
  /** As the front end's process has them. */
  readonly addresses: RingAddresses
  /** Where to go on: the index of the first chain that was not taken. */
  readonly base: number
  readonly eventIndex: boolean
  readonly indirect: boolean
}

export type Popped = "chain" | "empty" | "broken"

/** Bytes of each part of a ring of so many descriptors (section 2.7). */
export function partsOf(size: number): { descriptors: number; available: number; used: number } {
  return { descriptors: DESCRIPTOR * size, available: 6 + 2 * size, used: 6 + 8 * size }
}

/** A ring that runs. Once broken it gives out nothing more; the guest can only reset the device. */
export class SplitRing implements Disposable {
  readonly size: number
  /** The chain of the last `pop` that said "chain". */
  readonly chain: Chain
  readonly #memory: GuestMemory
  readonly #views: readonly View[]
  readonly #table: Uint32Array
  readonly #available: Uint16Array
  readonly #used: Uint16Array
  /** The same memory in words: element i of the ring is at 1 + 2i. */
  readonly #usedWords: Uint32Array
  readonly #eventIndex: boolean
  readonly #indirect: Copy | undefined
  #next: number
  /** Up to where the guest is known to have offered. */
  #seen: number
  #usedIndex: number
  #announced: number
  #broken: BrokenRing | undefined

  /** Throws a `RangeError` for a size or an address that no ring can have. */
  constructor(options: RingOptions) {
    const { size, memory, addresses } = options
    if (size < 1 || size > SIZE_MAX || (size & (size - 1)) !== 0)
      throw new RangeError(`a ring of ${size} descriptors: it must be a power of two up to ${SIZE_MAX}`)
    this.size = size
    this.chain = new Chain(size + SPARE_PIECES)
    this.#memory = memory
    this.#views = viewsOf(memory, addresses, size)
    const [table, available, used] = this.#views.map(({ buffer }) => buffer)
    this.#table = new Uint32Array(table ?? new ArrayBuffer(0))
    this.#available = new Uint16Array(available ?? new ArrayBuffer(0))
    this.#used = new Uint16Array(used ?? new ArrayBuffer(0))
    this.#usedWords = new Uint32Array(used ?? new ArrayBuffer(0), 0, 1 + 2 * size)
    this.#eventIndex = options.eventIndex
    this.#indirect = options.indirect ? newCopy(size * DESCRIPTOR) : undefined
    this.#next = options.base & MASK16
    this.#seen = this.#next
    this.#usedIndex = Atomics.load(this.#used, INDEX)
    this.#announced = this.#usedIndex
  }

  /** What the guest did wrong. */
  get broken(): BrokenRing | undefined {
    return this.#broken
  }

  /** The index of the first chain that was not taken: where the next owner of the ring goes on. */
  get base(): number {
    return this.#next
  }

  /** How many chains were given back, as the guest counts. */
  get usedIndex(): number {
    return this.#usedIndex
  }

  /** Where the guest's offers end, and the head that it offers at an index. */
  get availableIndex(): number {
    return Atomics.load(this.#available, INDEX)
  }
  offeredAt(index: number): number {
    return this.#available[RING + (index & (this.size - 1))] ?? 0
  }

  /** Goes on at another index, as if what comes before had been popped. */
  skipTo(next: number): void {
    this.#next = next & MASK16
    this.#seen = this.#next
  }

  /** Chains that were taken and not yet given back. */
  get inFlight(): number {
    return (this.#next - this.#usedIndex) & MASK16
  }

  /** How many chains the guest offers beyond those that were taken. Negative is a broken ring. */
  get offered(): number {
    const offered = (Atomics.load(this.#available, INDEX) - this.#next) & MASK16
    return offered > this.size ? -1 : offered
  }

  /** Takes the next chain into `chain`. */
  pop(): Popped {
    if (this.#broken !== undefined) return "broken"
    // Read again only when all that was seen is taken: the guest's processor writes there all the time.
    if (this.#next === this.#seen) {
      const { offered } = this
      if (offered === 0) return "empty"
      if (offered < 0) return this.#breaks("index-jumped")
      this.#seen = (this.#next + offered) & MASK16
    }
    const head = this.#available[RING + (this.#next & (this.size - 1))] ?? 0
    const bad = this.chain.fill(this.#table, head, this.#memory, this.#indirect)
    if (bad !== undefined) return this.#breaks(bad)
    this.#next = (this.#next + 1) & MASK16
    return "chain"
  }

  /** Takes a chain that was popped before, by its head, into `chain`. */
  popAgain(head: number): Popped {
    if (this.#broken !== undefined) return "broken"
    const bad = this.chain.fill(this.#table, head, this.#memory, this.#indirect)
    return bad === undefined ? "chain" : this.#breaks(bad)
  }

  /**
   * Takes the last chain back, as if it had not been popped: it was not used, and none was popped after it. So several are taken back, the last
   * first.
   */
  unpop(): void {
    this.#next = (this.#next - 1) & MASK16
  }

  /** Gives a chain back. `written` counts the bytes from the start of its writable part. Seen by the guest after `publish`. */
  push(head: number, written: number): void {
    const word = 1 + 2 * (this.#usedIndex & (this.size - 1))
    this.#usedWords[word] = head
    this.#usedWords[word + 1] = written
    this.#usedIndex = (this.#usedIndex + 1) & MASK16
  }

  /** Shows the guest what was pushed since the last time. Returns whether it wants to be interrupted for it. */
  publish(): boolean {
    const before = this.#announced
    const now = this.#usedIndex
    if (before === now) return false
    this.#announced = now
    Atomics.store(this.#used, INDEX, now)
    if (!this.#eventIndex) return (Atomics.load(this.#available, FLAGS) & F_NO_INTERRUPT) === 0
    return passed(Atomics.load(this.#available, RING + this.size), now, before)
  }

  /** Asks for no kicks while the ring is being worked on anyway. */
  muteKicks(): void {
    // With event indices nothing has to be said: no kick comes before the guest passes the one we named.
    if (!this.#eventIndex) Atomics.store(this.#used, FLAGS, F_NO_NOTIFY)
  }

  /** Asks for a kick with the next chain. Returns whether one came just before: then there is none, and it is to be popped. */
  wantKick(): boolean {
    if (this.#eventIndex) Atomics.store(this.#used, RING + 4 * this.size, this.#next)
    else Atomics.store(this.#used, FLAGS, 0)
    return this.offered !== 0
  }

  /** Lets go of the guest's memory. The ring is empty from then on. */
  [Symbol.dispose](): void {
    for (const view of this.#views) view.release()
  }

  #breaks(why: BrokenRing): "broken" {
    this.#broken = why
    return "broken"
  }
}

/** Section 2.7.7.2, vring_need_event: whether `event` was passed on the way from `before` to `now`. */
export function passed(event: number, now: number, before: number): boolean {
  return ((now - event - 1) & MASK16) < ((now - before) & MASK16)
}

/** Alignments are those of section 2.7: 16, 2, 4. */
function viewsOf(memory: GuestMemory, addresses: RingAddresses, size: number): readonly View[] {
  const bytes = partsOf(size)
  const wanted = [
    { what: "descriptor table", at: addresses.descriptors, length: bytes.descriptors, alignment: 16 },
    { what: "available ring", at: addresses.available, length: bytes.available, alignment: 2 },
    { what: "used ring", at: addresses.used, length: bytes.used, alignment: 4 },
  ]
  const views: View[] = []
  for (const { what, at, length, alignment } of wanted) {
    const view = at % alignment === 0 ? memory.viewOfUser(at, length) : undefined
    if (view === undefined) {
      for (const each of views) each.release()
      throw new RangeError(`the ${what} at 0x${at.toString(16)} is not aligned memory of the guest`)
    }
    views.push(view)
  }
  return views
}
