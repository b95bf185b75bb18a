/**
 * The last few KiB of a stream.
 *
 * @module
 */

/** Keeps the newest `max` bytes, and copies what it is given. */
export class Backlog {
  readonly #bytes: Uint8Array
  #at = 0
  #full = false

  constructor(max: number) {
    this.#bytes = new Uint8Array(max)
  }

  push(chunk: Uint8Array): void {
    const max = this.#bytes.length
    const tail = chunk.length > max ? chunk.subarray(chunk.length - max) : chunk
    const room = Math.min(tail.length, max - this.#at)
    this.#bytes.set(tail.subarray(0, room), this.#at)
    this.#bytes.set(tail.subarray(room), 0)
    this.#full ||= this.#at + tail.length >= max
    this.#at = (this.#at + tail.length) % max
  }

  /** A copy, oldest first. */
  bytes(): Uint8Array {
    if (!this.#full) return this.#bytes.slice(0, this.#at)
    return Buffer.concat([this.#bytes.subarray(this.#at), this.#bytes.subarray(0, this.#at)])
  }

  clear(): void {
    this.#at = 0
    this.#full = false
  }
}
