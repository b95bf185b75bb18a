/**
 * struct virtio_net_hdr, before each frame both ways (Virtual I/O Device 1.2, section 5.1.6). Little-endian; legacy drivers on the machines
 * we run on have it so as well.
 *
 * ```
 * | flags u8 | gso type u8 | header length u16 | segment size u16 | checksum start u16 | checksum offset u16 | buffers u16 |
 * ```
 *
 * @module
 */
import { FRAME_MIN, type Frame } from "../frame.ts"
import { GSO_NONE, GSO_TCP4, GSO_TCP6, type Offload, type Offloads } from "../offload.ts"

export const HEADER = 12
/** Without the number of buffers. */
export const LEGACY_HEADER = 10
/** Where the number of buffers is, of a frame to the driver. */
export const BUFFERS = 10

const FLAGS = 0
const GSO = 1
const HEADER_LENGTH = 2
const SEGMENT_SIZE = 4
const CHECKSUM_START = 6
const CHECKSUM_OFFSET = 8

const F_NEEDS_CHECKSUM = 1

/** Of a TCP header: its length without options, where the byte is that tells its length, and where its checksum is. */
const TCP = 20
const TCP_DATA_OFFSET = 12
const TCP_CHECKSUM = 16
/** The smallest segments that a TCP may send of itself: 48 bytes, less 40 of options. Smaller ones only multiply frames. */
const SEGMENT_MIN = 8

export type MalformedHeader =
  | "checksum-not-offered"
  | "checksum-outside"
  | "gso-not-offered"
  | "gso-without-checksum"
  | "gso-segment-size"
  | "gso-header"

/**
 * Reads the header at `at` of the frame's bytes into `offload` and `trusted`; the other fields of the frame are set before. `offered` is what the
 * driver may leave to us. Everything is checked, and of the header's length nothing is believed: it is read from the TCP header, since drivers
 * get it wrong (section 5.1.6.2.2).
 */
export function parse(frame: Frame, at: number, offered: Offloads): MalformedHeader | undefined {
  const { bytes, offload } = frame
  const needsChecksum = (byte(bytes, at + FLAGS) & F_NEEDS_CHECKSUM) !== 0
  const gso = byte(bytes, at + GSO)
  frame.trusted = needsChecksum
  offload.checksumStart = 0
  offload.checksumOffset = 0
  offload.gso = GSO_NONE
  offload.segmentSize = 0
  offload.headerLength = 0
  if (needsChecksum) {
    if (!offered.checksum) return "checksum-not-offered"
    const start = u16le(bytes, at + CHECKSUM_START)
    const offset = u16le(bytes, at + CHECKSUM_OFFSET)
    if (start < FRAME_MIN || start + offset + 2 > frame.length) return "checksum-outside"
    offload.checksumStart = start
    offload.checksumOffset = offset
  }
  return gso === GSO_NONE ? undefined : parseGso(frame, at, gso, offered)
}

function parseGso(frame: Frame, at: number, gso: number, offered: Offloads): MalformedHeader | undefined {
  const { bytes, offload } = frame
  const known = gso === GSO_TCP4 ? offered.tcp4 : gso === GSO_TCP6 && offered.tcp6
  if (!known) return "gso-not-offered"
  const start = offload.checksumStart
  if (start === 0 || offload.checksumOffset !== TCP_CHECKSUM) return "gso-without-checksum"
  if (start + TCP > frame.head) return "gso-header"
  const headerLength = start + (byte(bytes, frame.at + start + TCP_DATA_OFFSET) >>> 4) * 4
  if (headerLength < start + TCP || headerLength > frame.length) return "gso-header"
  const segmentSize = u16le(bytes, at + SEGMENT_SIZE)
  if (segmentSize < SEGMENT_MIN) return "gso-segment-size"
  offload.gso = gso
  offload.segmentSize = segmentSize
  offload.headerLength = headerLength
  return undefined
}

/** Writes all `HEADER` bytes. */
export function emit(bytes: Uint8Array, at: number, buffers: number, offload: Offload | undefined): void {
  for (let index = 0; index < BUFFERS; index++) bytes[at + index] = 0
  setU16le(bytes, at + BUFFERS, buffers)
  if (offload === undefined) return
  if (offload.checksumStart > 0) {
    bytes[at + FLAGS] = F_NEEDS_CHECKSUM
    setU16le(bytes, at + CHECKSUM_START, offload.checksumStart)
    setU16le(bytes, at + CHECKSUM_OFFSET, offload.checksumOffset)
  }
  if (offload.gso !== GSO_NONE) {
    bytes[at + GSO] = offload.gso
    setU16le(bytes, at + HEADER_LENGTH, offload.headerLength)
    setU16le(bytes, at + SEGMENT_SIZE, offload.segmentSize)
  }
}

/** `checksum at 34+16, tcp4 in segments of 1448 after 66, 3 buffers` */
export function pretty(bytes: Uint8Array, at: number): string {
  const gso = byte(bytes, at + GSO)
  const checksum =
    (byte(bytes, at + FLAGS) & F_NEEDS_CHECKSUM) === 0
      ? "complete"
      : `checksum at ${u16le(bytes, at + CHECKSUM_START)}+${u16le(bytes, at + CHECKSUM_OFFSET)}`
  const name = gso === GSO_TCP4 ? "tcp4" : gso === GSO_TCP6 ? "tcp6" : `gso ${gso}`
  const cut =
    gso === GSO_NONE
      ? ""
      : `, ${name} in segments of ${u16le(bytes, at + SEGMENT_SIZE)} after ${u16le(bytes, at + HEADER_LENGTH)}`
  return `${checksum}${cut}, ${u16le(bytes, at + BUFFERS)} buffers`
}

export function setU16le(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
}

function u16le(bytes: Uint8Array, at: number): number {
  return byte(bytes, at) | (byte(bytes, at + 1) << 8)
}

function byte(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0
}
