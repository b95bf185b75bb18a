/**
 * The objects of one array in a JSON file (RFC 8259), each with its place, so that single ones can be cut out and all else stays as it was written.
 *
 * Only the structure is walked here: strings, brackets, commas. Whether what is between them is right JSON is for `JSON.parse`, one object at a time.
 *
 * @module
 */
import { u8 } from "@skep/wire/bytes"
import { type Document, type Lease, type Source, shown } from "../model.ts"
import { chosenOf, type Range, without } from "./cutting.ts"
import * as fields from "./fields.ts"
import { isSpace, LF } from "./lines.ts"
import type { Reading } from "./reading.ts"

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const ARRAY_OPEN = 0x5b
const ARRAY_CLOSE = 0x5d
const OBJECT_OPEN = 0x7b
const OBJECT_CLOSE = 0x7d
/** What is longer is no lease. */
const ENTRY_MAX = 64 * 1024

export type Fields = Readonly<Record<string, unknown>>

export interface Element extends Range {
  readonly line: number
  readonly lastLine: number
}

type Visit = (element: Element) => void

interface Malformed {
  readonly line: number
  readonly sentence: string
  readonly isEnd: boolean
}

/**
 * Gives each object of the array to `visit`, which says what is wrong with it, or nothing. The array is the file, or a field of the object that the file is. Returns what else
 * is in the file, with the array empty; undefined, and a problem in the reading, where it is no such file.
 */
export function readArray(
  reading: Reading,
  field: string | undefined,
  visit: (object: Fields, element: Element) => string | undefined,
): unknown {
  const { bytes } = reading
  const array = findArray(bytes, field, (element) => {
    const { start, end, line } = element
    const object = end - start > ENTRY_MAX ? undefined : jsonOf(bytes, start, end)
    const problem = isFields(object) ? visit(object, element) : "an entry is no JSON object"
    if (problem !== undefined) reading.problem(line, problem)
  })
  if ("sentence" in array) {
    if (array.isEnd) reading.broken(array.line, array.sentence)
    else reading.problem(array.line, array.sentence)
    return undefined
  }
  const around = Buffer.concat([bytes.subarray(0, array.start), bytes.subarray(array.end)])
  const rest = jsonOf(around, 0, around.length)
  if (rest === undefined) reading.problem(1, "what is around the list of leases is no JSON")
  return rest
}

