/**
 * `dhcpd.leases`, the leases of ISC dhcpd: dhcpd.leases(5).
 *
 *     lease 192.168.65.44 {
 *       starts 4 2026/11/19 10:11:12;
 *       ends 4 2026/11/19 22:11:12;
 *       cltt 4 2026/11/19 10:11:12;
 *       binding state active;
 *       next binding state free;
 *       hardware ethernet 52:54:00:0a:0b:0c;
 *       uid "\001RT\000\012\013\014";
 *       client-hostname "vm1";
 *     }
 *     host vm2 {
 *       dynamic;
 *       hardware ethernet 52:54:00:0a:0b:0d;
 *       fixed-address 192.168.65.50;
 *     }
 *
 * dhcpd appends: the last block of an address counts, those before it are superseded, and come back where only the last one is removed (`together`). Times are in UTC, with
 * the day of the week before them, or `epoch 1795229243`, or `never`. A host with `deleted` is none any more.
 *
 * @module
 */
import type { LeaseFormat } from "../format.ts"
import { type Document, ETHERNET, type Lease, type LeaseState, type Source, shown } from "../model.ts"
import { removeEntries } from "./cutting.ts"
import * as fields from "./fields.ts"
import { IscWords, unescape, unescaped } from "./isc-words.ts"
import { CR, LF, SPACE, skipBlanks, TAB } from "./lines.ts"
import { Reading } from "./reading.ts"

export const iscDhcpd: LeaseFormat = {
  name: "isc-dhcpd",
  title: "leases of ISC dhcpd",
  places: ["/var/lib/dhcp/dhcpd.leases", "/var/lib/dhcpd/dhcpd.leases", "/var/db/dhcpd.leases"],
  detect,
  parse,
  remove: removeEntries,
}

const HEAD = 64 * 1024

