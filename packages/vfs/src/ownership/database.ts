/**
 * Records of files that take no extended attribute (links, FIFOs, sockets, everything on some file systems): a text file that only grows, and is
 * written anew when most of it is past.
 *
 * ```
 * skep-owners 1
 * NUMBER DURABLE RECORD       what holds for this file from here on
 * NUMBER DURABLE -            nothing any more
 * ```
 *
 * NUMBER is the file's (hexadecimal), DURABLE its durable handle, which tells it from a later file of the same number. A line that was cut off by a
 * crash is left out; a file that is something else is set aside.
 *
 * @module
 */
import { closeSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from "node:fs"
import { emit, type OwnerRecord, parse } from "./record.ts"

export interface Kept {
  readonly durable: string
  readonly record: OwnerRecord
}

/** A file's number, `inoHigh` and `inoLow` in hexadecimal. */
export type FileNumber = string

export interface DatabaseOptions {
  /** Without one the records are kept in memory only. */
  readonly path?: string | undefined
  /** Told in a sentence when the file was not usable. */
  readonly report?: ((sentence: string) => void) | undefined
}

const HEADER = "skep-owners 1"
const LINE = /^([0-9a-f]{1,16}) ([0-9a-f]{2,104}) (\S+)$/
/** So few past lines are not worth writing the file anew. */
const PAST_MIN = 256
const PRIVATE = 0o600

export class OwnerDatabase {
  readonly #path: string | undefined
  readonly #kept = new Map<FileNumber, readonly Kept[]>()
  #size = 0
  #lines = 0
  #descriptor = -1

  constructor({ path, report }: DatabaseOptions) {
    this.#path = path
    if (path === undefined) return
    this.#load(path, report ?? (() => undefined))
    if (this.#mostlyPast) this.compact(() => true)
    else this.#open(path)
  }

  /** How many files have a record here. */
  get size(): number {
    return this.#size
  }

  /** Candidates for a file's number: which of them it is, its durable handle tells. */
  get(number: FileNumber): readonly Kept[] {
    return this.#kept.get(number) ?? []
  }

  /** Keeps a record in place of the one of the same handle. */
  set(number: FileNumber, kept: Kept): void {
    this.#apply(number, kept.durable, kept.record)
    this.#append(line(number, kept))
  }

  delete(number: FileNumber, durable: string): void {
    if (!this.get(number).some((kept) => kept.durable === durable)) return
    this.#apply(number, durable, undefined)
    this.#append(`${number} ${durable} -\n`)
  }

  /** Whether `compact` would make the file much smaller. */
  get #mostlyPast(): boolean {
    return this.#lines - this.#size > Math.max(PAST_MIN, this.#size)
  }

  /** Writes the file anew with the records of files that `lives` says are there; whole or not at all. */
  compact(lives: (durable: string) => boolean): void {
    for (const [number, all] of this.#kept)
      for (const { durable } of all) if (!lives(durable)) this.#apply(number, durable, undefined)
    if (this.#path === undefined) return
    const lines = [...this.#kept].flatMap(([number, all]) => all.map((kept) => line(number, kept)))
    const fresh = `${this.#path}.new`
    writeFileSync(fresh, `${HEADER}\n${lines.join("")}`, { mode: PRIVATE })
    renameSync(fresh, this.#path)
    this.#lines = lines.length
    this.close()
    this.#open(this.#path)
  }

  close(): void {
    if (this.#descriptor >= 0) closeSync(this.#descriptor)
    this.#descriptor = -1
  }

  #load(path: string, report: (sentence: string) => void): void {
    const text = readText(path)
    if (text === undefined) {
      writeFileSync(path, `${HEADER}\n`, { mode: PRIVATE })
      return
    }
    const [header, ...lines] = text.split("\n")
    if (header !== HEADER) {
      renameSync(path, `${path}.foreign`)
      report(`Cannot read owners from "${path}": it is something else, and is now "${path}.foreign"`)
      writeFileSync(path, `${HEADER}\n`, { mode: PRIVATE })
      return
    }
    // Behind the last newline is nothing, or a line that was cut off: the next one must not be joined to it.
    const cut = lines.pop() ?? ""
    for (const each of lines) this.#read(each)
    this.#lines = lines.length
    if (cut !== "") this.compact(() => true)
  }

  #read(text: string): void {
    const [, number, durable, record] = LINE.exec(text) ?? []
    if (number === undefined || durable === undefined || record === undefined) return
    this.#apply(number, durable, record === "-" ? undefined : parse(record))
  }

  #apply(number: FileNumber, durable: string, record: OwnerRecord | undefined): void {
    const before = this.get(number)
    const others = before.filter((kept) => kept.durable !== durable)
    const after = record === undefined ? others : [...others, { durable, record }]
    if (after.length > 0) this.#kept.set(number, after)
    else this.#kept.delete(number)
    this.#size += after.length - before.length
  }

  #open(path: string): void {
    if (this.#descriptor < 0) this.#descriptor = openSync(path, "a", PRIVATE)
  }

  #append(text: string): void {
    if (this.#descriptor < 0) return
    writeSync(this.#descriptor, text)
    this.#lines++
    if (this.#mostlyPast) this.compact(() => true)
  }
}

function line(number: FileNumber, { durable, record }: Kept): string {
  return `${number} ${durable} ${emit(record)}\n`
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "latin1")
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined
    throw error
  }
}
