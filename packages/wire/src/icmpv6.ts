/**
 * Internet Control Message Protocol for IPv6, RFC 4443. The header is that of `icmp.ts`; the checksum is that of `transport.ts`.
 *
 * @module
 */
import { describe, type View } from "./icmp.ts"

export { emit, type View } from "./icmp.ts"

export const UNREACHABLE = 1
export const PACKET_TOO_BIG = 2
export const TIME_EXCEEDED = 3
export const PARAMETER_PROBLEM = 4
export const ECHO = 128
export const ECHO_REPLY = 129

/** Codes of `UNREACHABLE`. */
export const NO_ROUTE = 0
export const PROHIBITED = 1
export const ADDRESS_UNREACHABLE = 3
export const PORT_UNREACHABLE = 4

/** Codes of `TIME_EXCEEDED`. */
export const HOPS_EXCEEDED = 0
export const REASSEMBLY_EXCEEDED = 1

/** Codes of `PARAMETER_PROBLEM`; what follows the code points at the byte in question. */
export const BAD_FIELD = 0
export const UNKNOWN_NEXT_HEADER = 1
export const UNKNOWN_OPTION = 2

/** Whether it tells of an error; such a message is never answered by another (RFC 4443, section 2.4 (e)). */
export function isError(type: number): boolean {
  return type < 128
}

const NAMES: Readonly<Record<number, string>> = {
  [UNREACHABLE]: "unreachable",
  [PACKET_TOO_BIG]: "packet-too-big",
  [TIME_EXCEEDED]: "time-exceeded",
  [PARAMETER_PROBLEM]: "parameter-problem",
  [ECHO]: "echo",
  [ECHO_REPLY]: "echo-reply",
}

/** One line: `icmpv6 echo, id 119 seq 3, len 8`, or `icmpv6 packet-too-big 0, 1280, len 48`. */
export function pretty(message: Readonly<View>): string {
  const name = NAMES[message.type] ?? `type ${message.type}`
  return `icmpv6 ${name}${describe(message, message.type === ECHO || message.type === ECHO_REPLY)}`
}
