/**
 * Bytes of a guest's stream that had to be copied: what the host's socket did not take, and what came before its turn.
 *
 * @module
 */
import { type Memory, Parts } from "@skep/link"
import { after, distance } from "../tcp/seq.ts"

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

/** A bound that all flows share is in `Memory`; this one is what a flow's window allows. */
export class Kept {
  readonly #memory: Memory
  /** In order, to be written when the socket takes more. */
  readonly #backlog: Piece[] = []
  /** Sorted by sequence number; they may overlap. */
  readonly #early: Piece[] = []
  readonly #parts = new Parts()
  #bytes = 0

  constructor(memory: Memory) {
    this.#memory = memory
  }

  /** Bytes that wait for the socket. */
  get bytes(): number {
    return this.#bytes
  }

  /** Keeps all of `parts` after the first `skip` bytes. Returns how many bytes were kept: fewer where memory has run out. */
  append(parts: Parts, skip: number, length: number): number {
    const piece = this.#copy(parts, skip, length, 0)
    if (piece === undefined) return 0
    this.#backlog.push(piece)
    this.#bytes += length
    return length
  }

  /** Keeps bytes that came too early. Returns false where memory has run out. */
  hold(parts: Parts, skip: number, length: number, sequence: number): boolean {
    const piece = this.#copy(parts, skip, length, sequence)
    if (piece === undefined) return false
    let at = this.#early.length
    while (at > 0 && after(this.#early[at - 1]!.sequence, sequence)) at--
    this.#early.splice(at, 0, piece)
    return true
  }

  /** Moves what continues the stream at `next` to the backlog. Returns where the stream goes on after it. */
  join(next: number): number {
    let end = next
    while (this.#early.length > 0 && !after(this.#early[0]!.sequence, end)) {
      const piece = this.#early.shift()!
      const known = distance(end, piece.sequence)
      if (known >= piece.length) {
        this.#memory.free(piece.block, piece.size)
        continue
      }
      piece.address += known
      piece.length -= known
      this.#backlog.push(piece)
      this.#bytes += piece.length
      end = (end + piece.length) >>> 0
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
      this.#memory.free(piece.block, piece.size)
    }
  }

  /** Gives all memory back. */
  clear(): void {
    for (const { block, size } of this.#backlog.splice(0)) this.#memory.free(block, size)
    for (const { block, size } of this.#early.splice(0)) this.#memory.free(block, size)
    this.#bytes = 0
  }

  #copy(parts: Parts, skip: number, length: number, sequence: number): Piece | undefined {
    const size = Math.ceil(length / GRAIN) * GRAIN
    const block = this.#memory.allocate(size)
    if (block === 0) return undefined
    const from = new Parts()
    from.append(parts, skip, length)
    let to = block
    for (let index = 0; index < from.count; index++) {
      this.#memory.copy(from.addressAt(index), to, from.lengthAt(index))
      to += from.lengthAt(index)
    }
    return { block, size, sequence, address: block, length }
  }
}
