/**
 * The lines of an exports file, without losing a byte: `exports(5)` of BSD, macOS and Linux.
 *
 * A file is a string in latin1 here, one character for each byte: what others wrote in it may be in any encoding. A line that ends with a backslash
 * goes on in the next one, in comments too (mountd's `get_line`, nfs-utils' `xgetc`).
 *
 * @module
 */

/** A line of the file as it stands there, its end included. */
export interface Line {
  /** From 1. */
  readonly number: number
  /** Without its end. */
  readonly text: string
  /** "\n", "\r\n", or "" where the file ends without one. */
  readonly end: "\n" | "\r\n" | ""
  /** Whether it goes on in the next one. */
  readonly continues: boolean
  /** Whether it is the rest of the one before. */
  readonly continued: boolean
}

/** All lines: their texts and ends in a row are the file. */
export function linesOf(file: string): readonly Line[] {
  const lines: Line[] = []
  let continued = false
  let at = 0
  while (at < file.length) {
    const newline = file.indexOf("\n", at)
    const stop = newline < 0 ? file.length : newline
    const raw = file.slice(at, stop)
    const windows = newline >= 0 && raw.endsWith("\r")
    const text = windows ? raw.slice(0, -1) : raw
    const continues = text.endsWith("\\")
    lines.push({
      number: lines.length + 1,
      text,
      end: newline < 0 ? "" : windows ? "\r\n" : "\n",
      continues,
      continued,
    })
    continued = continues
    at = stop + 1
  }
  return lines
}

/** Lines that belong together, without comments and what is empty. */
export interface LogicalLine {
  /** Of its first line. */
  readonly number: number
  readonly text: string
}

export function logicalLines(file: string): readonly LogicalLine[] {
  const found: LogicalLine[] = []
  let number = 0
  let text = ""
  for (const line of linesOf(file)) {
    if (!line.continued) {
      number = line.number
      text = ""
    }
    text += line.continues ? `${line.text.slice(0, -1)} ` : line.text
    if (!line.continues) found.push({ number, text })
  }
  const last = linesOf(file).at(-1)
  if (last?.continues === true) found.push({ number, text })
  return found.filter((line) => !/^\s*(#|$)/.test(line.text))
}

/** Bytes of a path as characters of a file, and back. */
export function toFile(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1")
}

export function fromFile(bytes: string): string {
  return Buffer.from(bytes, "latin1").toString("utf8")
}
