/**
 * Record marking, RFC 5531 §11: calls out of a stream of bytes.
 *
 * ```
 *  last u1 │ length u31 │ fragment … │ last u1 │ length u31 │ fragment …
 * ```
 *
 * Bytes are received into a chunk and calls are carried out where they lie. Fragments of one call are moved together, each byte at most once. A call that
 * goes on when it was taken (the data of a WRITE) holds the chunk, and receiving goes on in another one.
 *
 * @module
 */
import type { Chunk, Memory } from "../memory/pool.ts"
import { SMALL } from "../memory/pool.ts"

const MARK = 4
const LAST = 0x8000_0000
/** Of one record. Clients send one; more than these is a way to keep us busy. */
export const FRAGMENTS_MAX = 64
/** What is received at once where nothing longer is under way, at least: else what is there is moved to the beginning. */
const ROOM_MIN = 2048

/** What the stream holds next. */
export type Next = "record" | "more" | "too-long" | "too-many-fragments"

export class Records {
  /** The record at hand, after `next` said so. */
  start = 0
  end = 0
  readonly #memory: Memory
  readonly #max: number
  #chunk: Chunk | undefined
  /** Where the next mark is, and where received bytes end. */
  #at = 0
  #filled = 0
  /** Up to where the fragment under way goes. */
  #wanted = 0
  #fragments = 0
  #complete = false
  /** Whether the last long record says that the next one is long too. */
  #long = false

  constructor(memory: Memory, max: number) {
    this.#memory = memory
    this.#max = max
  }

  /** The chunk that the record at hand lies in. */
  get chunk(): Chunk | undefined {
    return this.#chunk
  }

  /** Whether a part of a record is here. */
  get partial(): boolean {
    return this.#chunk !== undefined && (this.#filled > this.#at || this.#fragments > 0)
  }

  /** Room for what arrives, as an offset in the memory; -1 where there is none now. `room` bytes of it. */
  prepare(): number {
    const chunk = this.#chunk
    if (chunk === undefined) return this.#begin()
    const kept = this.#fragments > 0 ? this.start : this.#at
    const wanted = Math.max(this.#wanted, this.#at + MARK)
    if (wanted <= chunk.end && (wanted > this.#filled + ROOM_MIN || chunk.end - this.#filled >= ROOM_MIN))
      return this.#filled
    const needed = wanted - kept + ROOM_MIN
    if (chunk.alone && kept > chunk.start && needed <= chunk.end - chunk.start) {
      this.#memory.bytes.copyWithin(chunk.start, kept, this.#filled)
      this.#shift(chunk.start - kept)
      return this.#filled
    }
    return this.#move(chunk, kept, needed) ? this.#filled : -1
  }

  get room(): number {
    return this.#chunk === undefined ? 0 : this.#chunk.end - this.#filled
  }

  /** `bytes` have arrived where `prepare` said. */
  add(bytes: number): void {
    this.#filled += bytes
  }

  /** Looks for a whole record. The same one until `consume`. */
  next(): Next {
    if (this.#complete) return "record"
    const { view, bytes } = this.#memory
    for (;;) {
      if (this.#filled - this.#at < MARK) return "more"
      const mark = view.getUint32(this.#at)
      const length = mark & ~LAST
      const begin = this.#at + MARK
      const sofar = this.#fragments === 0 ? 0 : this.end - this.start
      if (sofar + length > this.#max) return "too-long"
      this.#wanted = begin + length
      if (this.#filled < this.#wanted) return "more"
      if (this.#fragments === 0) {
        this.start = begin
        this.end = begin + length
      } else {
        bytes.copyWithin(this.end, begin, begin + length)
        this.end += length
      }
      this.#fragments++
      this.#at = begin + length
      if (mark >= LAST) {
        this.#complete = true
        return "record"
      }
      if (this.#fragments >= FRAGMENTS_MAX) return "too-many-fragments"
    }
  }

  /** The record at hand is done with. */
  consume(): void {
    this.#long = this.end - this.start > SMALL / 2
    this.#complete = false
    this.#fragments = 0
    this.#wanted = 0
    if (this.#at === this.#filled) this.release()
  }

  /** Gives the chunk back where nothing is in it. */
  settle(): void {
    if (!this.partial) this.release()
  }

  /** Gives the chunk back: an idle connection keeps none. */
  release(): void {
    this.#chunk?.drop()
    this.#chunk = undefined
    this.#complete = false
    this.#fragments = 0
  }

  #begin(): number {
    const { receive } = this.#memory
    const chunk = (this.#long ? receive.large.take() : undefined) ?? receive.small.take()
    if (chunk === undefined) return -1
    this.#chunk = chunk
    this.#at = chunk.start
    this.#filled = chunk.start
    this.#wanted = 0
    return chunk.start
  }

  #move(from: Chunk, kept: number, needed: number): boolean {
    const { receive, bytes } = this.#memory
    const size = needed <= SMALL ? "small" : "large"
    const to = receive[size].take() ?? (size === "small" ? receive.large.take() : undefined)
    if (to === undefined) return false
    bytes.copyWithin(to.start, kept, this.#filled)
    this.#chunk = to
    this.#shift(to.start - kept)
    from.drop()
    return true
  }

  #shift(by: number): void {
    this.#at += by
    this.#filled += by
    this.#wanted += by
    this.start += by
    this.end += by
  }
}
