/**
 * What a host has said and its guest has not acknowledged, for sockets that cannot be peeked at with an offset.
 *
 * ```
 *  │ discarded │ first … │ ──► │ full │ ──► │ … last │ free │        blocks of the driver's memory, 1 to 64 KiB each
 *              ▲ offset 0                          ▲ the next bytes go here
 * ```
 *
 * A ring without its fixed size: a quiet stream has no block at all, one that trickles a small one. How much a stream may hold is a share of what is
 * free (Choudhury and Hahne, "Dynamic queue length thresholds", 1998), so that many slow guests leave room for one that is quick.
 *
 * @module
 */
import { type Memory, Parts } from "@skep/link"
import type { HeapShare } from "./heap-share.ts"

const BLOCK_MIN = 1024
const BLOCK_MAX = 64 * 1024
/** One stream's, where memory is plenty: with 20 ms to the guest and back that is 50 MB/s. */
const MOST = 1024 * 1024
/** Of what is free. */
const SHARE = 8
/** What a stream may hold whatever the others do: without it, it would stand still. */
const LEAST = 16 * 1024

interface Block {
  readonly address: number
  readonly size: number
  filled: number
}

/** Memory whose fill is known. */
export interface BoundedMemory extends Memory {
  readonly arena: { readonly heap: { readonly used: number; readonly length: number } }
}

export class Backlog {
  readonly #memory: BoundedMemory
  readonly #share: HeapShare | undefined
  readonly #blocks: Block[] = []
  /** Bytes of the first block that were discarded. */
  #skip = 0
  #bytes = 0
  /** Where the last `reserve` said that bytes may be put. */
  readonly #places = new Parts()

  /** `share`: of the machine that it is for; unless given, all that is free is to be had. */
  constructor(memory: BoundedMemory, share?: HeapShare) {
    this.#memory = memory
    this.#share = share
  }

  /** Bytes that are held. */
  get bytes(): number {
    return this.#bytes
  }

  /** How many more it may hold now; 0 where the stream is to wait. */
  get room(): number {
    const { heap } = this.#memory.arena
    const free = this.#share?.left(heap) ?? heap.length - heap.used
    return Math.max(0, Math.max(LEAST, Math.min(MOST, free / SHARE)) - this.#bytes)
  }

  /**
   * Makes places for at most `most` bytes, to be filled by `put` before anything else is asked of it. They are empty where there is no memory, and
   * may be fewer than asked for.
   */
  reserve(most: number): Parts {
    const places = this.#places
    places.clear()
    const last = this.#blocks.at(-1)
    const tail = last === undefined ? 0 : Math.min(most, last.size - last.filled)
    if (last !== undefined && tail > 0) places.push(last.address + last.filled, tail)
    if (tail < most) {
      const block = this.#take(most - tail)
      if (block !== undefined) places.push(block.address, Math.min(block.size, most - tail))
    }
    return places
  }

  /** The first `count` bytes of the places are filled; 0 gives them back. */
  put(count: number): void {
    const places = this.#places
    let left = count
    const fresh = this.#blocks.at(-1)
    // A block that was taken for this is the last, and empty.
    const before = fresh?.filled === 0 ? this.#blocks.at(-2) : fresh
    if (before !== undefined && before !== fresh && places.count === 2) {
      const part = Math.min(left, places.lengthAt(0))
      before.filled += part
      left -= part
    }
    if (fresh !== undefined) {
      fresh.filled += left
      if (fresh.filled === 0) this.#giveLast()
      else if (fresh.filled === left) this.#shrinkLast(fresh)
    }
    this.#bytes += count
    places.clear()
  }

  /** Copies bytes to its end. Returns how many there was memory for. */
  append(from: number, length: number): number {
    let done = 0
    while (done < length) {
      const places = this.reserve(length - done)
      if (places.count === 0) break
      for (let index = 0, at = from + done; index < places.count; index++) {
        this.#memory.copy(at, places.addressAt(index), places.lengthAt(index))
        at += places.lengthAt(index)
      }
      const part = places.bytes
      this.put(part)
      done += part
    }
    return done
  }

  /** Copies what is `offset` bytes after the first into `into`. Returns how many bytes there were. */
  copy(into: Parts, offset: number): number {
    const blocks = this.#blocks
    let index = 0
    let at = this.#skip + offset
    let block = blocks[0]
    while (block !== undefined && at >= block.filled) {
      at -= block.filled
      block = blocks[++index]
    }
    let done = 0
    for (let part = 0; part < into.count && block !== undefined; part++) {
      let to = into.addressAt(part)
      let left = into.lengthAt(part)
      while (left > 0 && block !== undefined) {
        const some = Math.min(left, block.filled - at)
        this.#memory.copy(block.address + at, to, some)
        to += some
        at += some
        left -= some
        done += some
        if (at < block.filled) continue
        at = 0
        block = blocks[++index]
      }
    }
    return done
  }

  /** Forgets its first `count` bytes; more than there are is all. */
  discard(count: number): void {
    let left = Math.min(count, this.#bytes)
    this.#bytes -= left
    for (let first = this.#blocks[0]; first !== undefined; first = this.#blocks[0]) {
      const there = first.filled - this.#skip
      if (left < there) break
      left -= there
      this.#skip = 0
      this.#blocks.shift()
      this.#free(first)
    }
    this.#skip += left
  }

  clear(): void {
    for (const block of this.#blocks.splice(0)) this.#free(block)
    this.#skip = 0
    this.#bytes = 0
    this.#places.clear()
  }

  /** A new last block, as large as there is memory for. */
  #take(wanted: number): Block | undefined {
    for (let size = sizeFor(wanted); size >= BLOCK_MIN; size >>= 1) {
      const address = this.#allocate(size)
      if (address === 0) continue
      const block = { address, size, filled: 0 }
      this.#blocks.push(block)
      return block
    }
    return undefined
  }

  #allocate(size: number): number {
    if (this.#share?.take(size, this.#memory.arena.heap) === false) return 0
    const address = this.#memory.allocate(size)
    if (address === 0) this.#share?.give(size)
    return address
  }

  #free({ address, size }: Block): void {
    this.#memory.free(address, size)
    this.#share?.give(size)
  }

  #giveLast(): void {
    const last = this.#blocks.pop()
    if (last !== undefined) this.#free(last)
  }

  /** A few bytes in a large block move to a small one: else whoever trickles would hold sixty times what it says. */
  #shrinkLast({ address, size, filled }: Block): void {
    const enough = sizeFor(filled)
    if (4 * enough > size) return
    const smaller = this.#allocate(enough)
    if (smaller === 0) return
    this.#memory.copy(address, smaller, filled)
    this.#giveLast()
    this.#blocks.push({ address: smaller, size: enough, filled })
  }
}

/** A power of two, as the memory gives them. */
function sizeFor(length: number): number {
  if (length >= BLOCK_MAX) return BLOCK_MAX
  return Math.max(BLOCK_MIN, 2 ** (32 - Math.clz32(length - 1)))
}
