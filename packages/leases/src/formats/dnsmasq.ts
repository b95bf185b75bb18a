/**
 * The leases of dnsmasq, as dnsmasq's `lease.c` writes and reads them: libvirt, NetworkManager, Multipass, LXD and many routers have such files.
 *
 *     1795229243 52:54:00:0a:0b:0c 192.168.65.44 vm1 01:52:54:00:0a:0b:0c
 *     expiry     [type-]hardware   address       name|* client id|*
 *     duid 00:01:00:01:2b:6d:61:52:52:54:00:aa:bb:cc            the server's own, before the leases of IPv6
 *     1795229243 [T]659465230      fd00::2c      vm1 00:01:00:01:2d:01:12:22:52:54:00:0a:0b:0c
 *     expiry     IAID, T: of temporary addresses                 DUID of the client
 *
 * Expiry is in seconds of the epoch; 0 is never. The type of the hardware is in hexadecimal and only there where it is not Ethernet. (A dnsmasq that was built for
 * machines without a clock writes lengths in place of times; nobody can see that in the file.) dnsmasq reads words, whatever is between them: so a carriage
 * return at the end does no harm.
 *
 * @module
 */
import { u8 } from "@skep/wire/bytes"
import type { LeaseFormat } from "../format.ts"
import { type Document, ETHERNET, type Lease } from "../model.ts"
import { removeEntries } from "./cutting.ts"
import * as fields from "./fields.ts"
import { isBlank, Lines, skipBlanks } from "./lines.ts"
import { Reading } from "./reading.ts"
import { Words } from "./words.ts"

export const dnsmasq: LeaseFormat = {
  name: "dnsmasq",
  title: "leases of dnsmasq",
  places: [
    "/var/lib/misc/dnsmasq.leases",
    "/var/lib/misc/dnsmasq.*.leases",
    "/var/lib/dnsmasq/dnsmasq.leases",
    "/var/lib/NetworkManager/dnsmasq-*.leases",
    "/var/lib/incus/networks/*/dnsmasq.leases",
    "/var/snap/lxd/common/lxd/networks/*/dnsmasq.leases",
    "/var/snap/multipass/common/data/multipassd/network/dnsmasq.leases",
    "/opt/homebrew/var/lib/misc/dnsmasq/dnsmasq.leases",
  ],
  detect,
  parse,
  remove: removeEntries,
}

const STAR = 0x2a
const DASH = 0x2d
const WORDS = 5
/** What dnsmasq keeps of a name and of an identifier; a file with more is not its own. */
const LINE_MAX = 4096

function detect(bytes: Uint8Array, path: string): boolean {
  const at = skipBlanks(bytes, 0, bytes.length)
  if (at === bytes.length) return /(^|\/)dnsmasq[^/]*\.leases$/.test(path)
  const lines = new Lines(bytes.subarray(at, at + LINE_MAX))
  lines.advance()
  const line = Buffer.from(lines.bytes).toString("latin1", 0, lines.end)
  return /^(duid( [0-9a-f]{2}(:[0-9a-f]{2})+)?|\d+ [^ ]+ [0-9a-f.:]+ [^ ]+ [^ ]+)[ \t\r]*$/.test(line)
}

function parse(file: Uint8Array, path: string): Document {
  const reading = new Reading("dnsmasq", file, path)
  const { bytes } = reading
  const lines = new Lines(bytes)
  const words = new Words(bytes)
  while (lines.advance()) {
    const { start, end, number } = lines
    if (isBlank(bytes, start, end)) continue
    words.split(start, Math.min(end, start + LINE_MAX))
    const isLong = end - start > LINE_MAX
    const lease = isLong
      ? `more than ${LINE_MAX} bytes, which dnsmasq never writes`
      : leaseOf(words, lines, path)
    if (!lines.isWhole) reading.broken(number, "the file ends in the middle of a line")
    else if (typeof lease !== "string") reading.leases.push(lease)
    else if (!isServerId(words)) reading.problem(number, lease)
  }
  return reading.document()
}

function isServerId(words: Words): boolean {
  return (
    words.count === 2 &&
    fields.equals(words.bytes, words.start(0), words.end(0), "duid") &&
    words.read(1, fields.octets) !== undefined
  )
}

/** Or what is wrong with it. */
function leaseOf(words: Words, lines: Lines, path: string): Lease | string {
  if (words.count !== WORDS) return `a lease of dnsmasq is ${WORDS} words, not ${words.count}`
  const seconds = words.read(0, fields.decimal)
  if (seconds === undefined) return `${words.quoted(0)} is no time`
  const address = words.read(2, fields.ip)
  if (address === undefined) return `${words.quoted(2)} is no address`
  const hardware = words.read(1, fields.isIpv6(address) ? association : hardwareOf)
  if (hardware === undefined) return `${words.quoted(1)} is no hardware address`
  const clientId = words.read(4, isStar) ? undefined : words.read(4, fields.octets)
  if (clientId === undefined && !words.read(4, isStar)) return `${words.quoted(4)} is no client identifier`
  const name = words.read(3, isStar) ? undefined : words.read(3, fields.text)
  if (name?.includes("\0")) return "a zero byte"
  return {
    address,
    hardwareType: hardware.type,
    hardware: hardware.octets,
    clientId,
    name,
    machine: undefined,
    expires: seconds === 0 ? Number.POSITIVE_INFINITY : fields.millisecondsOf(seconds),
    state: "bound",
    source: { path, line: lines.number, lastLine: lines.number, start: lines.start, end: lines.next },
  }
}

/** What stands for nothing. */
function isStar(bytes: Buffer, at: number, end: number): boolean {
  return end - at === 1 && u8(bytes, at) === STAR
}

interface Hardware {
  readonly type: number | undefined
  readonly octets: string | undefined
}

const NONE: Hardware = { type: undefined, octets: undefined }

function hardwareOf(bytes: Buffer, at: number, end: number): Hardware | undefined {
  if (end - at >= 3 && u8(bytes, at + 2) === DASH) {
    const type = fields.hexadecimal(bytes, at, at + 2)
    if (type === undefined) return undefined
    // A client over a relay may have none.
    if (end - at === 3) return NONE
    const octets = fields.octets(bytes, at + 3, end)
    return octets === undefined ? undefined : { type, octets }
  }
  const octets = fields.octets(bytes, at, end)
  return octets === undefined ? undefined : { type: ETHERNET, octets }
}

/** The number of the client's association stands where the hardware is. */
function association(bytes: Buffer, at: number, end: number): Hardware | undefined {
  const digits = u8(bytes, at) === 0x54 ? at + 1 : at
  return fields.decimal(bytes, digits, end) === undefined ? undefined : NONE
}
