/**
 * Address Resolution Protocol for IPv4 over Ethernet, RFC 826.
 *
 * ```
 *  0          2          4      5      6           8            14       18           24       28
 * | hardware | protocol | hlen | plen | operation | sender MAC | sender | target MAC | target |
 * ```
 *
 * @module
 */
import { formatAt } from "./address.ts"
import { copy, putU8, putU16, putU48, readable, u8, u16, u48 } from "./bytes.ts"
import * as mac from "./mac.ts"

const HARDWARE = 0
const PROTOCOL = 2
const HARDWARE_LENGTH = 4
const PROTOCOL_LENGTH = 5
const OPERATION = 6
const SENDER_MAC = 8
const SENDER = 14
const TARGET_MAC = 18
const TARGET = 24
export const SIZE = 28

const ETHERNET = 1
const IPV4 = 0x0800
const MAC_LENGTH = 6
const ADDRESS_LENGTH = 4

export const REQUEST = 1
export const REPLY = 2

/** A packet, as a view: `senderAt` and `targetAt` are where the addresses are. */
export interface View {
  operation: number
  senderMac: number
  senderAt: number
  targetMac: number
  targetAt: number
}

/** What a packet says, to be written. Addresses are 4 bytes. */
export interface Fields {
  readonly operation: number
  readonly senderMac: number
  readonly sender: Uint8Array
  readonly targetMac: number
  readonly target: Uint8Array
}

export type Malformed = "truncated" | "bad-hardware" | "bad-protocol" | "bad-operation"

export function view(): View {
  return { operation: 0, senderMac: 0, senderAt: 0, targetMac: 0, targetAt: 0 }
}

/** Reads the packet at `at` into `into`. Bytes up to `head` can be read; the frame goes up to `end`. */
export function parse(
  bytes: Uint8Array,
  at: number,
  head: number,
  end: number,
  into: View,
): View | Malformed {
  if (!readable(bytes, at, Math.min(head, end), SIZE)) return "truncated"
  if (u16(bytes, at + HARDWARE) !== ETHERNET || u8(bytes, at + HARDWARE_LENGTH) !== MAC_LENGTH) {
    return "bad-hardware"
  }
  if (u16(bytes, at + PROTOCOL) !== IPV4 || u8(bytes, at + PROTOCOL_LENGTH) !== ADDRESS_LENGTH) {
    return "bad-protocol"
  }
  const operation = u16(bytes, at + OPERATION)
  if (operation !== REQUEST && operation !== REPLY) return "bad-operation"
  into.operation = operation
  into.senderMac = u48(bytes, at + SENDER_MAC)
  into.senderAt = at + SENDER
  into.targetMac = u48(bytes, at + TARGET_MAC)
  into.targetAt = at + TARGET
  return into
}

/** Writes `SIZE` bytes at `at`. */
export function emit(bytes: Uint8Array, at: number, fields: Fields): void {
  putU16(bytes, at + HARDWARE, ETHERNET)
  putU16(bytes, at + PROTOCOL, IPV4)
  putU8(bytes, at + HARDWARE_LENGTH, MAC_LENGTH)
  putU8(bytes, at + PROTOCOL_LENGTH, ADDRESS_LENGTH)
  putU16(bytes, at + OPERATION, fields.operation)
  putU48(bytes, at + SENDER_MAC, fields.senderMac)
  copy(fields.sender, 0, ADDRESS_LENGTH, bytes, at + SENDER)
  putU48(bytes, at + TARGET_MAC, fields.targetMac)
  copy(fields.target, 0, ADDRESS_LENGTH, bytes, at + TARGET)
}

/** One line: `arp who-has 192.168.64.1 tell 192.168.64.2`. */
export function pretty(bytes: Uint8Array, packet: Readonly<View>): string {
  const sender = formatAt(bytes, packet.senderAt, ADDRESS_LENGTH)
  return packet.operation === REQUEST
    ? `arp who-has ${formatAt(bytes, packet.targetAt, ADDRESS_LENGTH)} tell ${sender}`
    : `arp ${sender} is-at ${mac.format(packet.senderMac)}`
}
