/**
 * The cache of duplicate requests (Juszczak, "Improving the Performance and Correctness of an NFS Server"): a client that lost its connection asks again, and
 * what cannot be done twice is answered as it was the first time.
 *
 * A request is known by its length and a hash over its bytes: transaction, procedure, credential with the client's name, and arguments. The client's address is
 * no part of it: behind a network of user space all connections come from one, and from another port each time. Entries are in a ring, so the
 * oldest one goes.
 *
 * @module
 */
import { at } from "@skep/loop/memory"

/** The longest reply of those that are kept: CREATE's, with its header and two sets of attributes. */
const REPLY_MAX = 384
/** Transactions are used again, by a client that begins anew at the latest. */
const LIFE_S = 120
const FNV_PRIME = 0x01000193
const FNV_OFFSET = 0x811c9dc5
const OTHER_OFFSET = 0x9747b28c
const OTHER_PRIME = 0x85ebca6b
/** As much of a request as decides which one it is: names and attributes are within. */
const HASHED_MAX = 1024

export class Duplicates {
  readonly #entries: number
  /** Four words each: two hashes, length of the reply (0 while it is under way), and when it came, in seconds. */
  readonly #words: Uint32Array
  readonly #replies: Uint8Array
  readonly #index = new Map<number, number>()
  #next = 0
  #low = 0
  #high = 0

  constructor(entries: number) {
    this.#entries = entries
    this.#words = new Uint32Array(entries * 4)
    this.#replies = new Uint8Array(entries * REPLY_MAX)
  }

  /** The entry of a request that was seen in the last minutes: its number; or -1. What `begin` needs is remembered. */
  find(bytes: Uint8Array, start: number, end: number, nowMs: number): number {
    this.#hash(bytes, start, end)
    const entry = this.#index.get(this.#key())
    if (entry === undefined) return -1
    const word = entry * 4
    const same = at(this.#words, word) === this.#low && at(this.#words, word + 1) === this.#high
    return same && nowMs / 1000 - at(this.#words, word + 3) < LIFE_S ? entry : -1
  }

  /** The reply of an entry, or undefined while the first request is under way. */
  replyOf(entry: number): Uint8Array | undefined {
    const length = at(this.#words, entry * 4 + 2)
    return length === 0 ? undefined : this.#replies.subarray(entry * REPLY_MAX, entry * REPLY_MAX + length)
  }

  /** Makes an entry for the request that `find` did not know. */
  begin(nowMs: number): number {
    const entry = this.#next
    this.#next = (entry + 1) % this.#entries
    const word = entry * 4
    const old = keyOf(at(this.#words, word), at(this.#words, word + 1))
    if (this.#index.get(old) === entry) this.#index.delete(old)
    this.#words[word] = this.#low
    this.#words[word + 1] = this.#high
    this.#words[word + 2] = 0
    this.#words[word + 3] = nowMs / 1000
    this.#index.set(this.#key(), entry)
    return entry
  }

  /** Keeps the reply, from its transaction on. */
  end(entry: number, bytes: Uint8Array, start: number, end: number): void {
    if (end - start > REPLY_MAX) return
    this.#replies.set(bytes.subarray(start, end), entry * REPLY_MAX)
    this.#words[entry * 4 + 2] = end - start
  }

  #key(): number {
    return keyOf(this.#low, this.#high)
  }

  /** Of the whole record, which begins with its transaction. */
  #hash(bytes: Uint8Array, start: number, end: number): void {
    let low = FNV_OFFSET ^ (end - start)
    let high = OTHER_OFFSET
    const last = Math.min(end, start + HASHED_MAX)
    for (let index = start; index < last; index++) {
      const byte = at(bytes, index)
      low = Math.imul(low ^ byte, FNV_PRIME)
      high = Math.imul(high ^ byte, OTHER_PRIME)
      high ^= high >>> 13
    }
    this.#low = low >>> 0
    this.#high = high >>> 0
  }
}

/** A number that a Map finds fast: 52 bits of the two words. */
function keyOf(low: number, high: number): number {
  return (high & 0xf_ffff) * 2 ** 32 + low
}
