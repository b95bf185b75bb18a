/**
 * `/var/db/dhcpd_leases`, the leases of macOS' bootpd: apple-oss-distributions/bootp, `bootpd.tproj/dhcpd.c` and `bootplib/NICache.c`.
 *
 *     {
 *     <tab>name=vm1
 *     <tab>ip_address=192.168.64.5
 *     <tab>hw_address=1,52:54:0:9c:22:d7
 *     <tab>identifier=1,52:54:0:9c:22:d7
 *     <tab>lease=0x61c9185c
 *     }
 *
 * bootpd reads until the first line that it does not expect, and writes the file again from what it has then: whatever follows such a line is lost to it. So
 * reading ends there too, with a problem. It writes the newest entry first; of several for one client the first counts.
 *
 * - A number has no leading zeros: `5:54:0:9c`. The one before the comma is the type, in hexadecimal: 1 is Ethernet, `ff` an identifier of RFC 4361, which
 *   bootpd writes as hw_address as well.
 * - `lease` is in seconds of the epoch, as strtol reads it. Without it the lease never ends.
 * - A host name is what the client sent, but for zeros and line feeds: escapes and carriage returns included.
 * - `declined` in place of `identifier`: a client found that somebody else has the address.
 *
 * @module
 */
import { u8 } from "@skep/wire/bytes"
import type { LeaseFormat } from "../format.ts"
import { type Document, type Octets, shown } from "../model.ts"
import { removeEntries } from "./cutting.ts"
import * as fields from "./fields.ts"
import { CR, Lines, SPACE, skipBlanks, TAB, trimEnd } from "./lines.ts"
import { Reading } from "./reading.ts"

export const bootpd: LeaseFormat = {
  name: "bootpd",
  title: "leases of macOS' bootpd",
  places: ["/var/db/dhcpd_leases"],
  detect,
  parse,
  remove: removeEntries,
}

const OPEN = 0x7b
const CLOSE = 0x7d
const EQUALS = 0x3d
const COMMA = 0x2c
const SLASH = 0x2f
const ZERO = 0x30
/** RFC 4361: the identifier of a client, and no type of hardware. */
const NODE_SPECIFIC = 0xff
const READS_NO_FURTHER = "bootpd reads no further than this"

function detect(bytes: Uint8Array, path: string): boolean {
  const at = skipBlanks(bytes, 0, bytes.length)
  if (at === bytes.length) return /(^|\/)dhcpd_leases-?$/.test(path)
  if (u8(bytes, at) !== OPEN) return false
  const lines = new Lines(bytes.subarray(at, at + 2048))
  if (!lines.advance() || trimEnd(lines.bytes, 0, lines.end) !== 1 || !lines.advance()) return false
  const line = Buffer.from(lines.bytes).toString("latin1", lines.start, lines.end)
  return /^\s*([a-z_]+(=|\s*$)|\}\s*$)/.test(line)
}

/** An entry while it is read; one object for all. Of several properties of one name the first counts. */
class Entry {
  isOpen = false
  start = 0
  line = 0
  properties = 0
  address: string | undefined
  hardwareType: number | undefined
  hardware: Octets | undefined
  /** What hw_address is with its type: a client identifier, where the type is none of hardware. */
  node: Octets | undefined
  clientId: Octets | undefined
  name: string | undefined
  expires: number | undefined
  declined = false

  open({ start, number }: Lines): void {
    this.isOpen = true
    this.start = start
    this.line = number
    this.properties = 0
    this.address = undefined
    this.hardwareType = undefined
    this.hardware = undefined
    this.node = undefined
    this.clientId = undefined
    this.name = undefined
    this.expires = undefined
    this.declined = false
  }
}

function parse(file: Uint8Array, path: string): Document {
  const reading = new Reading("bootpd", file, path)
  const zero = reading.bytes.indexOf(0)
  const lines = new Lines(zero === -1 ? reading.bytes : reading.bytes.subarray(0, zero))
  const entry = new Entry()
  while (lines.advance()) {
    const { start, end } = lines
    const brace = braceOf(reading.bytes, start, end)
    if (brace !== undefined) {
      const problem = braceProblem(lines, entry, brace)
      if (problem !== undefined) {
        reading.broken(lines.number, problem)
        return reading.document()
      }
      if (brace === OPEN) entry.open(lines)
      else finish(reading, lines, entry)
    } else if (entry.isOpen) property(reading, lines, entry)
    else if (skipTabs(reading.bytes, start, end) < end) {
      reading.broken(lines.number, `text outside of an entry: ${READS_NO_FURTHER}`)
      return reading.document()
    }
  }
  if (zero !== -1) reading.broken(Math.max(1, lines.number), `a zero byte: ${READS_NO_FURTHER}`)
  else if (entry.isOpen) reading.broken(lines.number, "the file ends in the middle of an entry")
  return reading.document()
}

/** Of a line that is a brace, or a brace and a carriage return, which is none for bootpd. */
function braceOf(bytes: Uint8Array, start: number, end: number): number | undefined {
  const size = end - start
  const first = u8(bytes, start)
  if (size < 1 || size > 2 || (first !== OPEN && first !== CLOSE)) return undefined
  return size === 1 || u8(bytes, start + 1) === CR ? first : undefined
}

/** Why such a line is not what should be there. */
function braceProblem(lines: Lines, { isOpen }: Entry, brace: number): string | undefined {
  if (!lines.isWhole) return "the file ends in the middle of a line"
  if (lines.end - lines.start > 1) return `the line ends in a carriage return: ${READS_NO_FURTHER}`
  if (brace === OPEN && isOpen) return `an entry begins within another: ${READS_NO_FURTHER}`
  if (brace === CLOSE && !isOpen) return `an entry ends that never began: ${READS_NO_FURTHER}`
  return undefined
}

