/**
 * `/etc/bootptab`, the addresses that macOS' bootpd keeps for clients: bootp, `bootpd.tproj/bootpdfile.c`.
 *
 *     # anything, up to a line that begins with %
 *     %%
 *     # hostname   hwtype   hwaddr              ipaddr           bootfile
 *     vm1          1        52:54:00:0a:0b:0c   192.168.64.50
 *
 * After the `%` a line that is empty, or begins with `#` or a blank, says nothing. Type 1 is Ethernet, in decimal. bootpd reads 255 bytes of a line, takes
 * the last byte of each for its line feed, and leaves out a line that it does not understand.
 *
 * @module
 */

import { SidecarError } from "@skep/contract"
import { u8 } from "@skep/wire/bytes"
import * as mac from "@skep/wire/mac"
import { type LeaseFormat, mayRewrite, type Reservation } from "../format.ts"
import { type Document, ETHERNET, type Lease, shown } from "../model.ts"
import { removeEntries } from "./cutting.ts"
import * as fields from "./fields.ts"
import { LF, Lines, SPACE } from "./lines.ts"
import { Reading } from "./reading.ts"
import { Words } from "./words.ts"

export const bootptab: LeaseFormat = {
  name: "bootptab",
  title: "reservations of macOS' bootpd",
  places: ["/etc/bootptab"],
  detect,
  parse,
  remove: removeEntries,
  reserve,
}

const PERCENT = 0x25
const HASH = 0x23
/** Name, type, hardware, address, and a boot file that need not be. */
const WORDS_MIN = 4
const WORDS_MAX = 5
const LINE_MAX = 254
const NAME_MAX = 62
const HEAD = 4096
const HEADER = `# Addresses that bootpd keeps for clients: see bootpd(8).
%%
# hostname	hwtype	hwaddr	ipaddr	bootfile
`

function detect(bytes: Uint8Array, path: string): boolean {
  if (bytes.length === 0) return /(^|\/)bootptab$/.test(path)
  const head = Buffer.from(bytes.subarray(0, HEAD)).toString("latin1")
  return /^(#.*\n|\s*\n)*%%?\s*(\n|$)/.test(head)
}

function parse(file: Uint8Array, path: string): Document {
  const reading = new Reading("bootptab", file, path)
  const { bytes } = reading
  const lines = new Lines(bytes)
  const words = new Words(bytes)
  let isHeader = true
  while (lines.advance()) {
    const { start, end, number } = lines
    const first = start < end ? u8(bytes, start) : LF
    if (isHeader) {
      isHeader = first !== PERCENT
      continue
    }
    if (first === LF || first === HASH || first === SPACE) continue
    words.split(start, Math.min(end, start + LINE_MAX))
    const lease = leaseOf(words, lines, path)
    if (!lines.isWhole)
      reading.broken(number, "the last line has no line feed, and bootpd cuts its last byte off")
    else if (typeof lease === "string") reading.problem(number, lease)
    else reading.leases.push(lease)
  }
  return reading.document()
}

/** Or what is wrong with it. */
function leaseOf(words: Words, { start, end, next, number, bytes }: Lines, path: string): Lease | string {
  if (end - start > LINE_MAX) return `a line of more than ${LINE_MAX} bytes, which bootpd reads as two`
  if (bytes.subarray(start, end).includes(0)) return "a zero byte"
  if (words.count < WORDS_MIN || words.count > WORDS_MAX)
    return "a reservation is a name, a type, a hardware address and an address"
  const type = words.read(1, fields.decimal)
  if (type === undefined || type > 0xff) return `${words.quoted(1)} is no type of hardware`
  const hardware = words.read(2, fields.octets)
  if (hardware === undefined || !isUsable(hardware, type)) return `${words.quoted(2)} is no hardware address`
  const address = words.read(3, fields.ipv4)
  if (address === undefined || address === "0.0.0.0" || address === "255.255.255.255")
    return `${words.quoted(3)} is no address`
  return {
    address,
    hardwareType: type,
    hardware,
    clientId: undefined,
    name: words.read(0, fields.text),
    machine: undefined,
    expires: Number.POSITIVE_INFINITY,
    state: "reserved",
    source: { path, line: number, lastLine: number, start, end: next },
  }
}

const MAC_TEXT = 17
const ALL_ZERO = /^00(:00)*$/

function isUsable(hardware: string, type: number): boolean {
  return !ALL_ZERO.test(hardware) && (type !== ETHERNET || hardware.length === MAC_TEXT)
}

function reserve(document: Document, reservation: Reservation): Uint8Array {
  mayRewrite(document)
  const { name, address, mac: hardware } = reservation
  const refused = problemOf(reservation)
  if (refused !== undefined)
    throw new SidecarError("bad-options", `Cannot reserve "${shown(address)}": ${refused}`)
  const other = document.leases.find(
    (lease) => lease.address === address || lease.hardware === hardware || lease.name === name,
  )
  if (other !== undefined) {
    throw new SidecarError(
      "exists",
      `Cannot reserve "${address}": line ${other.source.line} of "${shown(document.path)}" keeps ${other.address} for "${shown(other.name ?? "")}"`,
      { next: "Remove that reservation first" },
    )
  }
  const line = `${name}\t${ETHERNET}\t${hardware}\t${address}\n`
  return Buffer.concat([document.bytes, Buffer.from(before(document.bytes) + line, "latin1")])
}

/** What has to be there so that bootpd reads the line behind it. */
function before(bytes: Uint8Array): string {
  const lineFeed = bytes.length > 0 && bytes.at(-1) !== LF ? "\n" : ""
  const lines = new Lines(bytes)
  while (lines.advance()) if (u8(bytes, lines.start) === PERCENT) return lineFeed
  return lineFeed + HEADER
}

function problemOf({ name, address, mac: hardware }: Reservation): string | undefined {
  if (!/^[A-Za-z0-9._-]+$/.test(name) || name.length > NAME_MAX)
    return `"${shown(name)}" is no name of ${NAME_MAX} letters, digits, dots and hyphens at most`
  const bytes = Buffer.from(address, "utf8")
  if (fields.ipv4(bytes, 0, bytes.length) === undefined) return "it is no address of IPv4"
  const number = mac.parse(hardware)
  return number === "bad-mac" || mac.format(number) !== hardware || number === 0
    ? `"${shown(hardware)}" is no Ethernet address`
    : undefined
}
