/**
 * One descriptor chain, checked and translated: the pieces that the device may read, then those that it may write.
 *
 * Virtio 1.2, section 2.7.5 (descriptor table) and 2.7.5.3 (indirect descriptors). Where this is stricter than a guest needs, it is
 * so that nothing behind it has to check again:
 * - a chain has at most as many descriptors as the queue, so a loop is found by counting;
 * - an indirect descriptor is the last of its chain and its table is not nested (both are the specification's own);
 * - what may be read comes before what may be written;
 * - every byte lies in the guest's memory; a piece that spans regions becomes several.
 *
 * @module
 */
import type { Copy, GuestMemory } from "../memory/guest-memory.ts"

export const DESCRIPTOR = 16
const WORDS = DESCRIPTOR / 4

const F_NEXT = 1
const F_WRITE = 2
const F_INDIRECT = 4

/** Section 2.7.5: a chain may not describe more. */
const BYTES_MAX = 2 ** 32 - 1

export type MalformedChain =
  | "head-outside"
  | "next-outside"
  | "chain-too-long"
  | "chain-too-large"
  | "address-outside"
  | "read-after-write"
  | "indirect-with-next"
  | "indirect-nested"
  | "indirect-size"
  | "indirect-not-offered"

/** Reused for one chain after the other: whoever keeps pieces beyond the next `fill` copies them. */
export class Chain {
  /** The first descriptor: what is given back with the chain. */
  head = 0
  /** Readable pieces are 0 … readable - 1, writable ones readable … count - 1. */
  count = 0
  readable = 0
  readableBytes = 0
  writableBytes = 0
  /** Addresses in this process, and in the guest. */
  readonly addresses: Float64Array
  readonly guestAddresses: Float64Array
  readonly lengths: Uint32Array

  /** `capacity` bounds the pieces: the queue's size, and some for pieces that span regions. */
  constructor(capacity: number) {
    this.addresses = new Float64Array(capacity)
    this.guestAddresses = new Float64Array(capacity)
    this.lengths = new Uint32Array(capacity)
  }

  addressAt(piece: number): number {
    return this.addresses[piece] ?? 0
  }

  lengthAt(piece: number): number {
    return this.lengths[piece] ?? 0
  }

  /**
   * Copies the first `length` bytes that the device may read to `into`, from `at` on. Returns false where there are fewer. It is fastest where
   * `at` is aligned as the guest's address is.
   */
  readHead(memory: GuestMemory, into: Copy, length: number, at: number = 0): boolean {
    if (length > this.readableBytes) return false
    for (let piece = 0, done = 0; done < length; piece++) {
      const part = Math.min(length - done, this.lengthAt(piece))
      memory.copyOut(this.guestAddresses[piece] ?? 0, part, into, at + done)
      done += part
    }
    return true
  }

  /** Copies `length` bytes to the beginning of what the device may write. Returns false where there is less room. */
  writeHead(memory: GuestMemory, from: Copy, length: number): boolean {
    if (length > this.writableBytes) return false
    for (let piece = this.readable, done = 0; done < length; piece++) {
      const part = Math.min(length - done, this.lengthAt(piece))
      memory.copyIn(from, done, this.guestAddresses[piece] ?? 0, part)
      done += part
    }
    return true
  }

  /** Reads the chain that begins at `head` of the table. Returns what is wrong with it, or undefined. */
  fill(
    table: Uint32Array,
    head: number,
    memory: GuestMemory,
    indirect: Copy | undefined,
  ): MalformedChain | undefined {
    this.head = head
    this.count = 0
    this.readable = 0
    this.readableBytes = 0
    this.writableBytes = 0
    const size = table.length / WORDS
    if (head >= size) return "head-outside"
    let index = head
    for (let left = size; ; ) {
      const word = index * WORDS
      const flags = word32(table, word + 3) & 0xffff
      if ((flags & F_INDIRECT) !== 0) {
        if ((flags & F_NEXT) !== 0) return "indirect-with-next"
        if (indirect === undefined) return "indirect-not-offered"
        return this.#fillIndirect(table, word, memory, indirect)
      }
      const bad = this.#add(table, word, flags, memory)
      if (bad !== undefined) return bad
      if ((flags & F_NEXT) === 0) return undefined
      left--
      if (left === 0) return "chain-too-long"
      index = word32(table, word + 3) >>> 16
      if (index >= size) return "next-outside"
    }
  }

  #fillIndirect(
    table: Uint32Array,
    word: number,
    memory: GuestMemory,
    indirect: Copy,
  ): MalformedChain | undefined {
    const length = word32(table, word + 2)
    if (length === 0 || length % DESCRIPTOR !== 0 || length > indirect.bytes.length) return "indirect-size"
    const address = address64(table, word)
    // Copied out, as it may span regions and need not be aligned.
    if (address < 0 || !memory.copyOut(address, length, indirect)) return "address-outside"
    const { u32: words } = indirect
    const size = length / DESCRIPTOR
    let index = 0
    for (let left = size; ; ) {
      const at = index * WORDS
      const flags = word32(words, at + 3) & 0xffff
      if ((flags & F_INDIRECT) !== 0) return "indirect-nested"
      const bad = this.#add(words, at, flags, memory)
      if (bad !== undefined) return bad
      if ((flags & F_NEXT) === 0) return undefined
      left--
      if (left === 0) return "chain-too-long"
      index = word32(words, at + 3) >>> 16
      if (index >= size) return "next-outside"
    }
  }

  #add(table: Uint32Array, word: number, flags: number, memory: GuestMemory): MalformedChain | undefined {
    let address = address64(table, word)
    let left = word32(table, word + 2)
    const writes = (flags & F_WRITE) !== 0
    if (!writes && this.count > this.readable) return "read-after-write"
    if (this.readableBytes + this.writableBytes + left > BYTES_MAX) return "chain-too-large"
    if (address < 0) return "address-outside"
    if (writes) this.writableBytes += left
    else this.readableBytes += left
    while (left > 0) {
      if (!memory.locate(address)) return "address-outside"
      if (this.count >= this.addresses.length) return "chain-too-long"
      const length = Math.min(left, memory.room)
      this.addresses[this.count] = memory.address
      this.guestAddresses[this.count] = address
      this.lengths[this.count] = length
      this.count++
      if (!writes) this.readable++
      left -= length
      address += length
    }
    return undefined
  }
}

/** A guest address of 2^53 or more is outside of everything. */
function address64(table: Uint32Array, word: number): number {
  const high = word32(table, word + 1)
  return high >= 2 ** 21 ? -1 : high * 2 ** 32 + word32(table, word)
}

function word32(table: Uint32Array, word: number): number {
  return table[word] ?? 0
}
