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
const OVERLOAD_BYTES = 3

/**
 * The message as bytes, of `limit` at most and of 300 at least. The message type goes first, the relay agent's option last (RFC 3046, section
 * 2.2) and always; the others in their order, as far as they fit. Pad, end, overload and message type among the options mean nothing.
 */
export function emit(message: DhcpMessage, limit: number = DATAGRAM_MIN - DATAGRAM_HEADERS): Uint8Array {
  const { fields, overload } = pack(message, Math.max(limit, MESSAGE_MIN))
  const header = protocol.format({
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
  const bytes = new Uint8Array(Math.max(MESSAGE_MIN, HEADER + fields.options.length + 1))
  bytes.set(header._data.subarray(0, HEADER))
  bytes.set([...fields.options, END], HEADER)
  if ((overload & OVERLOAD_FILE) !== 0) bytes.set([...fields.file, END], BOOT_FILE_AT)
  if ((overload & OVERLOAD_NAME) !== 0) bytes.set([...fields.name, END], SERVER_NAME_AT)
  return bytes
}

interface Packed {
  readonly fields: {
    readonly options: readonly number[]
    readonly file: readonly number[]
    readonly name: readonly number[]
  }
  readonly overload: number
}

function pack(message: DhcpMessage, limit: number): Packed {
  const { first, rest, last } = pieces(message)
  const room = limit - HEADER - 1 - last.length
  const whole = [...first, ...rest.flat()]
  if (whole.length <= room)
    return { fields: { options: [...whole, ...last], file: [], name: [] }, overload: 0 }
  const main = [...first]
  const file: number[] = []
  const name: number[] = []
  const places = [
    { bytes: main, room: room - OVERLOAD_BYTES },
    ...(message.bootFile === "" ? [{ bytes: file, room: COOKIE_AT - BOOT_FILE_AT - 1 }] : []),
    ...(message.serverName === "" ? [{ bytes: name, room: BOOT_FILE_AT - SERVER_NAME_AT - 1 }] : []),
  ]
  for (const option of rest) {
    const place = places.find((candidate) => candidate.bytes.length + option.length <= candidate.room)
    place?.bytes.push(...option)
  }
  const overload = (file.length > 0 ? OVERLOAD_FILE : 0) | (name.length > 0 ? OVERLOAD_NAME : 0)
  if (overload !== 0) main.push(OVERLOAD, 1, overload)
  return { fields: { options: [...main, ...last], file, name }, overload }
}

/** Options as they stand in a message: each with its code and length, in pieces where it is long (RFC 3396). */
function pieces({ type, options }: DhcpMessage): {
  readonly first: readonly number[]
  readonly rest: readonly (readonly number[])[]
  readonly last: readonly number[]
} {
  const first = type === undefined ? [] : [MESSAGE_TYPE, 1, MESSAGE_TYPES.indexOf(type)]
  const rest: number[][] = []
  let last: readonly number[] = []
  for (const [code, value] of options) {
    if (code <= 0 || code >= END || code === OVERLOAD || code === MESSAGE_TYPE) continue
    if (code === RELAY_AGENT) last = inPieces(code, value)
    else rest.push(inPieces(code, value))
  }
  return { first, rest, last }
}

function inPieces(code: number, value: Uint8Array): number[] {
  const bytes: number[] = []
  let at = 0
  do {
    const piece = value.subarray(at, at + PIECE_MAX)
    bytes.push(code, piece.length, ...piece)
    at += PIECE_MAX
  } while (at < value.length)
  return bytes
}
