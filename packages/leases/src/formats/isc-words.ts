/**
 * The words of the language of ISC dhcpd's files: dhcpd.conf(5), "common/conflex.c". One object for all of them.
 *
 *     lease 192.168.65.44 {          # to the end of the line
 *       uid "\001RT\000\012\013\014";
 *     }
 *
 * @module
 */
import { u8 } from "@skep/wire/bytes"
import * as fields from "./fields.ts"
import { LF } from "./lines.ts"

const QUOTE = 0x22
const HASH = 0x23
const BACKSLASH = 0x5c
const SEMICOLON = 0x3b
const OPEN = 0x7b
const CLOSE = 0x7d

export type Kind = "word" | "string" | "open" | "close" | "semicolon" | "end"

/** What a byte does where a word could be. */
const PART = 0
const BLANK = 1
const LINE = 2
const MARK = 3
const CLASSES = classes()

export class IscWords {
  readonly bytes: Uint8Array
  /** Of the word that `advance` found; of a string without its quotation marks. */
  start = 0
  end = 0
  /** The line in which it ends. */
  line = 1
  /** Behind it. */
  next = 0
  kind: Kind = "end"

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** Finds the next one. At the end of the file, and in a string that does not end, it is "end". */
  advance(): Kind {
    const { bytes } = this
    const { length } = bytes
    let at = this.next
    while (at < length) {
      const byte = u8(bytes, at)
      const is = u8(CLASSES, byte)
      if (is === LINE) this.line++
      else if (byte === HASH) {
        while (at + 1 < length && u8(bytes, at + 1) !== LF) at++
      } else if (is !== BLANK) return (this.kind = this.#take(at, byte, is))
      at++
    }
    this.start = this.end = this.next = length
    return (this.kind = "end")
  }

  #take(at: number, byte: number, is: number): Kind {
    this.start = at
    if (byte === QUOTE) return this.#string(at + 1)
    const { bytes } = this
    let place = at + 1
    if (is === PART) {
      while (place < bytes.length && u8(CLASSES, u8(bytes, place)) === PART) place++
    }
    this.end = this.next = place
    if (byte === OPEN) return "open"
    if (byte === CLOSE) return "close"
    return byte === SEMICOLON ? "semicolon" : "word"
  }

  #string(start: number): Kind {
    const { bytes } = this
    this.start = start
    for (let at = start; at < bytes.length; at++) {
      const byte = u8(bytes, at)
      if (byte === BACKSLASH) at++
      else if (byte === LF) this.line++
      else if (byte === QUOTE) {
        this.end = at
        this.next = at + 1
        return "string"
      }
    }
    this.end = this.next = bytes.length
    return "end"
  }

  /**
   * Goes to the semicolon of a statement, or to the brace that closes its own: "whole". Or to what ends it before: a brace that closes something else, or the
   * end of the file.
   */
  skipStatement(): "whole" | "close" | "end" {
    const { bytes, kind } = this
    if (kind === "semicolon") return "whole"
    if (kind === "close" || kind === "end") return kind
    let depth = kind === "open" ? 1 : 0
    let at = this.next
    while (at < bytes.length) {
      const byte = u8(bytes, at)
      const is = u8(CLASSES, byte)
      if (is === LINE) this.line++
      if (is <= LINE) {
        at++
        continue
      }
      // The few bytes that mean something are for the slower way.
      this.next = at
      const mark = this.advance()
      at = this.next
      if (mark === "end") return "end"
      if (mark === "open") depth++
      else if (mark === "close" && --depth <= 0) return depth === 0 ? "whole" : "close"
      else if (mark === "semicolon" && depth === 0) return "whole"
    }
    this.next = at
    this.kind = "end"
    return "end"
  }
}

/** Text as UTF-8, where a string may have escapes. */
export function unescaped(bytes: Buffer, start: number, end: number): string {
  for (let at = start; at < end; at++) {
    if (u8(bytes, at) === BACKSLASH) return Buffer.from(unescape(bytes, start, end)).toString("utf8")
  }
  return fields.text(bytes, start, end)
}

/** The bytes of a string: `\001` in octal, `\x1f`, and a backslash before anything else. */
export function unescape(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const out = Buffer.allocUnsafe(end - start)
  let size = 0
  for (let at = start; at < end; at++) {
    let byte = u8(bytes, at)
    if (byte === BACKSLASH && at + 1 < end) {
      const after = u8(bytes, ++at)
      if (isOctal(after)) {
        byte = after - 0x30
        for (let digits = 1; digits < 3 && at + 1 < end && isOctal(u8(bytes, at + 1)); digits++) {
          byte = (byte * 8 + u8(bytes, ++at) - 0x30) & 0xff
        }
      } else byte = ESCAPES.get(after) ?? after
    }
    out[size++] = byte
  }
  return out.subarray(0, size)
}

/** t, r, n, b. */
const ESCAPES: ReadonlyMap<number, number> = new Map([
  [0x74, 0x09],
  [0x72, 0x0d],
  [0x6e, 0x0a],
  [0x62, 0x08],
])

function isOctal(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x37
}

function classes(): Uint8Array {
  const table = new Uint8Array(256)
  for (const blank of " \t\r\f\v") table[blank.charCodeAt(0)] = BLANK
  table[LF] = LINE
  for (const mark of '{};,="#') table[mark.charCodeAt(0)] = MARK
  return table
}
