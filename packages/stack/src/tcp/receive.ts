/**
 * The receiving side of a connection: what of a segment is new and in order, what has to wait, and how large a window is told
 * (RFC 9293, sections 3.4, 3.8.6 and 3.10.7.4).
 *
 * Knows sequence numbers only. The bytes are elsewhere: in the link's memory until the host's socket has taken them, or kept.
 *
 * @module
 */
import { type Range, Ranges } from "./ranges.ts"
import { add, after, before, distance } from "./seq.ts"

/** More holes than that are not remembered; what comes after is sent again. */
const HOLES = 64
/** SACK blocks in one segment without other options (RFC 2018, section 3). */
const SACK_BLOCKS = 4

export type Arrival =
  /** `skip` and `take` say which bytes go to the host now; `next` is after them. */
  | "in-order"
  /** `skip` and `take` say which bytes wait for what is missing before them. */
  | "out-of-order"
  /** Nothing new: to be acknowledged again. */
  | "duplicate"
  /** Beyond the window: to be acknowledged, so that the sender learns it. */
  | "outside"

export class ReceiveSide {
  /** RCV.NXT: what comes next. */
  next: number
  /** RCV.WND.SCALE: how far the window we tell is shifted. */
  scale = 0
  /** Of the last `accept`. */
  skip = 0
  take = 0
  /** Where the guest's stream ends, once its FIN came; the FIN has this number. */
  finAt: number | undefined
  readonly held: Ranges = new Ranges(HOLES)
  /** The range that came last, which is told first (RFC 2018, section 4). */
  #latest: Range | undefined
  /** The right edge of the window that was told. */
  #edge: number

  constructor(next: number) {
    this.next = next
    this.#edge = next
  }

  /** The bytes that the guest may still send by what it was told. */
  get room(): number {
    return Math.max(0, distance(this.#edge, this.next))
  }

  /** The largest window that can be told. */
  get largest(): number {
    return 0xffff * 2 ** this.scale
  }

  /**
   * The acceptability test of RFC 9293, section 3.10.7.4, of a segment that takes `span` numbers.
   *
   * Deviation: one without any may be at the very edge. A sender that has filled the window is there with all that it acknowledges, and two such
   * would refuse each other's acknowledgements for ever. Linux does the same.
   */
  acceptable(sequence: number, span: number): boolean {
    const room = this.room
    const first = distance(sequence, this.next)
    if (span === 0) return first >= 0 && first <= room
    if (room === 0) return false
    const last = first + span - 1
    return (first >= 0 && first < room) || (last >= 0 && last < room)
  }

  /** Sorts in `length` bytes of payload from `sequence` on. */
  accept(sequence: number, length: number): Arrival {
    const first = distance(sequence, this.next)
    this.skip = Math.max(0, -first)
    const end = Math.min(length, distance(this.#edge, sequence), this.#untilFin(sequence))
    this.take = end - this.skip
    if (this.take <= 0) return first >= 0 && length > 0 ? "outside" : "duplicate"
    if (first > 0) return this.#hold(sequence)
    this.next = add(this.next, this.take)
    this.held.forgetBefore(this.next)
    return "in-order"
  }

  /** The guest's stream ends at `sequence`. Only the first end counts, and only where nothing beyond it was taken. */
  end(sequence: number): void {
    if (this.finAt !== undefined || before(sequence, this.next)) return
    if (this.held.highest !== undefined && after(this.held.highest, sequence)) return
    this.finAt = sequence
  }

  /** Takes the FIN when everything before it is there. Returns whether it was taken now. */
  takeFin(): boolean {
    if (this.finAt === undefined || this.next !== this.finAt) return false
    this.next = add(this.next, 1)
    return true
  }

  /** The guest's stream begins at `next`: known only when it answers a call of ours. */
  begin(next: number): void {
    this.next = next
    this.#edge = next
  }

  /** The window field of a SYN: never scaled (RFC 7323, section 2.2). */
  firstWindow(free: number): number {
    const field = Math.min(0xffff, free)
    this.#edge = add(this.next, field)
    return field
  }

  /** What was held up to `end` has gone to the host too. */
  advance(end: number): void {
    this.next = end
    this.held.forgetBefore(end)
  }

  /** The bytes of the last `accept` that came too early could not be kept: they were never here. */
  forget(start: number): void {
    this.held.remove(start, add(start, this.take))
    this.#latest = undefined
  }

  /** The last `bytes` could neither be written nor kept. They were not acknowledged, so they come again. */
  rollBack(bytes: number): void {
    this.next = add(this.next, -bytes)
  }

  /**
   * The window field for a segment that goes out now, where `free` bytes could be kept. What was told is never taken back, and no window grows by
   * crumbs (RFC 9293, section 3.8.6.2.2).
   */
  window(free: number, segment: number): number {
    const told = this.room
    const worth = free >= told + segment || free >= 2 * told
    const units = worth ? free >>> this.scale : Math.ceil(told / 2 ** this.scale)
    const field = Math.min(0xffff, Math.max(units, Math.ceil(told / 2 ** this.scale)))
    this.#edge = add(this.next, field * 2 ** this.scale)
    return field
  }

  /** The blocks to be told, the latest first. */
  sackBlocks(into: Range[]): number {
    into.length = 0
    const { list } = this.held
    if (list.length === 0) return 0
    const latest = this.#latest
    const first =
      latest === undefined
        ? undefined
        : list.find((range) => !before(latest.start, range.start) && before(latest.start, range.end))
    if (first !== undefined) into.push(first)
    for (const range of list) {
      if (into.length >= SACK_BLOCKS) break
      if (range !== first) into.push(range)
    }
    return into.length
  }

  #hold(sequence: number): Arrival {
    const start = add(sequence, this.skip)
    const end = add(start, this.take)
    if (this.held.covers(start, end)) {
      this.#latest = { start, end }
      return "duplicate"
    }
    if (!this.held.add(start, end)) return "outside"
    this.#latest = { start, end }
    return "out-of-order"
  }

  #untilFin(sequence: number): number {
    return this.finAt === undefined ? Number.POSITIVE_INFINITY : distance(this.finAt, sequence)
  }
}
