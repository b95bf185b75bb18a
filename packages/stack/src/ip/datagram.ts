/**
 * A packet of which some fragments are there: pieces in order, none over another.
 *
 * @module
 */

/** A piece of payload in memory that belongs to the datagram. */
export interface Piece {
  readonly offset: number
  readonly length: number
  readonly address: number
}

export class Datagram {
  readonly pieces: Piece[] = []
  /** Bytes in the pieces. */
  bytes = 0
  #total = -1

  /** Where a piece would go, or why it is not wanted. */
  place(offset: number, length: number, more: boolean): number | "duplicate" | "overlap" {
    const end = offset + length
    if (this.#total !== -1 && (end > this.#total || (!more && end !== this.#total))) return "overlap"
    let index = this.pieces.length
    while (index > 0 && this.#offsetAt(index - 1) >= offset) index--
    const next = this.pieces[index]
    if (next?.offset === offset && next.length === length) return "duplicate"
    const previous = this.pieces[index - 1]
    if (previous !== undefined && previous.offset + previous.length > offset) return "overlap"
    if (next !== undefined && (end > next.offset || !more)) return "overlap"
    return index
  }

  /** Puts a piece where `place` said. Returns whether all are there now. */
  put(index: number, piece: Piece, more: boolean): boolean {
    this.pieces.splice(index, 0, piece)
    this.bytes += piece.length
    if (!more) this.#total = piece.offset + piece.length
    return this.bytes === this.#total
  }

  #offsetAt(index: number): number {
    return this.pieces[index]?.offset ?? 0
  }
}
