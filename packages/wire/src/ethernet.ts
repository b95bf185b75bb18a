/**
 * Ethernet II: IEEE 802.3-2018, section 3.1.1, with the length field as type.
 *
 * ```
 *  0             6        12     14
 * | destination | source | type | payload …
 * ```
 *
 * @module
 */
import { putU16, putU48, readable, u16, u48 } from "./bytes.ts"
import * as mac from "./mac.ts"

const DESTINATION = 0
const SOURCE = 6
const TYPE = 12
/** Bytes of a header; the payload begins here. */
export const HEADER = 14

export const TYPE_IPV4 = 0x0800
export const TYPE_ARP = 0x0806
export const TYPE_IPV6 = 0x86dd

/** A frame's header. The payload goes on to the end of the frame, padding included. */
export interface View {
  destination: number
  source: number
  type: number
  payloadAt: number
}

export type Malformed = "truncated"

export function view(): View {
  return { destination: 0, source: 0, type: 0, payloadAt: 0 }
}

/** Reads the header at `at` into `into`. Bytes up to `head` can be read; the frame goes up to `end`. */
export function parse(
  bytes: Uint8Array,
  at: number,
  head: number,
  end: number,
  into: View,
): View | Malformed {
  if (!readable(bytes, at, Math.min(head, end), HEADER)) return "truncated"
  into.destination = u48(bytes, at + DESTINATION)
  into.source = u48(bytes, at + SOURCE)
  into.type = u16(bytes, at + TYPE)
  into.payloadAt = at + HEADER
  return into
}

/** The source of the frame at `at`, whose header is known to be whole. */
export function sourceOf(bytes: Uint8Array, at: number): number {
  return u48(bytes, at + SOURCE)
}

/** Writes `HEADER` bytes at `at`. */
export function emit(bytes: Uint8Array, at: number, destination: number, source: number, type: number): void {
  putU48(bytes, at + DESTINATION, destination)
  putU48(bytes, at + SOURCE, source)
  putU16(bytes, at + TYPE, type)
}

const TYPE_NAMES: Readonly<Record<number, string>> = {
  [TYPE_IPV4]: "ipv4",
  [TYPE_ARP]: "arp",
  [TYPE_IPV6]: "ipv6",
}

/** One line: `02:00:00:00:00:01 > ff:ff:ff:ff:ff:ff arp`. */
export function pretty(frame: Readonly<View>): string {
  const type = TYPE_NAMES[frame.type] ?? `0x${frame.type.toString(16).padStart(4, "0")}`
  return `${mac.format(frame.source)} > ${mac.format(frame.destination)} ${type}`
}
