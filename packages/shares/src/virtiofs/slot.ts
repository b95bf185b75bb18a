/**
 * A request under way: which chain it came with, and the pieces of the guest's memory that the file system reads or writes until it is done.
 *
 * @module
 */
import type { Exchange } from "@skep/fuse"
import type { Iovecs } from "@skep/loop/memory"
import type { Pieces } from "@skep/vfs"
import type { Chain, Queue } from "@skep/vhost-user"

/** The longest answer that is given later: a header of 16 bytes and 8 more. */
export const LATE = 24

export class Slot implements Pieces {
  readonly exchange: Exchange
  queue: Queue | undefined
  head = 0
  readonly #iovecs: Iovecs
  /** Where the beginning of the answer goes, when the chain is no longer at hand. */
  readonly lateAddresses: Float64Array = new Float64Array(LATE)
  readonly lateLengths: Uint32Array = new Uint32Array(LATE)
  latePieces = 0

  constructor(exchange: Exchange, iovecs: Iovecs) {
    this.exchange = exchange
    this.#iovecs = iovecs
  }

  get address(): number {
    return this.#iovecs.address
  }
  get count(): number {
    return this.#iovecs.count
  }
  get bytes(): number {
    return this.#iovecs.bytes
  }

  /** Takes `length` bytes of pieces `from` to `to` of the chain, after the first `skip`; fewer where there are too many pieces. */
  fill(chain: Chain, from: number, to: number, skip: number, length: number): void {
    this.#iovecs.clear()
    let before = skip
    let left = length
    for (let piece = from; piece < to && left > 0; piece++) {
      const there = chain.lengthAt(piece)
      const start = Math.min(before, there)
      before -= start
      const part = Math.min(there - start, left)
      if (part > 0 && !this.#iovecs.push(chain.addressAt(piece) + start, part)) return
      left -= part
    }
  }

  /** Remembers where the answer begins. */
  keep(chain: Chain): void {
    this.latePieces = 0
    for (let piece = chain.readable, left = LATE; piece < chain.count && left > 0; piece++) {
      const length = Math.min(chain.lengthAt(piece), left)
      if (length === 0) continue
      this.lateAddresses[this.latePieces] = chain.guestAddresses[piece] ?? 0
      this.lateLengths[this.latePieces] = length
      this.latePieces++
      left -= length
    }
  }
}
