/**
 * Bytes to lines, with a bound: what a peer sends without a line feed must not fill the memory.
 *
 * @module
 */

const LINE_FEED = 0x0a

/** Collects chunks and gives back whole lines, without their line feed. */
export class Lines {
  readonly #max: number
  #parts: Uint8Array[] = []
  #bytes = 0

  constructor(maxBytes: number) {
    this.#max = maxBytes
  }

  /** The lines that `chunk` completes; or "too-long" once a line passes the bound, and nothing is of use after that. */
  push(chunk: Uint8Array): readonly string[] | "too-long" {
    const lines: string[] = []
    let from = 0
    for (let at = chunk.indexOf(LINE_FEED); at !== -1; at = chunk.indexOf(LINE_FEED, from)) {
      if (!this.#keep(chunk.subarray(from, at))) return "too-long"
      lines.push(Buffer.concat(this.#parts).toString("utf8"))
      this.#parts = []
      this.#bytes = 0
      from = at + 1
    }
    return this.#keep(chunk.subarray(from)) ? lines : "too-long"
  }

  #keep(part: Uint8Array): boolean {
    this.#bytes += part.length
    if (this.#bytes > this.#max) return false
    // A copy: many short lines in one chunk must not keep it alive.
    if (part.length > 0) this.#parts.push(Uint8Array.from(part))
    return true
  }
}
