/**
 * Reading XDR, RFC 4506. One cursor a server, set on each message.
 *
 * It never throws and never reads beyond its end: what does not fit makes it `bad`, and it gives zeros from there on. Procedures take all their
 * arguments, then look.
 *
 * @module
 */
import type { Memory } from "../memory/pool.ts"

const HIGH = 2 ** 32
/** RFC 1813 §2.5: NFS3_FHSIZE. */
const HANDLE_MAX = 64
/** What `handle` multiplies its place by. */
export const HANDLE_SPAN = 128
const NOTHING = new Uint8Array(0)

export class Cursor {
  at = 0
  end = 0
  bad = false
  /** Of the last opaque: how many bytes it has. */
  length = 0
  readonly #memory: Memory

  constructor(memory: Memory) {
    this.#memory = memory
  }

  reset(at: number, end: number): void {
    this.at = at
    this.end = end
    this.bad = false
    this.length = 0
  }

  u32(): number {
    const { at } = this
    if (this.bad || at + 4 > this.end) return this.#fail()
    this.at = at + 4
    return this.#memory.view.getUint32(at)
  }

  /** As a number, exact to 2^53: who needs more says so. */
  u64(): number {
    const high = this.u32()
    return high * HIGH + this.u32()
  }

  /** A word that has no meaning for us. */
  u64Exact(): bigint {
    const high = this.u32()
    return (BigInt(high) << 32n) | BigInt(this.u32())
  }

  /** RFC 4506 §4.4: 0 or 1 and nothing else. */
  boolean(): boolean {
    const value = this.u32()
    if (value > 1) this.#fail()
    return value === 1
  }

  /** Passes opaque bytes of at most `max`; returns where they begin, and `length` is how many. */
  span(max: number): number {
    const length = this.u32()
    if (length > max) return this.#fail()
    return this.fixed(length)
  }

  /** Passes a file handle; returns where it is and how long, in one number for `Call.node`. */
  handle(): number {
    const at = this.span(HANDLE_MAX)
    return at * HANDLE_SPAN + this.length
  }

  /** The same as `span` with a length that is known. */
  fixed(length: number): number {
    const { at } = this
    // RFC 4506 §4.10: filled up to a multiple of four. What it is filled with is not looked at, as others do not.
    const next = at + length + (-length & 3)
    if (this.bad || next > this.end) return this.#fail()
    this.at = next
    this.length = length
    return at
  }

  /** Opaque bytes as a view, valid as long as the message. */
  opaque(max: number): Uint8Array {
    const at = this.span(max)
    return this.bad ? NOTHING : this.#memory.bytes.subarray(at, at + this.length)
  }

  #fail(): number {
    this.bad = true
    this.length = 0
    return 0
  }
}
