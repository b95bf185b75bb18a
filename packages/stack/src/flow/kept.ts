/**
 * Bytes of a guest's stream that had to be copied: what the host's socket did not take, and what came before its turn.
 *
 * @module
 */
import { type Memory, Parts } from "@skep/link"
import { after, distance } from "../tcp/seq.ts"
import type { Allowance } from "./allowance.ts"

/** Pieces are rounded up to this, so that small ones share memory classes. */
const GRAIN = 2048

interface Piece {
  /** What was allocated. */
  readonly block: number
  readonly size: number
  /** The sequence number of its first byte that is left. */
  sequence: number
  address: number
  length: number
}

/**
 * A bound that all machines share is in `Memory`, one of the machine's is its allowance; this one is what a flow's window allows. Small pieces share blocks, so that what is allocated is not
 * much more than what is kept; early ones that do not follow each other cost a block each and have a bound of their own.
 */
export class Kept {
  readonly #memory: Memory
  readonly #allowance: Allowance
  readonly #mostEarly: number
  /** In order, to be written when the socket takes more. */
  readonly #backlog: Piece[] = []
  /** Sorted by sequence number; they may overlap. */
  readonly #early: Piece[] = []
  readonly #parts = new Parts()
  #bytes = 0
  #earlySize = 0

  /** `capacity` is the largest window of the flow. */
  constructor(memory: Memory, allowance: Allowance, capacity: number) {
    this.#memory = memory
    this.#allowance = allowance
    this.#mostEarly = 2 * Math.ceil(capacity / GRAIN) * GRAIN
  }

  /** Bytes that wait for the socket. */
  get bytes(): number {
    return this.#bytes
  }

  /** Keeps `length` bytes of `parts` after the first `skip`. Returns how many bytes were kept: fewer where memory has run out. */
  append(parts: Parts, skip: number, length: number): number {
    const joined = this.#fill(this.#backlog.at(-1), parts, skip, length)
    this.#bytes += joined
    if (joined === length) return length
    const piece = this.#copy(parts, skip + joined, length - joined, 0)
    if (piece === undefined) return joined
    this.#backlog.push(piece)
    this.#bytes += piece.length
    return length
  }

  /** Keeps bytes that came too early. Returns false where memory has run out, or where they would cost too much of it. */
  hold(parts: Parts, skip: number, length: number, sequence: number): boolean {
    let at = this.#early.length
    while (at > 0 && after(this.#early[at - 1]!.sequence, sequence)) at--
    const previous = this.#early[at - 1]
    const follows = previous !== undefined && distance(sequence, previous.sequence) === previous.length
    if (follows && room(previous) >= length) {
      this.#fill(previous, parts, skip, length)
      return true
    }
    if (this.#earlySize + sizeFor(length) > this.#mostEarly) return false
    const piece = this.#copy(parts, skip, length, sequence)
    if (piece === undefined) return false
    this.#earlySize += piece.size
    this.#early.splice(at, 0, piece)
    return true
  }

  /** Moves what continues the stream at `next` to the backlog. Returns where the stream goes on after it. */
  join(next: number): number {
    let end = next
    while (this.#early.length > 0 && !after(this.#early[0]!.sequence, end)) {
      const piece = this.#early.shift()!
      this.#earlySize -= piece.size
      const known = distance(end, piece.sequence)
      if (known >= piece.length) {
        this.#free(piece)
        continue
      }
      piece.address += known
      piece.length -= known
      this.#bytes += piece.length
      end = (end + piece.length) >>> 0
      const last = this.#backlog.at(-1)
      if (last === undefined || room(last) < piece.length) this.#backlog.push(piece)
      else {
        this.#memory.copy(piece.address, last.address + last.length, piece.length)
        last.length += piece.length
        this.#free(piece)
      }
    }
    return end
  }

  /** Whether anything from `sequence` on waits for what is missing before it. */
  get early(): boolean {
    return this.#early.length > 0
  }

  /** The backlog, to be written; valid until the next call. */
  pending(most: number): Parts {
    const parts = this.#parts
    parts.clear()
    for (const { address, length } of this.#backlog) {
      if (parts.count >= most) break
      parts.push(address, length)
    }
    return parts
  }

  /** The socket has taken the first `bytes` of the backlog. */
  taken(bytes: number): void {
    let left = bytes
    this.#bytes -= bytes
    while (left > 0) {
      const piece = this.#backlog[0]
      if (piece === undefined) return
      if (left < piece.length) {
        piece.address += left
        piece.length -= left
        return
      }
      left -= piece.length
      this.#backlog.shift()
      this.#free(piece)
    }
  }

  /** Gives all memory back. */
  clear(): void {
    for (const piece of this.#backlog.splice(0)) this.#free(piece)
    for (const piece of this.#early.splice(0)) this.#free(piece)
    this.#bytes = 0
    this.#earlySize = 0
  }

  /** Puts what fits after a piece's bytes. Returns how many bytes that were. */
  #fill(piece: Piece | undefined, parts: Parts, skip: number, length: number): number {
    const fits = piece === undefined ? 0 : Math.min(length, room(piece))
    if (piece === undefined || fits === 0) return 0
    this.#put(parts, skip, fits, piece.address + piece.length)
    piece.length += fits
    return fits
  }

  #copy(parts: Parts, skip: number, length: number, sequence: number): Piece | undefined {
    const size = sizeFor(length)
    if (!this.#allowance.take(size)) return undefined
    const block = this.#memory.allocate(size)
    if (block === 0) {
      this.#allowance.give(size)
      return undefined
    }
    this.#put(parts, skip, length, block)
    return { block, size, sequence, address: block, length }
  }

  #put(parts: Parts, skip: number, length: number, address: number): void {
    const from = new Parts()
    from.append(parts, skip, length)
    let to = address
    for (let index = 0; index < from.count; index++) {
      this.#memory.copy(from.addressAt(index), to, from.lengthAt(index))
      to += from.lengthAt(index)
    }
  }

  #free({ block, size }: Piece): void {
    this.#memory.free(block, size)
    this.#allowance.give(size)
  }
}

function sizeFor(length: number): number {
  return Math.ceil(length / GRAIN) * GRAIN
}

/** Bytes that fit after those of a piece. */
function room({ block, size, address, length }: Piece): number {
  return block + size - address - length
}
