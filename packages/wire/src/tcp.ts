/**
 * Transmission Control Protocol: the header of RFC 9293, section 3.1, with the options of RFC 9293 (maximum segment size), RFC 7323 (window
 * scale, timestamps) and RFC 2018 (selective acknowledgement).
 *
 * ```
 *  0        2             4          8                 12       13      14       16         18       20
 * | source | destination | sequence | acknowledgement | offset | flags | window | checksum | urgent | options … | payload …
 * ```
 *
 * @module
 */
import { putU8, putU16, putU32, readable, u8, u16, u32 } from "./bytes.ts"

const SOURCE = 0
const DESTINATION = 2
const SEQUENCE = 4
const ACKNOWLEDGEMENT = 8
const OFFSET = 12
const FLAGS = 13
const WINDOW = 14
const CHECKSUM = 16
const URGENT = 18
/** Bytes of a header without options. */
export const HEADER = 20
/** Bytes of the longest header. */
export const HEADER_MAX = 60

export const FIN = 0x01
export const SYN = 0x02
export const RST = 0x04
export const PSH = 0x08
export const ACK = 0x10
export const ECE = 0x40
export const CWR = 0x80

const OPTION_END = 0
const OPTION_NONE = 1
const OPTION_MSS = 2
const OPTION_WINDOW_SCALE = 3
const OPTION_SACK_PERMITTED = 4
const OPTION_SACK = 5
const OPTION_TIMESTAMPS = 8
const MSS_SIZE = 4
const WINDOW_SCALE_SIZE = 3
const SACK_PERMITTED_SIZE = 2
const TIMESTAMPS_SIZE = 10
const SACK_BLOCK = 8

/** What a header says; sequence numbers are unsigned 32-bit numbers. */
export interface Fields {
  source: number
  destination: number
  sequence: number
  acknowledgement: number
  flags: number
  /** As it stands in the header, before scaling. */
  window: number
  urgent: number
  /** 0 where absent. */
  mss: number
  /** -1 where absent. */
  windowScale: number
  sackPermitted: boolean
  /** The blocks are the first so many of both arrays. */
  sackCount: number
  readonly sackLeft: number[]
  readonly sackRight: number[]
  timestamps: boolean
  timestampValue: number
  timestampEcho: number
}

/** A header that was read. */
export interface View extends Fields {
  payloadAt: number
  payloadEnd: number
}

export type Malformed =
  | "truncated"
  /** The header says that it is shorter than a header, or longer than the segment. */
  | "bad-header-length"
  /** An option that does not end within the header. RFC 9293, section 3.1: MUST-7. */
  | "bad-option"

/** Also what to begin with when writing: no options. */
export function view(): View {
  return {
    source: 0,
    destination: 0,
    sequence: 0,
    acknowledgement: 0,
    flags: 0,
    window: 0,
    urgent: 0,
    mss: 0,
    windowScale: -1,
    sackPermitted: false,
    sackCount: 0,
    sackLeft: [0, 0, 0, 0],
    sackRight: [0, 0, 0, 0],
    timestamps: false,
    timestampValue: 0,
    timestampEcho: 0,
    payloadAt: 0,
    payloadEnd: 0,
  }
}

/**
 * Reads the header at `at` into `into`. Bytes up to `head` can be read; the IP payload goes up to `end`. Options of a known kind and a wrong
 * length are passed over, as are unknown ones; of several of a kind the last counts.
 */
export function parse(
  bytes: Uint8Array,
  at: number,
  head: number,
  end: number,
  into: View,
): View | Malformed {
  const limit = Math.min(head, end)
  if (!readable(bytes, at, limit, HEADER)) return "truncated"
  const header = (u8(bytes, at + OFFSET) >> 4) * 4
  if (header < HEADER || header > end - at) return "bad-header-length"
  if (!readable(bytes, at, limit, header)) return "truncated"
  into.source = u16(bytes, at + SOURCE)
  into.destination = u16(bytes, at + DESTINATION)
  into.sequence = u32(bytes, at + SEQUENCE)
  into.acknowledgement = u32(bytes, at + ACKNOWLEDGEMENT)
  into.flags = u8(bytes, at + FLAGS)
  into.window = u16(bytes, at + WINDOW)
  into.urgent = u16(bytes, at + URGENT)
  into.mss = 0
  into.windowScale = -1
  into.sackPermitted = false
  into.sackCount = 0
  into.timestamps = false
  into.timestampValue = 0
  into.timestampEcho = 0
  into.payloadAt = at + header
  into.payloadEnd = end
  return header === HEADER || readOptions(bytes, at + HEADER, at + header, into) ? into : "bad-option"
}

/** Writes a header at `at`, the checksum 0: see `transport.finish`. Returns its size, at most `HEADER_MAX`. */
export function emit(bytes: Uint8Array, at: number, fields: Readonly<Fields>): number {
  const size = emitOptions(bytes, at + HEADER, fields) - at
  putU16(bytes, at + SOURCE, fields.source)
  putU16(bytes, at + DESTINATION, fields.destination)
  putU32(bytes, at + SEQUENCE, fields.sequence)
  putU32(bytes, at + ACKNOWLEDGEMENT, fields.acknowledgement)
  putU8(bytes, at + OFFSET, (size / 4) << 4)
  putU8(bytes, at + FLAGS, fields.flags)
  putU16(bytes, at + WINDOW, fields.window)
  putU16(bytes, at + CHECKSUM, 0)
  putU16(bytes, at + URGENT, fields.urgent)
  return size
}

