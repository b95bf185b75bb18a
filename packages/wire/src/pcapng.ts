/**
 * Captures as Wireshark reads them: draft-ietf-opsawg-pcapng, sections 4.1 to 4.3 and 4.6. Each function makes one block; a file is one section
 * header, one description for each interface, numbered from 0 on, packets, and statistics at the end. All little-endian, times in nanoseconds.
 *
 * ```
 *  type | length | body, padded to 4 bytes | options … | length
 * ```
 *
 * @module
 */
import { putU8, putU16le, putU32le } from "./bytes.ts"

const SECTION = 0x0a0d0d0a
const INTERFACE = 1
const STATISTICS = 5
const PACKET = 6
const BYTE_ORDER = 0x1a2b3c4d
const LINK_ETHERNET = 1

const OPTION_END = 0
const OPTION_COMMENT = 1
const SECTION_APPLICATION = 4
const INTERFACE_NAME = 2
const INTERFACE_DESCRIPTION = 3
const INTERFACE_RESOLUTION = 9
const PACKET_FLAGS = 2
const STATISTICS_RECEIVED = 4
const STATISTICS_DROPPED = 5
const NANOSECONDS = 9

const BLOCK_OVERHEAD = 12
const OPTION_HEADER = 4
const PACKET_FIXED = 20
const STATISTICS_FIXED = 12
/** Bytes of a block of statistics. */
export const STATISTICS_SIZE: number =
  BLOCK_OVERHEAD + STATISTICS_FIXED + 2 * (OPTION_HEADER + 8) + OPTION_HEADER
/** So long can an option be; longer text is cut. */
const OPTION_MAX = 0xffff

export interface Section {
  readonly application?: string
  readonly comment?: string
}

export interface Interface {
  readonly name?: string
  readonly description?: string
  readonly comment?: string
  /** Bytes kept of each packet; 0 for all. */
  readonly snapLength?: number
}

export interface Packet {
  /** The number of its interface. */
  readonly interface: number
  readonly timeNanoseconds: bigint
  /** Bytes that it had on the wire, where not all are kept. */
  readonly originalLength?: number
  readonly direction?: "in" | "out"
  readonly comment?: string
}

export interface Statistics {
  /** The number of its interface. */
  readonly interface: number
  readonly timeNanoseconds: bigint
  /** Packets that were there to be captured, and those of them that are not in the file for want of room. */
  readonly received: number
  readonly dropped: number
}

/** The first block of a file. */
export function section(fields: Section = {}): Uint8Array {
  const block = newBlock(SECTION, 16, [
    text(SECTION_APPLICATION, fields.application),
    text(OPTION_COMMENT, fields.comment),
  ])
  putU32le(block, 8, BYTE_ORDER)
  putU16le(block, 12, 1)
  putU16le(block, 14, 0)
  // The section's length is not known.
  block.fill(0xff, 16, 24)
  return block
}

/** An Ethernet interface. */
export function describeInterface(fields: Interface = {}): Uint8Array {
  const block = newBlock(INTERFACE, 8, [
    text(INTERFACE_NAME, fields.name),
    text(INTERFACE_DESCRIPTION, fields.description),
    option(INTERFACE_RESOLUTION, Uint8Array.of(NANOSECONDS)),
    text(OPTION_COMMENT, fields.comment),
  ])
  putU16le(block, 8, LINK_ETHERNET)
  putU32le(block, 12, fields.snapLength ?? 0)
  return block
}

/** The frame from `at` to `end`. */
export function packet(fields: Packet, bytes: Uint8Array, at: number, end: number): Uint8Array {
  const captured = end - at
  const block = newBlock(PACKET, PACKET_FIXED + padded(captured), [
    direction(fields.direction),
    text(OPTION_COMMENT, fields.comment),
  ])
  putU32le(block, 8, fields.interface)
  putU32le(block, 12, Number(fields.timeNanoseconds >> 32n))
  putU32le(block, 16, Number(fields.timeNanoseconds & 0xffff_ffffn))
  putU32le(block, 20, captured)
  putU32le(block, 24, fields.originalLength ?? captured)
  block.set(bytes.subarray(at, end), 8 + PACKET_FIXED)
  return block
}

/** What became of an interface's packets. */
export function statistics(fields: Statistics): Uint8Array {
  const block = newBlock(STATISTICS, STATISTICS_FIXED, [
    option(STATISTICS_RECEIVED, u64(fields.received)),
    option(STATISTICS_DROPPED, u64(fields.dropped)),
  ])
  putU32le(block, 8, fields.interface)
  putU32le(block, 12, Number(fields.timeNanoseconds >> 32n))
  putU32le(block, 16, Number(fields.timeNanoseconds & 0xffff_ffffn))
  return block
}

/** A block with its type, both lengths and its options; the body is zeros. */
function newBlock(type: number, bodySize: number, options: readonly Uint8Array[]): Uint8Array {
  const optionsSize = options.reduce((size, each) => size + each.length, 0)
  const ending = optionsSize === 0 ? 0 : OPTION_HEADER
  const size = BLOCK_OVERHEAD + bodySize + optionsSize + ending
  const block = new Uint8Array(size)
  putU32le(block, 0, type)
  putU32le(block, 4, size)
  let at = 8 + bodySize
  for (const each of options) {
    block.set(each, at)
    at += each.length
  }
  if (ending > 0) putU32le(block, at, OPTION_END)
  putU32le(block, size - 4, size)
  return block
}

function text(code: number, value: string | undefined): Uint8Array {
  return value === undefined ? NOTHING : option(code, Buffer.from(value).subarray(0, OPTION_MAX))
}

function option(code: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(OPTION_HEADER + padded(value.length))
  putU16le(bytes, 0, code)
  putU16le(bytes, 2, value.length)
  bytes.set(value, OPTION_HEADER)
  return bytes
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  putU32le(bytes, 0, value % 2 ** 32)
  putU32le(bytes, 4, Math.floor(value / 2 ** 32))
  return bytes
}

function direction(value: Packet["direction"]): Uint8Array {
  if (value === undefined) return NOTHING
  const flags = new Uint8Array(4)
  putU8(flags, 0, value === "in" ? 1 : 2)
  return option(PACKET_FLAGS, flags)
}

function padded(length: number): number {
  return Math.ceil(length / 4) * 4
}

const NOTHING = new Uint8Array(0)
