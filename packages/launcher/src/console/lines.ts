/**
 * Console bytes to lines of text.
 *
 * @module
 */

/** A guest that never ends its line must not fill the memory; what is beyond is not looked at. */
const LINE_MAX = 1024

/** Completes lines across chunks. A carriage return before the line feed is dropped. */
export class ConsoleLines {
  #rest = ""
  readonly #decoder = new TextDecoder()

  push(chunk: Uint8Array): readonly string[] {
    const parts = this.#decoder.decode(chunk, { stream: true }).split("\n")
    const lines = parts.map((part, index) => (index === 0 ? `${this.#rest}${part}` : part).slice(0, LINE_MAX))
    this.#rest = lines.pop() ?? ""
    return lines.map((line) => line.replace(/\r+$/, ""))
  }
}
