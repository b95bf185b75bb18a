/**
 * Internet Control Message Protocol: RFC 792, with the codes of RFC 1122 and RFC 1812 and the MTU of RFC 1191.
 *
 * ```
 *  0      1      2          4                                                8
 * | type | code | checksum | identifier, sequence  or  MTU  or  pointer …   | payload, or the packet in question …
 * ```
 *
 * @module
 */
import { putU8, putU16, putU32, readable, u8, u16, u32 } from "./bytes.ts"
import { finish as invert, sum } from "./checksum/sum.ts"

const TYPE = 0
const CODE = 1
const CHECKSUM = 2
const REST = 4
/** Bytes of a header; the payload begins here. The same in ICMPv6. */
export const HEADER = 8

export const ECHO_REPLY = 0
export const UNREACHABLE = 3
export const ECHO = 8
export const TIME_EXCEEDED = 11
const PARAMETER_PROBLEM = 12

/** Codes of `UNREACHABLE`. */
export const NET_UNREACHABLE = 0
export const HOST_UNREACHABLE = 1
export const PROTOCOL_UNREACHABLE = 2
export const PORT_UNREACHABLE = 3
export const FRAGMENTATION_NEEDED = 4
export const PROHIBITED = 13

/** Codes of `TIME_EXCEEDED`. */
export const HOPS_EXCEEDED = 0
export const REASSEMBLY_EXCEEDED = 1

/** A message of either ICMP. */
export interface View {
  type: number
  code: number
  checksum: number
  /** The four bytes that each type uses for something else. */
  rest: number
  payloadAt: number
  payloadEnd: number
}

export type Malformed = "truncated"

export function view(): View {
  return { type: 0, code: 0, checksum: 0, rest: 0, payloadAt: 0, payloadEnd: 0 }
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
  into.type = u8(bytes, at + TYPE)
  into.code = u8(bytes, at + CODE)
  into.checksum = u16(bytes, at + CHECKSUM)
  into.rest = u32(bytes, at + REST)
  into.payloadAt = at + HEADER
  into.payloadEnd = end
  return into
}

/** Of an echo. */
export function identifierOf(rest: number): number {
  return rest >>> 16
}

/** Of an echo. */
export function sequenceOf(rest: number): number {
  return rest & 0xffff
}

/** Writes `HEADER` bytes at `at`, the checksum 0: see `finish`, and for ICMPv6 `transport.finish`. */
export function emit(bytes: Uint8Array, at: number, type: number, code: number, rest: number): void {
  putU8(bytes, at + TYPE, type)
  putU8(bytes, at + CODE, code)
  putU16(bytes, at + CHECKSUM, 0)
  putU32(bytes, at + REST, rest)
}

/** Puts the checksum of a message whose payload has this sum. */
export function finish(bytes: Uint8Array, at: number, payloadSum: number): void {
  putU16(bytes, at + CHECKSUM, 0)
  putU16(bytes, at + CHECKSUM, invert(sum(bytes, at, at + HEADER, payloadSum)))
}

/** Whether the message is as it was sent. `total` is the sum of all of it. */
export function checksumOk(total: number): boolean {
  return total === 0xffff
}

/** Whether it tells of an error; such a message is never answered by another (RFC 1122, section 3.2.2). Unknown types may be errors. */
export function isError(type: number): boolean {
  return !QUERIES.has(type)
}

/** Echo, router discovery, timestamp, information, address mask; each with its reply. */
const QUERIES: ReadonlySet<number> = new Set([ECHO_REPLY, ECHO, 9, 10, 13, 14, 15, 16, 17, 18])

const NAMES: Readonly<Record<number, string>> = {
  [ECHO_REPLY]: "echo-reply",
  [UNREACHABLE]: "unreachable",
  [ECHO]: "echo",
  [TIME_EXCEEDED]: "time-exceeded",
  [PARAMETER_PROBLEM]: "parameter-problem",
}

/** One line: `icmp echo, id 119 seq 3, len 8`, or `icmp unreachable 4, 1400, len 28`. */
export function pretty(message: Readonly<View>): string {
  const name = NAMES[message.type] ?? `type ${message.type}`
  const echo = message.type === ECHO || message.type === ECHO_REPLY
  return `icmp ${name}${describe(message, echo)}`
}

/** What both ICMPs say alike. */
export function describe(message: Readonly<View>, echo: boolean): string {
  const rest = echo
    ? `, id ${identifierOf(message.rest)} seq ${sequenceOf(message.rest)}`
    : ` ${message.code}, ${message.rest}`
  return `${rest}, len ${message.payloadEnd - message.payloadAt}`
}