function detect(bytes: Uint8Array, path: string): boolean {
  if (skipBlanks(bytes, 0, bytes.length) === bytes.length) return /(^|\/)dhcpd6?\.leases~?$/.test(path)
  const head = Buffer.from(bytes.subarray(0, HEAD)).toString("latin1")
  return (
    /^(\s*#.*\n)*# The format of this file is documented in the dhcpd\.leases/.test(head) ||
    /^(\s*#.*\n|\s*(server-duid|authoring-byte-order) [^\n]*\n|\s*\n)*\s*(lease \d+\.\d+\.\d+\.\d+ \{|authoring-byte-order |server-duid )/.test(
      head,
    )
  )
}

type Entry = { -readonly [Key in keyof Lease]: Lease[Key] }

/** Until the end of an entry is found. */
const NOWHERE: Source = { path: "", line: 0, lastLine: 0, start: 0, end: 0 }

interface Read {
  readonly reading: Reading
  readonly words: IscWords
  /** The last block of each address, and of each host. */
  readonly newest: Map<string, Entry>
}

function parse(file: Uint8Array, path: string): Document {
  const reading = new Reading("isc-dhcpd", file, path)
  const read: Read = { reading, words: new IscWords(reading.bytes), newest: new Map() }
  const { words } = read
  while (words.advance() !== "end") {
    const { line } = words
    if (isWord(words, "lease") || isWord(words, "host")) declaration(read)
    else if (words.kind === "close") reading.problem(line, "a brace closes what never began")
    else if (words.skipStatement() === "end")
      reading.broken(line, "the file ends in the middle of a statement")
  }
  return reading.document()
}

function isWord({ kind, bytes, start, end }: IscWords, word: string): boolean {
  return kind === "word" && fields.equals(bytes, start, end, word)
}

/** At "lease" or "host". */
function declaration({ reading, words, newest }: Read): void {
  const { start, line } = words
  const isHost = isWord(words, "host")
  words.advance()
  const name = isHost ? fields.text(reading.bytes, words.start, words.end) : undefined
  const address = isHost ? "" : fields.ip(reading.bytes, words.start, words.end)
  if (address === undefined) {
    const word = fields.text(reading.bytes, words.start, words.end)
    reading.problem(line, `"${shown(word)}" is no address`)
  }
  const entry: Entry = {
    address: address ?? "",
    hardwareType: undefined,
    hardware: undefined,
    clientId: undefined,
    name,
    machine: undefined,
    expires: isHost ? Number.POSITIVE_INFINITY : undefined,
    state: isHost ? "reserved" : "bound",
    source: NOWHERE,
  }
  if (words.advance() !== "open") {
    if (words.kind === "end") reading.broken(line, "the file ends in the middle of an entry")
    else reading.problem(line, "an entry without a brace")
    words.skipStatement()
    return
  }
  if (!block(reading, words, entry)) {
    reading.broken(line, "the file ends in the middle of an entry")
    return
  }
  entry.source = {
    path: reading.path,
    line,
    lastLine: words.line,
    start: blanksBefore(reading.bytes, start),
    end: lineEnd(reading.bytes, words.next),
  }
  // A host without an address, that is what dhcpd.conf or a client says.
  if (entry.address === "") return
  const key = isHost ? `host ${name}` : entry.address
  const former = newest.get(key)
  if (former !== undefined) former.state = "superseded"
  newest.set(key, entry)
  reading.leases.push(entry)
}

/** Reads to the closing brace; whether there is one. */
function block(reading: Reading, words: IscWords, entry: Entry): boolean {
  while (words.advance() !== "close") {
    if (words.kind === "end") return false
    if (words.kind === "semicolon") continue
    const { line } = words
    const problem = statement(words, reading.bytes, entry)
    if (problem !== undefined) reading.problem(line, problem)
    const end = words.skipStatement()
    if (end === "end") return false
    if (end === "close") {
      reading.problem(words.line, "a statement without a semicolon")
      return true
    }
  }
  return true
}

/** Takes what an entry is asked for. Leaves the words anywhere in the statement. What is wrong with it. */
function statement(words: IscWords, bytes: Buffer, entry: Entry): string | undefined {
  if (isWord(words, "ends")) {
    const expires = time(words, bytes)
    if (expires === undefined) return "ends is no time"
    entry.expires = expires
  } else if (isWord(words, "binding")) {
    words.advance()
    words.advance()
    const state = STATES.get(bytes.toString("latin1", words.start, words.end))
    if (state === undefined) return "binding state is none that is known"
    if (entry.state !== "reserved") entry.state = state
  } else if (isWord(words, "hardware")) return hardware(words, bytes, entry)
  else if (isWord(words, "uid")) {
    const isString = words.advance() === "string"
    entry.clientId = isString
      ? fields.octetsFrom(unescape(bytes, words.start, words.end))
      : fields.octets(bytes, words.start, words.end)
    if (entry.clientId === undefined) return "uid is no client identifier"
  } else if (isWord(words, "client-hostname")) {
    words.advance()
    entry.name = unescaped(bytes, words.start, words.end)
  } else if (isWord(words, "fixed-address")) {
    words.advance()
    entry.address = fields.ip(bytes, words.start, words.end) ?? ""
    // A name is one, for dhcpd.
  } else flag(words, entry)
  return undefined
}

/** Statements of one word. */
function flag(words: IscWords, entry: Entry): void {
  if (isWord(words, "reserved")) entry.state = "reserved"
  else if (isWord(words, "abandoned")) entry.state = "declined"
  else if (isWord(words, "deleted")) entry.state = "free"
}

const STATES: ReadonlyMap<string, LeaseState> = new Map<string, LeaseState>([
  ["active", "bound"],
  ["bootp", "bound"],
  ["free", "free"],
  ["expired", "free"],
  ["released", "free"],
  ["backup", "free"],
  ["reset", "free"],
  ["abandoned", "declined"],
])

const HARDWARE: readonly (readonly [string, number])[] = [
  ["ethernet", ETHERNET],
  ["token-ring", 6],
  ["fddi", 8],
  ["infiniband", 32],
]

function hardware(words: IscWords, bytes: Buffer, entry: Entry): string | undefined {
  words.advance()
  entry.hardwareType = HARDWARE.find(([name]) => isWord(words, name))?.[1] ?? unknownType(words, bytes)
  words.advance()
  entry.hardware = fields.octets(bytes, words.start, words.end)
  if (entry.hardwareType !== undefined && entry.hardware !== undefined) return undefined
  entry.hardwareType = undefined
  entry.hardware = undefined
  return "hardware is no hardware address"
}

const UNKNOWN = "unknown-"

function unknownType(words: IscWords, bytes: Buffer): number | undefined {
  return fields.begins(bytes, words.start, words.end, UNKNOWN)
    ? fields.decimal(bytes, words.start + UNKNOWN.length, words.end)
    : undefined
}

const DATE = "2026/11/19".length
const CLOCK = "10:11:12".length

function time(words: IscWords, bytes: Buffer): number | undefined {
  words.advance()
  if (isWord(words, "never")) return Number.POSITIVE_INFINITY
  const isEpoch = isWord(words, "epoch")
  words.advance()
  if (isEpoch) {
    const seconds = fields.decimal(bytes, words.start, words.end)
    return seconds === undefined ? undefined : fields.millisecondsOf(seconds)
  }
  const date = words.start
  if (words.end - date !== DATE || words.advance() !== "word" || words.end - words.start !== CLOCK)
    return undefined
  const number = (at: number, size: number): number => fields.decimal(bytes, at, at + size) ?? Number.NaN
  const clock = words.start
  const milliseconds = Date.UTC(
    number(date, 4),
    number(date + 5, 2) - 1,
    number(date + 8, 2),
    number(clock, 2),
    number(clock + 3, 2),
    number(clock + 6, 2),
  )
  return Number.isNaN(milliseconds) ? undefined : milliseconds
}

/** The start of the line, where only blanks are before it. */
function blanksBefore(bytes: Uint8Array, start: number): number {
  let from = start
  while (from > 0 && isTab(bytes[from - 1])) from--
  return from === 0 || bytes[from - 1] === LF ? from : start
}

/** Behind the end of the line, where only blanks are before that. */
function lineEnd(bytes: Uint8Array, end: number): number {
  let to = end
  while (isTab(bytes[to]) || bytes[to] === CR) to++
  return to === bytes.length || bytes[to] === LF ? Math.min(to + 1, bytes.length) : end
}

function isTab(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB
}
