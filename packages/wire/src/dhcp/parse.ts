/**
 * Bytes to a message: RFC 2131, section 2.
 *
 * What `dhcp` 0.2.20 reads without looking is looked at first: lengths, cookie, hardware, pads, overload. It is given the fixed part alone,
 * which it reads right, and decodes single options of kinds it knows (`values.ts`).
 *
 * @module
 */
import protocol from "dhcp/lib/protocol.js"
import {
  LEASE_TIME,
  MAXIMUM_MESSAGE_SIZE,
  MESSAGE_TYPE,
  MESSAGE_TYPES,
  type MessageType,
  REQUESTED_ADDRESS,
  SERVER_IDENTIFIER,
} from "./codes.ts"
import { COOKIE_AT, OVERLOAD_FILE, OVERLOAD_NAME, readFields } from "./fields.ts"
import { macOf } from "./mac.ts"
import { type DhcpMessage, HEADER, type Malformed } from "./message.ts"

export const OP_REQUEST = 1
export const OP_REPLY = 2
export const ETHERNET = 1
export const ETHERNET_LENGTH = 6
export const FLAG_BROADCAST = 0x8000
const COOKIE = [99, 130, 83, 99] as const
const HARDWARE_TYPE_AT = 1
const HARDWARE_LENGTH_AT = 2

/** What a server decides by must have its length: these do. */
const LENGTHS: readonly (readonly [code: number, length: number])[] = [
  [REQUESTED_ADDRESS, 4],
  [LEASE_TIME, 4],
  [MESSAGE_TYPE, 1],
  [SERVER_IDENTIFIER, 4],
  [MAXIMUM_MESSAGE_SIZE, 2],
]

/**
 * Reads the message at `at`; `end` is where the UDP payload ends. Never throws, never reads past `end`. The options are views: the bytes
 * must stay as they are while the message is used.
 */
export function parse(bytes: Uint8Array, at: number, end: number): DhcpMessage | Malformed {
  const wrong = checkHeader(bytes, at, end)
  if (wrong !== undefined) return wrong
  const fields = readFields(bytes, at, end)
  if (typeof fields === "string") return fields
  const { options, overload } = fields
  for (const [code, length] of LENGTHS) {
    const value = options.get(code)
    if (value !== undefined && value.length !== length) return "bad-option"
  }
  const type = takeType(options)
  if (type === "bad-option") return type
  const header = protocol.parse(Buffer.from(bytes.buffer, bytes.byteOffset + at, HEADER))
  return {
    op: header.op === OP_REQUEST ? "request" : "reply",
    type,
    hops: header.hops,
    transactionId: header.xid,
    seconds: header.secs,
    broadcast: (header.flags & FLAG_BROADCAST) !== 0,
    clientAddress: header.ciaddr,
    yourAddress: header.yiaddr,
    nextServer: header.siaddr,
    relayAddress: header.giaddr,
    mac: macOf(header.chaddr),
    serverName: (overload & OVERLOAD_NAME) === 0 ? header.sname : "",
    bootFile: (overload & OVERLOAD_FILE) === 0 ? header.file : "",
    options,
  }
}

function checkHeader(bytes: Uint8Array, at: number, end: number): Malformed | undefined {
  if (end - at < HEADER || end > bytes.length) return "truncated"
  const op = bytes[at]
  if (op !== OP_REQUEST && op !== OP_REPLY) return "bad-op"
  if (bytes[at + HARDWARE_TYPE_AT] !== ETHERNET || bytes[at + HARDWARE_LENGTH_AT] !== ETHERNET_LENGTH) {
    return "bad-hardware"
  }
  return COOKIE.every((byte, index) => bytes[at + COOKIE_AT + index] === byte) ? undefined : "bad-cookie"
}

function takeType(options: Map<number, Uint8Array>): MessageType | undefined | "bad-option" {
  const value = options.get(MESSAGE_TYPE)
  options.delete(MESSAGE_TYPE)
  if (value === undefined) return undefined
  return MESSAGE_TYPES[value[0] ?? 0] ?? "bad-option"
}
