/**
 * The words of a line of bytes: what is between blanks. One object for all lines.
 *
 * @module
 */
import { u8 } from "@skep/wire/bytes"
import { shown } from "../model.ts"
import { isSpace, skipBlanks } from "./lines.ts"

export class Words {
  readonly bytes: Buffer
  count = 0
  readonly #places: number[] = []

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  /** Finds the words between two places, in place of those before. */
  split(start: number, end: number): void {
    const { bytes } = this
    this.count = 0
    let at = skipBlanks(bytes, start, end)
    while (at < end) {
      this.#places[this.count * 2] = at
      while (at < end && !isSpace(u8(bytes, at))) at++
      this.#places[this.count * 2 + 1] = at
      this.count++
      at = skipBlanks(bytes, at, end)
    }
  }

  /** Where a word begins, from 0; 0 where there is none. */
  start(index: number): number {
    return index < this.count ? (this.#places[index * 2] ?? 0) : 0
  }

  end(index: number): number {
    return index < this.count ? (this.#places[index * 2 + 1] ?? 0) : 0
  }

  /** What `read` makes of a word. */
  read<T>(index: number, read: (bytes: Buffer, at: number, end: number) => T): T {
    return read(this.bytes, this.start(index), this.end(index))
  }

  /** A word in quotation marks, fit for a terminal. */
  quoted(index: number): string {
    return `"${shown(this.bytes.toString("latin1", this.start(index), this.end(index)))}"`
  }
}
