/**
 * Datagrams of one size received one behind the other, the last one perhaps shorter: what a link that cuts UDP takes as one frame.
 *
 * ```
 *  buffer │ handed on │ start: 64 │ 64 │ 64 │ end: room for one more │
 * ```
 *
 * @module
 */

/** The largest payload of UDP over IPv4. */
const BYTES_MAX = 65_507

/** One for a thread: it is empty between the turns of sockets. */
export class DatagramRun {
  /** Where the next datagram is received: there is room for one of any length. */
  end: number
  start: number
  /** Of each but the last. */
  size = 0
  count = 0
  readonly #buffer: number
  readonly #room: number

  /** `buffer` has twice the `room` that the longest datagram takes. */
  constructor(buffer: number, room: number) {
    this.#buffer = buffer
    this.#room = room
    this.start = buffer
    this.end = buffer
  }

  get bytes(): number {
    return this.end - this.start
  }

  /** Whether what was received at `end` may be added. */
  takes(length: number): boolean {
    if (this.count === 0) return true
    return length > 0 && length <= this.size && this.bytes + length <= BYTES_MAX
  }

  /** Adds what was received at `end`. Returns whether more may follow, if datagrams of up to `sizeMax` bytes may go together at all. */
  add(length: number, sizeMax: number): boolean {
    if (this.count === 0) this.size = length
    this.count++
    this.end += length
    if (length === 0 || length < this.size || length > sizeMax) return false
    // One as long as this would have to begin anew: better where there is room behind it.
    return this.bytes + length <= BYTES_MAX && this.end - this.#buffer <= this.#room
  }

  /** What there is was handed on; what was received at `end` stays. */
  next(): void {
    this.start = this.end
    this.count = 0
  }

  clear(): void {
    this.end = this.#buffer
    this.next()
  }
}
