/**
 * Frames out of a stream: each after its length, u32 big-endian, as QEMU's `-netdev stream` has them (net/net.c, net_fill_rstate).
 *
 * ```
 *  inbox │ 4 │ frame │ 4 │ frame │ … │ 4 │ the beginning of a frame │      the last is moved to a place of its own, once,
 *                                          └─► carried │ …… │            and the next read goes on there
 * ```
 *
 * @module
 */
import * as bytesOf from "@skep/wire/bytes"
import { FRAME_MAX, FRAME_MIN } from "../frame.ts"
import type { ArenaMemory } from "../memory/arena.ts"
import type { Pieces } from "./queue.ts"

export const PREFIX = 4

/** Why a stream cannot go on: nobody knows where its next frame begins. */
export type BrokenStream = "too-short" | "too-long"

/** Called for each frame: where it is in the memory's bytes. Returns whether to go on. */
export type OnFrame = (at: number, length: number) => boolean

export class Inflow {
  readonly #memory: ArenaMemory
  /** The beginning of a frame whose length is known: its place, how much of it is there, and how long it will be. */
  #carried = 0
  #have = 0
  #length = 0
  /** Bytes of a prefix that is not whole. */
  readonly #prefix = new Uint8Array(PREFIX)
  #prefixHave = 0
  /** What is left of a frame that there was no place for. */
  #skip = 0
  /** A frame that was carried and is whole, until the turn is over. */
  #done = 0
  #doneLength = 0
  /** Frames lost for want of memory. */
  lost = 0

  constructor(memory: ArenaMemory) {
    this.#memory = memory
  }

  /** Puts the places to read into, in order, into these. */
  prepare(into: Pieces): void {
    const { arena, base, bytes } = this.#memory
    into.clear()
    if (this.#carried !== 0) into.push(this.#carried + this.#have, this.#length - this.#have)
    bytes.set(this.#prefix.subarray(0, this.#prefixHave), arena.inbox)
    into.push(base + arena.inbox + this.#prefixHave, arena.inboxLength - this.#prefixHave)
  }

  /** Takes what was read into the places. The frames stay where they are until `settle`. */
  take(count: number, onFrame: OnFrame): BrokenStream | undefined {
    const { inbox } = this.#memory.arena
    let at = inbox
    let end = inbox + this.#prefixHave
    this.#prefixHave = 0
    let read = count
    if (this.#carried !== 0) {
      const part = Math.min(read, this.#length - this.#have)
      this.#have += part
      read -= part
      if (this.#have < this.#length) return undefined
      if (!this.#deliverCarried(onFrame)) return undefined
    }
    end += read
    const skipped = Math.min(this.#skip, end - at)
    this.#skip -= skipped
    at += skipped
    return this.#parse(at, end, onFrame)
  }

  /** Takes what was read into the inbox in one piece, for those who cannot read into several places. The frames stay where they are until `settle`. */
  takeInOne(count: number, onFrame: OnFrame): BrokenStream | undefined {
    const { bytes, base, arena } = this.#memory
    let at = arena.inbox
    const end = at + count
    if (this.#carried !== 0) {
      const part = Math.min(count, this.#length - this.#have)
      this.#memory.copy(base + at, this.#carried + this.#have, part)
      this.#have += part
      at += part
      if (this.#have < this.#length || !this.#deliverCarried(onFrame)) return undefined
    }
    const skipped = Math.min(this.#skip, end - at)
    this.#skip -= skipped
    at += skipped
    if (this.#prefixHave === 0) return this.#parse(at, end, onFrame)
    while (this.#prefixHave < PREFIX && at < end) {
      bytesOf.putU8(this.#prefix, this.#prefixHave, bytesOf.u8(bytes, at))
      this.#prefixHave++
      at++
    }
    if (this.#prefixHave < PREFIX) return undefined
    this.#prefixHave = 0
    return this.#frame(bytesOf.u32(this.#prefix, 0), at, end, onFrame)
  }

  /** The turn is over, and its frames are nobody's any more. */
  settle(): void {
    if (this.#done !== 0) this.#memory.free(this.#done, this.#doneLength)
    this.#done = 0
  }

  /** Forgets all: the next byte is the first of another stream. */
  clear(): void {
    this.settle()
    if (this.#carried !== 0) this.#memory.free(this.#carried, this.#length)
    this.#carried = 0
    this.#prefixHave = 0
    this.#skip = 0
  }

  #deliverCarried(onFrame: OnFrame): boolean {
    this.#done = this.#carried
    this.#doneLength = this.#length
    this.#carried = 0
    return onFrame(this.#done - this.#memory.base, this.#length)
  }

  #parse(from: number, end: number, onFrame: OnFrame): BrokenStream | undefined {
    const { bytes } = this.#memory
    let at = from
    while (end - at >= PREFIX) {
      const length = bytesOf.u32(bytes, at)
      const wrong = wrongLength(length)
      if (wrong !== undefined) return wrong
      at += PREFIX
      if (end - at < length) {
        this.#carry(at, end - at, length)
        return undefined
      }
      if (!onFrame(at, length)) return undefined
      at += length
    }
    this.#prefixHave = end - at
    for (let index = 0; index < this.#prefixHave; index++)
      bytesOf.putU8(this.#prefix, index, bytesOf.u8(bytes, at + index))
    return undefined
  }

  /** A frame whose prefix came with the bytes before, and what follows it. */
  #frame(length: number, at: number, end: number, onFrame: OnFrame): BrokenStream | undefined {
    const wrong = wrongLength(length)
    if (wrong !== undefined) return wrong
    if (end - at < length) {
      this.#carry(at, end - at, length)
      return undefined
    }
    return onFrame(at, length) ? this.#parse(at + length, end, onFrame) : undefined
  }

  #carry(at: number, have: number, length: number): void {
    this.#carried = this.#memory.allocate(length)
    if (this.#carried === 0) {
      this.lost++
      this.#skip = length - have
      return
    }
    this.#memory.copy(this.#memory.base + at, this.#carried, have)
    this.#have = have
    this.#length = length
  }
}

function wrongLength(length: number): BrokenStream | undefined {
  if (length < FRAME_MIN) return "too-short"
  return length > FRAME_MAX ? "too-long" : undefined
}
