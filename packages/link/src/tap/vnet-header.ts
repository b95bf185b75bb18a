/**
 * The header that a TAP device puts before each frame with IFF_VNET_HDR: struct virtio_net_hdr of Virtual I/O Device 1.2, section 5.1.6, without
 * its last field and in the processor's own order, which is little-endian on all we run on.
 *
 * ```
 * | flags u8 | gso type u8 | header length u16 | segment size u16 | checksum start u16 | checksum offset u16 |
 * ```
 *
 * @module
 */
import { putU8, putU16le, u8, u16le } from "@skep/wire/bytes"
import { GSO_NONE, GSO_TCP4, GSO_TCP6, type Offload } from "../offload.ts"

export const VNET_HEADER = 10

const FLAGS = 0
const GSO = 1
const HEADER_LENGTH = 2
const SEGMENT_SIZE = 4
const CHECKSUM_START = 6
const CHECKSUM_OFFSET = 8

const NEEDS_CSUM = 1
const DATA_VALID = 2
/** Says that the segments carry ECN: of no matter to us, who do not cut them in a way that harms it. */
const GSO_ECN = 0x80

/** What is wrong with a header. */
export type MalformedVnetHeader = "bad-checksum-place" | "unknown-gso" | "bad-segment"

/** Whether the sender vouches for the checksums is the result; `into` is what it leaves to us. `length` is that of the frame. */
export function parse(
  bytes: Uint8Array,
  at: number,
  length: number,
  into: Offload,
): boolean | MalformedVnetHeader {
  const flags = u8(bytes, at + FLAGS)
  const gso = u8(bytes, at + GSO) & ~GSO_ECN
  into.checksumStart = 0
  into.checksumOffset = 0
  into.gso = gso
  into.segmentSize = 0
  into.headerLength = 0
  if ((flags & NEEDS_CSUM) !== 0) {
    const start = u16le(bytes, at + CHECKSUM_START)
    const offset = u16le(bytes, at + CHECKSUM_OFFSET)
    if (start === 0 || start + offset + 2 > length) return "bad-checksum-place"
    into.checksumStart = start
    into.checksumOffset = offset
  }
  if (gso === GSO_NONE) return flags !== 0 && (flags & (NEEDS_CSUM | DATA_VALID)) !== 0
  if (gso !== GSO_TCP4 && gso !== GSO_TCP6) return "unknown-gso"
  into.segmentSize = u16le(bytes, at + SEGMENT_SIZE)
  into.headerLength = u16le(bytes, at + HEADER_LENGTH)
  // Without a checksum to finish nobody could cut it.
  if (into.segmentSize === 0 || into.checksumStart === 0) return "bad-segment"
  return true
}

/** Writes the header of a frame to be sent. */
export function emit(bytes: Uint8Array, at: number, offload: Offload | undefined): void {
  const needsChecksum = offload !== undefined && offload.checksumStart !== 0
  putU8(bytes, at + FLAGS, needsChecksum ? NEEDS_CSUM : 0)
  putU8(bytes, at + GSO, offload?.gso ?? GSO_NONE)
  putU16le(bytes, at + HEADER_LENGTH, offload?.headerLength ?? 0)
  putU16le(bytes, at + SEGMENT_SIZE, offload?.segmentSize ?? 0)
  putU16le(bytes, at + CHECKSUM_START, offload?.checksumStart ?? 0)
  putU16le(bytes, at + CHECKSUM_OFFSET, offload?.checksumOffset ?? 0)
}
