/**
 * Internet Protocol, version 4: RFC 791, section 3.1.
 *
 * ```
 *  0         1     2        4    6                8     9          10         12       16            20
 * | ver, ihl | tos | length | id | flags, offset | ttl | protocol | checksum | source | destination | options … | payload …
 * ```
 *
 * @module
 */
import { copy, putU8, putU16, readable, u8, u16 } from "./bytes.ts"
import { finish, sum } from "./checksum/sum.ts"
import type { IpFields, IpView, Malformed } from "./ip-view.ts"

const VERSION_LENGTH = 0
const TRAFFIC_CLASS = 1
const LENGTH = 2
const IDENTIFICATION = 4
const FRAGMENT = 6
const HOP_LIMIT = 8
const PROTOCOL = 9
const CHECKSUM = 10
export const SOURCE = 12
const DESTINATION = 16
/** Bytes of a header without options, which is what `emit` writes. */
export const HEADER = 20

const DONT_FRAGMENT = 0x4000
const MORE_FRAGMENTS = 0x2000
const OFFSET_MASK = 0x1fff
const LENGTH_MAX = 0xffff

const OPTION_END = 0
const OPTION_NONE = 1
const OPTION_LOOSE_ROUTE = 131
const OPTION_STRICT_ROUTE = 137

/**
 * Reads the header at `at` into `into`. Bytes up to `head` can be read; the frame goes up to `end`. The header's checksum is not looked at: see
 * `checksumOk`.
 */
export function parse(
  bytes: Uint8Array,
  at: number,
  head: number,
  end: number,
  into: IpView,
): IpView | Malformed {
  const limit = Math.min(head, end)
  if (!readable(bytes, at, limit, HEADER)) return "truncated"
  const versionLength = u8(bytes, at + VERSION_LENGTH)
  if (versionLength >> 4 !== 4) return "bad-version"
  const header = (versionLength & 0xf) * 4
  if (header < HEADER) return "bad-header-length"
  const length = u16(bytes, at + LENGTH)
  if (length < header || length > end - at) return "bad-length"
  if (!readable(bytes, at, limit, header)) return "truncated"
  if (header > HEADER) {
    const wrong = checkOptions(bytes, at + HEADER, at + header)
    if (wrong !== undefined) return wrong
  }
  const fragment = u16(bytes, at + FRAGMENT)
  const offset = (fragment & OFFSET_MASK) * 8
  const more = (fragment & MORE_FRAGMENTS) !== 0
  if (offset + length > LENGTH_MAX || (more && (length - header) % 8 !== 0)) return "bad-fragment"
  into.version = 4
  into.headerAt = at
  into.sourceAt = at + SOURCE
  into.destinationAt = at + DESTINATION
  into.addressLength = 4
  into.protocol = u8(bytes, at + PROTOCOL)
  into.protocolAt = at + PROTOCOL
  into.payloadAt = at + header
  into.payloadEnd = at + length
  into.hopLimit = u8(bytes, at + HOP_LIMIT)
  into.trafficClass = u8(bytes, at + TRAFFIC_CLASS)
  into.identification = u16(bytes, at + IDENTIFICATION)
  into.fragmentOffset = offset
  into.moreFragments = more
  into.dontFragment = (fragment & DONT_FRAGMENT) !== 0
  into.fragmentHeaderAt = -1
  into.problemAt = -1
  return into
}

/** Whether the header is as it was sent. */
export function checksumOk(bytes: Uint8Array, packet: Readonly<IpView>): boolean {
  return sum(bytes, packet.headerAt, packet.payloadAt) === 0xffff
}

/** Writes `HEADER` bytes at `at`, with their checksum. */
export function emit(bytes: Uint8Array, at: number, fields: IpFields): void {
  const flags = (fields.dontFragment ? DONT_FRAGMENT : 0) | (fields.moreFragments ? MORE_FRAGMENTS : 0)
  putU8(bytes, at + VERSION_LENGTH, 0x45)
  putU8(bytes, at + TRAFFIC_CLASS, fields.trafficClass ?? 0)
  putU16(bytes, at + LENGTH, HEADER + fields.payloadLength)
  putU16(bytes, at + IDENTIFICATION, fields.identification ?? 0)
  putU16(bytes, at + FRAGMENT, flags | ((fields.fragmentOffset ?? 0) >> 3))
  putU8(bytes, at + HOP_LIMIT, fields.hopLimit)
  putU8(bytes, at + PROTOCOL, fields.protocol)
  copy(fields.source, 0, 4, bytes, at + SOURCE)
  copy(fields.destination, 0, 4, bytes, at + DESTINATION)
  putChecksum(bytes, at)
}

/** Changes a header that `emit` wrote to that of another packet between the same two. */
export function renew(bytes: Uint8Array, at: number, payloadLength: number, identification: number): void {
  putU16(bytes, at + LENGTH, HEADER + payloadLength)
  putU16(bytes, at + IDENTIFICATION, identification)
  putChecksum(bytes, at)
}

function putChecksum(bytes: Uint8Array, at: number): void {
  putU16(bytes, at + CHECKSUM, 0)
  putU16(bytes, at + CHECKSUM, finish(sum(bytes, at, at + HEADER)))
}

function checkOptions(
  bytes: Uint8Array,
  from: number,
  end: number,
): "bad-option" | "source-route" | undefined {
  let at = from
  while (at < end) {
    const kind = u8(bytes, at)
    if (kind === OPTION_END) return undefined
    if (kind === OPTION_LOOSE_ROUTE || kind === OPTION_STRICT_ROUTE) return "source-route"
    if (kind === OPTION_NONE) {
      at += 1
      continue
    }
    const length = at + 1 < end ? u8(bytes, at + 1) : 0
    if (length < 2 || length > end - at) return "bad-option"
    at += length
  }
  return undefined
}
