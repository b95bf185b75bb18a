/**
 * What a bad network does to frames, decided frame by frame: loss, corruption, duplication, delay, reordering, a slow line.
 *
 * @module
 */

/** Shares are of all frames, 0 to 1. What is not given does not happen. */
export interface Faults {
  readonly loss?: number
  /** One bit of the frame is another. */
  readonly corrupt?: number
  readonly duplicate?: number
  readonly delayMs?: number
  /** Up to so much more, evenly spread. Order is kept. */
  readonly jitterMs?: number
  /** These come `reorderMs` later than they would, and others before them. */
  readonly reorder?: number
  readonly reorderMs?: number
  /** How fast the line is. Frames wait for each other, up to `queueBytes`; more are lost. */
  readonly bitsPerSecond?: number
  /** 256 KiB unless told. */
  readonly queueBytes?: number
  /** Nothing passes. */
  readonly partition?: boolean
}

export const FAULT_COUNTS = ["lost", "corrupted", "duplicated", "reordered", "delayed", "overflowed"] as const
export type FaultCounts = Record<(typeof FAULT_COUNTS)[number], number>

/** What happens to one frame. Used again for the next. */
export interface Fate {
  /** 0 where it is lost. */
  copies: number
  /** When it arrives, in the clock's milliseconds. */
  at: number
  corrupt: boolean
}

const QUEUE = 256 * 1024
const REORDER_MS = 5
const BITS = 8
const MS = 1000

/** One direction of a link. */
export class Impairment {
  readonly counts: FaultCounts = {
    lost: 0,
    corrupted: 0,
    duplicated: 0,
    reordered: 0,
    delayed: 0,
    overflowed: 0,
  }
  readonly #random: () => number
  readonly #fate: Fate = { copies: 0, at: 0, corrupt: false }
  #faults: Faults
  /** When the last frame that was not reordered arrives, and when the line is free. */
  #last = Number.NEGATIVE_INFINITY
  #lineFree = Number.NEGATIVE_INFINITY

  constructor(faults: Faults, random: () => number) {
    this.#faults = faults
    this.#random = random
  }

  set faults(faults: Faults) {
    this.#faults = faults
  }

  /** Nothing happens to frames. */
  get idle(): boolean {
    return Object.values(this.#faults).every((value) => value === 0 || value === false)
  }

  /** Decides for a frame of `bytes` that is sent `now`. The numbers drawn are as many for each frame, so that one fault does not change another. */
  decide(bytes: number, now: number): Readonly<Fate> {
    const f = this.#faults
    const fate = this.#fate
    const lost = this.#draw(f.loss)
    fate.corrupt = this.#draw(f.corrupt)
    fate.copies = this.#draw(f.duplicate) ? 2 : 1
    const late = this.#draw(f.reorder)
    const jitter = this.#random() * (f.jitterMs ?? 0)
    fate.at = now
    if (lost || f.partition === true) return this.#drop("lost")
    if (f.bitsPerSecond !== undefined && f.bitsPerSecond > 0 && !this.#line(bytes, now, f.bitsPerSecond))
      return this.#drop("overflowed")
    this.#delay(late, (f.delayMs ?? 0) + jitter, f.reorderMs ?? REORDER_MS)
    if (fate.corrupt) this.counts.corrupted++
    if (fate.copies > 1) this.counts.duplicated++
    if (late) this.counts.reordered++
    else if (fate.at > now) this.counts.delayed++
    return fate
  }

  #draw(share: number | undefined): boolean {
    return this.#random() < (share ?? 0)
  }

  #drop(reason: "lost" | "overflowed"): Readonly<Fate> {
    this.counts[reason]++
    this.#fate.copies = 0
    return this.#fate
  }

  /** Puts the frame on the line. False where too much waits for it. */
  #line(bytes: number, now: number, bitsPerSecond: number): boolean {
    const perByte = (BITS * MS) / bitsPerSecond
    const start = Math.max(now, this.#lineFree)
    if ((start - now) / perByte > (this.#faults.queueBytes ?? QUEUE)) return false
    this.#lineFree = start + bytes * perByte
    this.#fate.at = this.#lineFree
    return true
  }

  #delay(late: boolean, delayMs: number, reorderMs: number): void {
    const fate = this.#fate
    fate.at += delayMs
    if (late) {
      fate.at += reorderMs
      return
    }
    // No earlier than the one before, whatever the jitter is.
    fate.at = Math.max(fate.at, this.#last)
    this.#last = fate.at
  }
}
