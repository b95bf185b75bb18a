/**
 * User Datagram Protocol, RFC 768.
 *
 * ```
 *  0        2             4        6          8
 * | source | destination | length | checksum | payload …
 * ```
 *
 * @module
 */
import { putU16, readable, u16 } from "./bytes.ts"

const SOURCE = 0
const DESTINATION = 2
const LENGTH = 4
const CHECKSUM = 6
/** Bytes of a header; the payload begins here. */
export const HEADER = 8

export interface View {
  source: number
  destination: number
  /** 0 where the sender made none, which only IPv4 allows. */
  checksum: number
  payloadAt: number
  payloadEnd: number
}

export type Malformed = "truncated" | "bad-length"

export function view(): View {
  return { source: 0, destination: 0, checksum: 0, payloadAt: 0, payloadEnd: 0 }
}

/** Reads the header at `at` into `into`. Bytes up to `head` can be read; the IP payload goes up to `end`. */
export function parse(
  bytes: Uint8Array,
  at: number,
  head: number,
  end: number,
  into: View,
): View | Malformed {
  if (!readable(bytes, at, Math.min(head, end), HEADER)) return "truncated"
  const length = u16(bytes, at + LENGTH)
  if (length < HEADER || length > end - at) return "bad-length"
  into.source = u16(bytes, at + SOURCE)
  into.destination = u16(bytes, at + DESTINATION)
  into.checksum = u16(bytes, at + CHECKSUM)
  into.payloadAt = at + HEADER
  into.payloadEnd = at + length
  return into
}

/** Writes `HEADER` bytes at `at`, the checksum 0: see `transport.finish`. */
export function emit(
  bytes: Uint8Array,
  at: number,
  source: number,
  destination: number,
  payloadLength: number,
): void {
  putU16(bytes, at + SOURCE, source)
  putU16(bytes, at + DESTINATION, destination)
  putU16(bytes, at + LENGTH, HEADER + payloadLength)
  putU16(bytes, at + CHECKSUM, 0)
}

/** One line: `udp 40000 > 53, len 5`. */
export function pretty(datagram: Readonly<View>): string {
  return `udp ${datagram.source} > ${datagram.destination}, len ${datagram.payloadEnd - datagram.payloadAt}`
}
