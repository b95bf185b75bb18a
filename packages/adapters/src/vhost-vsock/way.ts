/**
 * One direction of a relay: bytes of one socket go to another, and so does the end.
 *
 * Bytes pass through one buffer that all relays share. Only what the taker does not take at once is kept, a buffer full at most, and nothing
 * more is read until it is gone: the giver's own socket fills up then, and whoever writes there waits.
 *
 * @module
 */
import type { Region } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"

/** Reads before other streams have their turn. */
const TURN = 16

/**
 * "open": more may come. "drained": the giver's end was read, and bytes before it are still kept. "over": nothing goes this way any more.
 */
export type WayState = "open" | "drained" | "over"

export class Way {
  readonly giver: number
  readonly taker: number
  /** Whether the giver may have something. Edge-triggered events set it, EAGAIN clears it. */
  readable = true
  readonly #bounce: Region
  readonly #count: (bytes: number) => void
  #state: WayState = "open"
  #held: Uint8Array | undefined
  #writable = true

  /** Both descriptors are non-blocking and the caller's. `count` is told of bytes that the taker took. */
  constructor(options: {
    readonly giver: number
    readonly taker: number
    readonly bounce: Region
    readonly count: (bytes: number) => void
  }) {
    this.giver = options.giver
    this.taker = options.taker
    this.#bounce = options.bounce
    this.#count = options.count
  }

  get state(): WayState {
    return this.#state
  }

  /** Bytes that the taker has not taken yet. */
  get held(): number {
    return this.#held?.length ?? 0
  }

  /** The taker has room again. */
  onWritable(): void {
    this.#writable = true
  }

  /**
   * Moves what can be moved. "again": there is more to move and others come first. "failed": the giver was cut off, so that its last bytes may
   * be missing.
   */
  move(): "waits" | "again" | "failed" {
    for (let left = TURN; left > 0; left--) {
      if (this.#held !== undefined) this.#flush(this.#held)
      if (this.#state === "over" || this.#held !== undefined) return "waits"
      if (this.#state === "drained") {
        sys.shutdown(this.taker, sys.SHUT_WR)
        this.#state = "over"
        return "waits"
      }
      if (!this.readable) return "waits"
      const read = sys.receive(this.giver, this.#bounce.address, this.#bounce.length, sys.MSG_DONTWAIT)
      if (read > 0) this.#give(read)
      else if (read === 0) this.#state = "drained"
      else if (read === -sys.EAGAIN) this.readable = false
      else return "failed"
    }
    return "again"
  }

  /** The taker takes no more. The giver hears of it when it goes on: EPIPE, or the guest's SHUTDOWN. */
  giveUp(): void {
    if (this.#state === "over") return
    this.#state = "over"
    this.#held = undefined
    sys.shutdown(this.giver, sys.SHUT_RD)
  }

  /** `count` bytes lie in the buffer. */
  #give(count: number): void {
    const sent = this.#send(count)
    // Room was lost between two events: the rest is copied, since the buffer is everybody's.
    if (sent < count && this.#state !== "over")
      this.#held = this.#bounce.bytes.slice(Math.max(0, sent), count)
  }

  #flush(held: Uint8Array): void {
    if (!this.#writable) return
    this.#bounce.bytes.set(held)
    const sent = this.#send(held.length)
    if (sent === held.length || this.#state === "over") this.#held = undefined
    else if (sent > 0) this.#held = held.subarray(sent)
  }

  /** How many of `count` bytes in the buffer the taker took. */
  #send(count: number): number {
    const sent = sys.send(this.taker, this.#bounce.address, count, sys.MSG_DONTWAIT)
    if (sent > 0) this.#count(sent)
    if (sent < count) this.#writable = false
    // EPIPE, ECONNRESET, ENOTCONN: nobody takes anything there any more.
    if (sent < 0 && sent !== -sys.EAGAIN) this.giveUp()
    return sent
  }
}
