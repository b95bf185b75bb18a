/**
 * Writing XDR, RFC 4506, into memory that was reserved for it. What does not fit is our bug, and throws before it is written.
 *
 * @module
 */
import type { Memory } from "../memory/pool.ts"

const HIGH = 2 ** 32

export class Writer {
  /** Where the next word goes: an offset in the memory. */
  at: number
  end: number
  readonly #memory: Memory

  constructor(memory: Memory, at: number, end: number) {
    this.#memory = memory
    this.at = at
    this.end = end
  }

  get room(): number {
    return this.end - this.at
  }

  u32(value: number): void {
    this.#memory.view.setUint32(this.#advance(4), value)
  }

  u64(value: number): void {
    const at = this.#advance(8)
    this.#memory.view.setUint32(at, value / HIGH)
    this.#memory.view.setUint32(at + 4, value)
  }

  /** The same of two halves. */
  pair(high: number, low: number): void {
    const at = this.#advance(8)
    this.#memory.view.setUint32(at, high)
    this.#memory.view.setUint32(at + 4, low)
  }

  u64Exact(value: bigint): void {
    this.#memory.view.setBigUint64(this.#advance(8), value)
  }

  boolean(value: boolean): void {
    this.u32(value ? 1 : 0)
  }

  /** With its length before it and zeros after it. */
  opaque(bytes: Uint8Array): void {
    this.u32(bytes.length)
    this.fixed(bytes)
  }

  fixed(bytes: Uint8Array): void {
    const { length } = bytes
    const padding = -length & 3
    const at = this.#advance(length + padding)
    this.#memory.bytes.set(bytes, at)
    if (padding > 0) this.#memory.bytes.fill(0, at + length, at + length + padding)
  }

  text(value: string): void {
    this.opaque(Buffer.from(value))
  }

  /** Passes `length` bytes and their padding, which are somebody else's to write; fills the padding. Returns where they begin. */
  skip(length: number): number {
    const padding = -length & 3
    const at = this.#advance(length + padding)
    if (padding > 0) this.#memory.bytes.fill(0, at + length, at + length + padding)
    return at
  }

  /** Writes a word again. */
  patch(at: number, value: number): void {
    this.#memory.view.setUint32(at, value)
  }

  #advance(bytes: number): number {
    const { at } = this
    if (at + bytes > this.end)
      throw new RangeError(`Cannot write ${bytes} bytes: ${this.end - at} are reserved`)
    this.at = at + bytes
    return at
  }
}