const FLAG_NAMES = ["F", "S", "R", "P", ".", "U", "E", "W"]

/** One line, with tcpdump's letters: `tcp 40000 > 80 [S], seq 7, ack 0, win 64240, len 0, mss 1460, ws 7, sackOK`. */
export function pretty(segment: Readonly<View>): string {
  const flags = FLAG_NAMES.filter((_, bit) => (segment.flags & (1 << bit)) !== 0).join("")
  const options = [
    segment.mss === 0 ? "" : `, mss ${segment.mss}`,
    segment.windowScale === -1 ? "" : `, ws ${segment.windowScale}`,
    segment.sackPermitted ? ", sackOK" : "",
    segment.timestamps ? `, ts ${segment.timestampValue}/${segment.timestampEcho}` : "",
    ...segment.sackLeft
      .slice(0, segment.sackCount)
      .map((left, index) => `, sack ${left}-${segment.sackRight[index] ?? 0}`),
  ]
  const numbers = `seq ${segment.sequence}, ack ${segment.acknowledgement}, win ${segment.window}`
  const length = segment.payloadEnd - segment.payloadAt
  return `tcp ${segment.source} > ${segment.destination} [${flags}], ${numbers}, len ${length}${options.join("")}`
}

/** Returns whether they are well formed. */
function readOptions(bytes: Uint8Array, from: number, end: number, into: View): boolean {
  let at = from
  while (at < end) {
    const kind = u8(bytes, at)
    if (kind === OPTION_END) return true
    if (kind === OPTION_NONE) {
      at += 1
      continue
    }
    const length = at + 1 < end ? u8(bytes, at + 1) : 0
    if (length < 2 || length > end - at) return false
    readOption(bytes, at, length, into)
    at += length
  }
  return true
}

function readOption(bytes: Uint8Array, at: number, length: number, into: View): void {
  switch (u8(bytes, at)) {
    case OPTION_MSS:
      if (length === MSS_SIZE) into.mss = u16(bytes, at + 2)
      break
    case OPTION_WINDOW_SCALE:
      if (length === WINDOW_SCALE_SIZE) into.windowScale = u8(bytes, at + 2)
      break
    case OPTION_SACK_PERMITTED:
      if (length === SACK_PERMITTED_SIZE) into.sackPermitted = true
      break
    case OPTION_SACK:
      if (length % SACK_BLOCK === 2) readBlocks(bytes, at + 2, (length - 2) / SACK_BLOCK, into)
      break
    case OPTION_TIMESTAMPS:
      if (length !== TIMESTAMPS_SIZE) break
      into.timestamps = true
      into.timestampValue = u32(bytes, at + 2)
      into.timestampEcho = u32(bytes, at + 6)
      break
    default:
  }
}

function readBlocks(bytes: Uint8Array, at: number, count: number, into: View): void {
  into.sackCount = count
  for (let index = 0; index < count; index++) {
    into.sackLeft[index] = u32(bytes, at + index * SACK_BLOCK)
    into.sackRight[index] = u32(bytes, at + index * SACK_BLOCK + 4)
  }
}

/** Returns where they end. Whatever no longer fits is left out: only selective acknowledgements can be that many. */
function emitOptions(bytes: Uint8Array, from: number, fields: Readonly<Fields>): number {
  let at = from
  if (fields.mss !== 0) {
    putU16(bytes, at, (OPTION_MSS << 8) | MSS_SIZE)
    putU16(bytes, at + 2, fields.mss)
    at += MSS_SIZE
  }
  if (fields.windowScale !== -1) {
    putU8(bytes, at, OPTION_NONE)
    putU16(bytes, at + 1, (OPTION_WINDOW_SCALE << 8) | WINDOW_SCALE_SIZE)
    putU8(bytes, at + 3, fields.windowScale)
    at += 1 + WINDOW_SCALE_SIZE
  }
  // What does not fill four bytes stands behind padding, so that numbers are aligned (RFC 7323, appendix A).
  if (fields.sackPermitted) {
    putU16(bytes, at, (OPTION_NONE << 8) | OPTION_NONE)
    putU16(bytes, at + 2, (OPTION_SACK_PERMITTED << 8) | SACK_PERMITTED_SIZE)
    at += 2 + SACK_PERMITTED_SIZE
  }
  if (fields.timestamps) {
    putU16(bytes, at, (OPTION_NONE << 8) | OPTION_NONE)
    putU16(bytes, at + 2, (OPTION_TIMESTAMPS << 8) | TIMESTAMPS_SIZE)
    putU32(bytes, at + 4, fields.timestampValue)
    putU32(bytes, at + 8, fields.timestampEcho)
    at += 2 + TIMESTAMPS_SIZE
  }
  const room = Math.floor((from + HEADER_MAX - HEADER - at - 4) / SACK_BLOCK)
  return emitBlocks(bytes, at, Math.min(fields.sackCount, room), fields)
}

function emitBlocks(bytes: Uint8Array, at: number, count: number, fields: Readonly<Fields>): number {
  if (count <= 0) return at
  putU16(bytes, at, (OPTION_NONE << 8) | OPTION_NONE)
  putU16(bytes, at + 2, (OPTION_SACK << 8) | (2 + count * SACK_BLOCK))
  for (let index = 0; index < count; index++) {
    putU32(bytes, at + 4 + index * SACK_BLOCK, fields.sackLeft[index] ?? 0)
    putU32(bytes, at + 8 + index * SACK_BLOCK, fields.sackRight[index] ?? 0)
  }
  return at + 4 + count * SACK_BLOCK
}