/** The file without these entries of its array. Throws as `LeaseFormat.remove`. */
export function removeElements(
  document: Document,
  leases: Iterable<Lease>,
  field: string | undefined,
): Uint8Array {
  const chosen = new Set(chosenOf(document, leases).map(({ source }) => source.start))
  if (chosen.size === 0) return document.bytes
  // An entry goes with the comma before it, the first ones with what is between them and the first that stays.
  const ranges: Range[] = []
  let first: number | undefined
  let before: number | undefined
  const array = findArray(document.bytes, field, ({ start, end }) => {
    if (!chosen.has(start)) {
      if (first !== undefined && before === undefined) ranges.push({ start: first, end: start })
      before = end
    } else if (before !== undefined) {
      ranges.push({ start: before, end })
      before = end
    }
    first ??= start
  })
  if ("sentence" in array) throw new Error("A document without problems has to be found again")
  // None stays: the blanks of the list go too.
  return without(document.bytes, before === undefined ? [array] : ranges)
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

export function sourceOf({ line, lastLine, start, end }: Element, path: string): Source {
  return { path, line, lastLine, start, end }
}

/** A text of an entry; undefined where there is none, or something else. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined
}

/** What is wrong with a field, with its value made fit for a terminal. */
export function badField(name: string, value: unknown): string {
  return value === undefined ? `an entry has no ${name}` : `${name} is none: ${shown(JSON.stringify(value))}`
}

function jsonOf(bytes: Buffer, start: number, end: number): unknown {
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8", start, end))
    return value
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** Where the array is: from behind its opening bracket to the closing one. Its elements go to `visit`. */
function findArray(bytes: Uint8Array, field: string | undefined, visit: Visit): Range | Malformed {
  const walk = new Walk(bytes)
  walk.blanks()
  const found = field === undefined ? walk.array(visit) : fieldArray(walk, field, visit)
  if ("sentence" in found || field !== undefined) return found
  walk.blanks()
  return walk.isDone ? found : walk.malformed("something follows the end of the list")
}

function fieldArray(walk: Walk, field: string, visit: Visit): Range | Malformed {
  if (!walk.take(OBJECT_OPEN)) return walk.malformed("it is no JSON object")
  let found: Range | undefined
  walk.blanks()
  while (!walk.take(OBJECT_CLOSE)) {
    const start = walk.at
    if (!walk.string()) return walk.malformed("a name is missing")
    const isIt = fields.equals(walk.bytes, start + 1, walk.at - 1, field)
    walk.blanks()
    if (!walk.take(COLON)) return walk.malformed("a colon is missing")
    walk.blanks()
    if (isIt) {
      if (found !== undefined) return walk.malformed(`there is a second "${field}"`)
      const array = walk.array(visit)
      if ("sentence" in array) return array
      found = array
    } else if (!walk.value()) return walk.malformed("a value is missing")
    walk.blanks()
    if (walk.take(COMMA)) walk.blanks()
    else if (!walk.isAt(OBJECT_CLOSE)) return walk.malformed("a comma is missing")
  }
  return found ?? { line: 1, sentence: `there is no "${field}"`, isEnd: false }
}

/** A place in JSON text, and its line. */
class Walk {
  readonly bytes: Uint8Array
  at = 0
  line = 1

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  get isDone(): boolean {
    return this.at >= this.bytes.length
  }

  malformed(sentence: string): Malformed {
    return this.isDone
      ? { line: this.line, sentence: "the file ends before the list of leases does", isEnd: true }
      : { line: this.line, sentence, isEnd: false }
  }

  isAt(byte: number): boolean {
    return this.at < this.bytes.length && u8(this.bytes, this.at) === byte
  }

  take(byte: number): boolean {
    if (!this.isAt(byte)) return false
    this.at++
    return true
  }

  blanks(): void {
    const { bytes } = this
    while (this.at < bytes.length) {
      const byte = u8(bytes, this.at)
      if (!isSpace(byte)) return
      if (byte === LF) this.line++
      this.at++
    }
  }

  /** Whether there is one, and it ends. */
  string(): boolean {
    const { bytes } = this
    if (!this.isAt(QUOTE)) return false
    for (let at = this.at + 1; at < bytes.length; at++) {
      const byte = u8(bytes, at)
      if (byte === BACKSLASH) at++
      else if (byte === LF) this.line++
      else if (byte === QUOTE) {
        this.at = at + 1
        return true
      }
    }
    this.at = bytes.length
    return false
  }

  /** Goes behind a value; whether one is there, as far as its brackets say. */
  value(): boolean {
    if (this.isAt(QUOTE)) return this.string()
    if (this.isAt(OBJECT_OPEN) || this.isAt(ARRAY_OPEN)) return this.#brackets()
    const { bytes, at } = this
    while (!this.isDone && !isEnd(u8(bytes, this.at))) this.at++
    return this.at > at
  }

  #brackets(): boolean {
    const { bytes } = this
    let depth = 0
    while (this.at < bytes.length) {
      const byte = u8(bytes, this.at)
      if (byte === QUOTE) {
        if (!this.string()) return false
        continue
      }
      this.at++
      if (byte === OBJECT_OPEN || byte === ARRAY_OPEN) depth++
      else if (byte === LF) this.line++
      else if ((byte === OBJECT_CLOSE || byte === ARRAY_CLOSE) && --depth === 0) return true
    }
    return false
  }

  array(visit: Visit): Range | Malformed {
    if (!this.take(ARRAY_OPEN)) return this.malformed("it is no list")
    const start = this.at
    this.blanks()
    while (!this.isAt(ARRAY_CLOSE)) {
      const { at, line } = this
      if (!this.value()) return this.malformed("an entry is missing")
      visit({ start: at, end: this.at, line, lastLine: this.line })
      this.blanks()
      if (this.take(COMMA)) {
        this.blanks()
        if (this.isAt(ARRAY_CLOSE)) return this.malformed("an entry is missing behind a comma")
      } else if (!this.isAt(ARRAY_CLOSE)) return this.malformed("a comma is missing")
    }
    const end = this.at
    this.at++
    return { start, end }
  }
}

/** Where a number, or a word, ends. */
function isEnd(byte: number): boolean {
  return (
    byte === COMMA || byte === OBJECT_CLOSE || byte === ARRAY_CLOSE || isSpace(byte) || byte === OBJECT_OPEN
  )
}