function property(reading: Reading, lines: Lines, entry: Entry): void {
  const { bytes } = reading
  const { end } = lines
  const at = skipTabs(bytes, lines.start, end)
  if (at === end) return
  entry.properties++
  let equals = at
  while (equals < end && u8(bytes, equals) !== EQUALS) equals++
  const value = Math.min(equals + 1, end)
  const size = equals - at
  if (size === 4 && fields.begins(bytes, at, equals, "name")) entry.name ??= fields.text(bytes, value, end)
  else if (size === 5 && fields.begins(bytes, at, equals, "lease")) setExpiry(reading, lines, entry, value)
  else if (size === 8 && fields.begins(bytes, at, equals, "declined")) entry.declined = true
  else if (size !== 10) return
  else if (fields.begins(bytes, at, equals, "ip_address")) setAddress(reading, lines, entry, value)
  else if (fields.begins(bytes, at, equals, "hw_address")) setHardware(reading, lines, entry, value)
  else if (fields.begins(bytes, at, equals, "identifier")) setIdentifier(reading, lines, entry, value)
}

function setAddress(reading: Reading, lines: Lines, entry: Entry, value: number): void {
  if (entry.address !== undefined) return
  entry.address = fields.ipv4(reading.bytes, value, trimEnd(reading.bytes, value, lines.end))
  if (entry.address === undefined) complain(reading, lines, "ip_address is no address", value)
}

function setHardware(reading: Reading, lines: Lines, entry: Entry, value: number): void {
  if (entry.hardware !== undefined || entry.node !== undefined) return
  const { bytes } = reading
  const end = trimEnd(bytes, value, lines.end)
  const comma = typeEnd(bytes, value, end)
  const type = fields.hexadecimal(bytes, value, comma)
  if (type === NODE_SPECIFIC) entry.node = identifier(bytes, value, end)
  else if (isByte(type)) {
    entry.hardwareType = type
    entry.hardware = fields.octets(bytes, comma + 1, end)
  }
  if (entry.hardware === undefined && entry.node === undefined)
    complain(reading, lines, "hw_address is no hardware address", value)
}

function setIdentifier(reading: Reading, lines: Lines, entry: Entry, value: number): void {
  if (entry.clientId !== undefined) return
  entry.clientId = identifier(reading.bytes, value, trimEnd(reading.bytes, value, lines.end))
  if (entry.clientId === undefined) complain(reading, lines, "identifier is none", value)
}

function setExpiry(reading: Reading, lines: Lines, entry: Entry, value: number): void {
  if (entry.expires !== undefined) return
  entry.expires = expiry(reading.bytes, value, trimEnd(reading.bytes, value, lines.end))
  if (entry.expires === undefined) complain(reading, lines, "lease is no time", value)
}

function complain(reading: Reading, lines: Lines, what: string, value: number): void {
  reading.problem(lines.number, `${what}: "${shown(fields.text(reading.bytes, value, lines.end))}"`)
}

function finish(reading: Reading, lines: Lines, entry: Entry): void {
  entry.isOpen = false
  // As bootpd does: no properties, no entry.
  if (entry.properties === 0) return
  if (entry.address === undefined) {
    reading.problem(entry.line, "an entry without an address")
    return
  }
  reading.leases.push({
    address: entry.address,
    hardwareType: entry.hardware === undefined ? undefined : entry.hardwareType,
    hardware: entry.hardware,
    clientId: entry.clientId ?? (entry.declined ? undefined : entry.node),
    name: entry.name,
    machine: undefined,
    expires: entry.expires ?? Number.POSITIVE_INFINITY,
    state: entry.declined ? "declined" : "bound",
    source: {
      path: reading.path,
      line: entry.line,
      lastLine: lines.number,
      start: entry.start,
      end: lines.next,
    },
  })
}

/** What bootpd skips at the start of a line: no carriage return. */
function skipTabs(bytes: Uint8Array, at: number, end: number): number {
  let place = at
  while (place < end && (u8(bytes, place) === TAB || u8(bytes, place) === SPACE)) place++
  return place
}

/** The comma behind the type, for which older systems wrote a slash. */
function typeEnd(bytes: Uint8Array, at: number, end: number): number {
  let place = at
  while (place < end && u8(bytes, place) !== COMMA && u8(bytes, place) !== SLASH) place++
  return place
}

function isByte(value: number | undefined): value is number {
  return value !== undefined && value <= 0xff
}

/** `1,52:54:0:c:22:d7` as one: with its type. */
function identifier(bytes: Uint8Array, at: number, end: number): Octets | undefined {
  const comma = typeEnd(bytes, at, end)
  const type = fields.hexadecimal(bytes, at, comma)
  return isByte(type) ? fields.typedOctets(type, bytes, comma + 1, end) : undefined
}

/** What strtol makes of it with base 0, but for octal, which nobody writes. */
function expiry(bytes: Uint8Array, at: number, end: number): number | undefined {
  const isHex = end - at > 2 && u8(bytes, at) === ZERO && (u8(bytes, at + 1) | 0x20) === 0x78
  const seconds = isHex ? fields.hexadecimal(bytes, at + 2, end) : fields.decimal(bytes, at, end)
  return seconds === undefined ? undefined : fields.millisecondsOf(seconds)
}
