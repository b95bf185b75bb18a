/**
 * Internet Protocol, version 6, and its extension headers: RFC 8200.
 *
 * ```
 *  0                    4        6             7           8        24            40
 * | ver, class, label | length | next header | hop limit | source | destination | extension headers … | payload …
 *
 *   hop-by-hop, destination options:  next | length | options …
 *   routing:                          next | length | type | segments left | …
 *   fragment:                         next | 0 | offset, more | identification
 * ```
 *
 * @module
 */
import { copy, putU8, putU16, putU32, readable, u8, u16, u32 } from "./bytes.ts"
import type { IpFields, IpView, Malformed } from "./ip-view.ts"

const VERSION_CLASS_LABEL = 0
const LENGTH = 4
const NEXT = 6
const HOP_LIMIT = 7
export const SOURCE = 8
const DESTINATION = 24
/** Bytes of a header without extensions, which is what `emit` writes. */
export const HEADER = 40
/** Bytes of a fragment header. */
export const FRAGMENT_HEADER = 8

const HOP_BY_HOP = 0
const ROUTING = 43
export const FRAGMENT = 44
const DESTINATION_OPTIONS = 60
/** RFC 8200, section 4.1 allows each once, and destination options twice. */
const EXTENSIONS_MAX = 5

const OPTION_PAD1 = 0
const OPTION_PADN = 1
const OPTION_ROUTER_ALERT = 5

const LENGTH_MAX = 0xffff

/**
 * Reads the header at `at`, and the extension headers behind it, into `into`. Bytes up to `head` can be read; the frame goes up to `end`. In a
 * fragment the payload begins behind the fragment header, and what follows is not looked at.
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
  const first = u32(bytes, at + VERSION_CLASS_LABEL)
  if (first >>> 28 !== 6) return "bad-version"
  const packetEnd = at + HEADER + u16(bytes, at + LENGTH)
  if (packetEnd > end) return "bad-length"
  into.version = 6
  into.headerAt = at
  into.sourceAt = at + SOURCE
  into.destinationAt = at + DESTINATION
  into.addressLength = 16
  into.protocol = u8(bytes, at + NEXT)
  into.protocolAt = at + NEXT
  into.payloadAt = at + HEADER
  into.payloadEnd = packetEnd
  into.hopLimit = u8(bytes, at + HOP_LIMIT)
  into.trafficClass = (first >>> 20) & 0xff
  into.identification = 0
  into.fragmentOffset = 0
  into.moreFragments = false
  into.dontFragment = true
  into.fragmentHeaderAt = -1
  into.problemAt = -1
  return isExtension(into.protocol) ? walk(bytes, Math.min(limit, bytes.length), into) : into
}

/** Writes `HEADER` bytes at `at`. */
export function emit(bytes: Uint8Array, at: number, fields: IpFields): void {
  putU32(bytes, at + VERSION_CLASS_LABEL, (6 << 28) | ((fields.trafficClass ?? 0) << 20))
  putU16(bytes, at + LENGTH, fields.payloadLength)
  putU8(bytes, at + NEXT, fields.protocol)
  putU8(bytes, at + HOP_LIMIT, fields.hopLimit)
  copy(fields.source, 0, 16, bytes, at + SOURCE)
  copy(fields.destination, 0, 16, bytes, at + DESTINATION)
}

/** Changes a header that `emit` wrote to that of another packet between the same two. */
export function renew(bytes: Uint8Array, at: number, payloadLength: number): void {
  putU16(bytes, at + LENGTH, payloadLength)
}

/** What a fragment header says. */
export interface Fragment {
  /** The protocol of the whole. */
  readonly protocol: number
  /** Bytes, a multiple of 8. */
  readonly offset: number
  readonly more: boolean
  readonly identification: number
}

/** Writes a fragment header of `FRAGMENT_HEADER` bytes at `at`. The header before it says `FRAGMENT`. */
export function emitFragment(bytes: Uint8Array, at: number, fragment: Fragment): void {
  putU8(bytes, at, fragment.protocol)
  putU8(bytes, at + 1, 0)
  putU16(bytes, at + 2, fragment.offset | (fragment.more ? 1 : 0))
  putU32(bytes, at + 4, fragment.identification)
}

function isExtension(protocol: number): boolean {
  return (
    protocol === HOP_BY_HOP ||
    protocol === ROUTING ||
    protocol === FRAGMENT ||
    protocol === DESTINATION_OPTIONS
  )
}

/** Moves `into`'s payload behind the extension headers. */
function walk(bytes: Uint8Array, limit: number, into: IpView): IpView | Malformed {
  for (let count = 0; isExtension(into.protocol); count++) {
    if (count === EXTENSIONS_MAX) return "bad-extension"
    const at = into.payloadAt
    const header = into.protocol
    if (header === HOP_BY_HOP && count > 0) return "bad-extension"
    if (into.payloadEnd - at < 8) return "bad-length"
    if (limit - at < 8) return "truncated"
    const size = header === FRAGMENT ? FRAGMENT_HEADER : (u8(bytes, at + 1) + 1) * 8
    if (into.payloadEnd - at < size) return "bad-length"
    if (limit - at < size) return "truncated"
    into.protocol = u8(bytes, at)
    into.protocolAt = at
    into.payloadAt = at + size
    const wrong = header === FRAGMENT ? readFragment(bytes, at, into) : check(bytes, header, at, into)
    if (wrong !== undefined) return wrong
    if (into.moreFragments || into.fragmentOffset > 0) return into
  }
  return into
}

function readFragment(bytes: Uint8Array, at: number, into: IpView): Malformed | undefined {
  if (into.fragmentHeaderAt !== -1) return "bad-extension"
  const offset = u16(bytes, at + 2)
  into.fragmentHeaderAt = at
  into.identification = u32(bytes, at + 4)
  into.fragmentOffset = offset & 0xfff8
  into.moreFragments = (offset & 1) === 1
  const length = into.payloadEnd - into.payloadAt
  if (into.fragmentOffset + length > LENGTH_MAX) return "bad-fragment"
  return into.moreFragments && length % 8 !== 0 ? "bad-fragment" : undefined
}

function check(bytes: Uint8Array, header: number, at: number, into: IpView): Malformed | undefined {
  if (header !== ROUTING) return checkOptions(bytes, at + 2, into)
  const segmentsLeft = u8(bytes, at + 3)
  if (segmentsLeft === 0) return undefined
  into.problemAt = at + 2
  return "unknown-routing"
}

/** The options that end where the payload begins. Their upper two bits say what is to be done where they are not known. */
function checkOptions(bytes: Uint8Array, from: number, into: IpView): Malformed | undefined {
  const end = into.payloadAt
  let at = from
  while (at < end) {
    const kind = u8(bytes, at)
    if (kind === OPTION_PAD1) {
      at += 1
      continue
    }
    if (at + 1 >= end || u8(bytes, at + 1) > end - at - 2) return "bad-option"
    const action = kind >> 6
    if (kind !== OPTION_PADN && kind !== OPTION_ROUTER_ALERT && action !== 0) {
      if (action > 1) into.problemAt = at
      return "unknown-option"
    }
    at += 2 + u8(bytes, at + 1)
  }
  return undefined
}
