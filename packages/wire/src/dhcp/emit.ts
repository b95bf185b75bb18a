/**
 * A message to bytes: RFC 2131, section 4.1.
 *
 * The fixed part is written by `dhcp` 0.2.20; where the options go is decided here: what does not fit the options field goes to the fields of
 * the boot file and of the server's name (option 52), then it is left out, and no message is shorter than BOOTP's 300 bytes.
 *
 * @module
 */
import protocol from "dhcp/lib/protocol.js"
import { END, MESSAGE_TYPE, MESSAGE_TYPES, OVERLOAD, RELAY_AGENT } from "./codes.ts"
import { BOOT_FILE_AT, COOKIE_AT, OVERLOAD_FILE, OVERLOAD_NAME, SERVER_NAME_AT } from "./fields.ts"
import { macText } from "./mac.ts"
import { type DhcpMessage, HEADER, MESSAGE_MIN } from "./message.ts"
import { ETHERNET, ETHERNET_LENGTH, FLAG_BROADCAST, OP_REPLY, OP_REQUEST } from "./parse.ts"

/** RFC 2132, section 9.10: what every client takes, IP and UDP headers included. */
export const DATAGRAM_MIN = 576
/** IPv4 without options, and UDP. */
export const DATAGRAM_HEADERS = 28

const PIECE_MAX = 255
/** Code and length. */
const PREFIX = 2
const OVERLOAD_BYTES = PREFIX + 1

/** A place for options: where the next one goes, and where they must end. */
interface Field {
  at: number
  readonly end: number
}

/**
 * The message as bytes, of `limit` at most and of 300 at least. The message type goes first, the relay agent's option last (RFC 3046, section
 * 2.2) and always; the others in their order, as far as they fit. Pad, end, overload and message type among the options mean nothing.
 */
export function emit(message: DhcpMessage, limit: number = DATAGRAM_MIN - DATAGRAM_HEADERS): Uint8Array {
  const { type } = message
  const relay = message.options.get(RELAY_AGENT)
  const options = [...message.options].filter(([code]) => isOrdinary(code))
  const first = type === undefined ? 0 : PREFIX + 1
  const last = (relay === undefined ? 0 : sizeOf(relay)) + 1
  const size = options.reduce((sum, [, value]) => sum + sizeOf(value), 0)
  const bytes = new Uint8Array(Math.max(limit, MESSAGE_MIN, HEADER + first + OVERLOAD_BYTES + last))
  bytes.set(headerOf(message))

  const fits = HEADER + first + size + last <= bytes.length
  const main: Field = { at: HEADER, end: bytes.length - last - (fits ? 0 : OVERLOAD_BYTES) }
  const file = fieldIn(message.bootFile, BOOT_FILE_AT, COOKIE_AT)
  const name = fieldIn(message.serverName, SERVER_NAME_AT, BOOT_FILE_AT)
  if (type !== undefined) put(bytes, main, MESSAGE_TYPE, Uint8Array.of(MESSAGE_TYPES.indexOf(type)))
  for (const [code, value] of options) {
    const field = [main, file, name].find(({ at, end }) => at + sizeOf(value) <= end)
    if (field !== undefined) put(bytes, field, code, value)
  }
  const overload =
    close(bytes, file, BOOT_FILE_AT, OVERLOAD_FILE) | close(bytes, name, SERVER_NAME_AT, OVERLOAD_NAME)
  if (overload !== 0) put(bytes, main, OVERLOAD, Uint8Array.of(overload))
  if (relay !== undefined) put(bytes, main, RELAY_AGENT, relay)
  bytes[main.at] = END
  return bytes.subarray(0, Math.max(MESSAGE_MIN, main.at + 1))
}

/** None in a place where a name is. */
function fieldIn(taken: string, start: number, end: number): Field {
  return { at: start, end: taken === "" ? end - 1 : start }
}

/** Ends a field that has options. Returns its bit, or 0 where it has none. */
function close(bytes: Uint8Array, field: Field, start: number, bit: number): number {
  if (field.at === start) return 0
  bytes[field.at] = END
  return bit
}

function headerOf(message: DhcpMessage): Uint8Array {
  const { _data } = protocol.format({
    op: message.op === "request" ? OP_REQUEST : OP_REPLY,
    htype: ETHERNET,
    hlen: ETHERNET_LENGTH,
    hops: message.hops,
    xid: message.transactionId,
    secs: message.seconds,
    flags: message.broadcast ? FLAG_BROADCAST : 0,
    ciaddr: message.clientAddress,
    yiaddr: message.yourAddress,
    siaddr: message.nextServer,
    giaddr: message.relayAddress,
    chaddr: macText(message.mac),
    sname: message.serverName,
    file: message.bootFile,
    options: {},
  })
  return _data.subarray(0, HEADER)
}

function isOrdinary(code: number): boolean {
  return code > 0 && code < END && code !== OVERLOAD && code !== MESSAGE_TYPE && code !== RELAY_AGENT
}

/** With a code and a length for each piece; RFC 3396: one that is long comes in pieces. */
function sizeOf(value: Uint8Array): number {
  return value.length + PREFIX * Math.max(1, Math.ceil(value.length / PIECE_MAX))
}

function put(bytes: Uint8Array, field: Field, code: number, value: Uint8Array): void {
  let from = 0
  do {
    const piece = value.subarray(from, from + PIECE_MAX)
    bytes[field.at] = code
    bytes[field.at + 1] = piece.length
    bytes.set(piece, field.at + PREFIX)
    field.at += PREFIX + piece.length
    from += PIECE_MAX
  } while (from < value.length)
}
