/**
 * What every message begins with (fuse_in_header, fuse_out_header).
 *
 * ```
 * request | len u32 | opcode u32 | unique u64 | nodeid u64 | uid u32 | gid u32 | pid u32 | total_extlen u16 | 0 u16 |   40
 * answer  | len u32 | -errno i32 | unique u64 |                                                                          16
 * ```
 *
 * @module
 */
import { errnoName } from "@skep/loop/sys"
import { nameOfOpcode } from "./constants.ts"
import { putU32, putU64, u16, u32, u64 } from "./words.ts"

export const IN_HEADER = 40
export const OUT_HEADER = 16

export type MalformedHeader = "truncated" | "bad-length"

/** An object to fill: one a session. */
export interface InHeader {
  /** Of the message with its data. */
  length: number
  opcode: number
  /** The answer has the same; the guest's own business, so its halves are only copied. */
  uniqueLow: number
  uniqueHigh: number
  node: number
  uid: number
  gid: number
  pid: number
  /** Bytes of extensions at the end of the arguments. */
  extensions: number
}

export function newInHeader(): InHeader {
  return {
    length: 0,
    opcode: 0,
    uniqueLow: 0,
    uniqueHigh: 0,
    node: 0,
    uid: 0,
    gid: 0,
    pid: 0,
    extensions: 0,
  }
}

/** Reads the header at `offset` of a message of `bytes` bytes in all, its data included. */
export function parseInHeader(
  words: Uint32Array,
  offset: number,
  bytes: number,
  into: InHeader,
): MalformedHeader | undefined {
  if (bytes < IN_HEADER || offset + IN_HEADER > words.byteLength) return "truncated"
  into.length = u32(words, offset)
  into.opcode = u32(words, offset + 4)
  into.uniqueLow = u32(words, offset + 8)
  into.uniqueHigh = u32(words, offset + 12)
  into.node = u64(words, offset + 16)
  into.uid = u32(words, offset + 24)
  into.gid = u32(words, offset + 28)
  into.pid = u32(words, offset + 32)
  into.extensions = u16(words, offset + 36) * 8
  return into.length === bytes ? undefined : "bad-length"
}

export function emitInHeader(header: InHeader, words: Uint32Array, offset: number): void {
  putU32(words, offset, header.length)
  putU32(words, offset + 4, header.opcode)
  putU32(words, offset + 8, header.uniqueLow)
  putU32(words, offset + 12, header.uniqueHigh)
  putU64(words, offset + 16, header.node)
  putU32(words, offset + 24, header.uid)
  putU32(words, offset + 28, header.gid)
  putU32(words, offset + 32, header.pid)
  putU32(words, offset + 36, header.extensions / 8)
}

export interface OutHeader {
  readonly length: number
  /** 0 or `-errno`. */
  readonly error: number
  readonly uniqueLow: number
  readonly uniqueHigh: number
}

export function parseOutHeader(
  words: Uint32Array,
  offset: number,
  bytes: number,
): OutHeader | MalformedHeader {
  if (bytes < OUT_HEADER) return "truncated"
  const length = u32(words, offset)
  if (length < OUT_HEADER || length > bytes) return "bad-length"
  return {
    length,
    error: u32(words, offset + 4) | 0,
    uniqueLow: u32(words, offset + 8),
    uniqueHigh: u32(words, offset + 12),
  }
}

export function emitOutHeader(header: OutHeader, words: Uint32Array, offset: number): void {
  putU32(words, offset, header.length)
  putU32(words, offset + 4, header.error)
  putU32(words, offset + 8, header.uniqueLow)
  putU32(words, offset + 12, header.uniqueHigh)
}

/** One line for traces and failures of tests. */
export function prettyIn(header: InHeader): string {
  const { opcode, uniqueLow, node, uid, gid, length } = header
  return `${nameOfOpcode(opcode)} #${uniqueLow} node ${node} by ${uid}:${gid}, ${length} bytes`
}

export function prettyOut(header: OutHeader): string {
  const { error, uniqueLow, length } = header
  return `#${uniqueLow} ${error === 0 ? `${length} bytes` : errnoName(error)}`
}
