/**
 * 64-bit fields as numbers. FUSE has the byte order of the machine, little-endian on all that run here, and every structure is made of aligned words:
 * so codecs take a `Uint32Array` and offsets in bytes that are multiples of 4.
 *
 * @module
 */
import { at, getU64, setU64 } from "@skep/loop/memory"

const HIGH = 2 ** 32
/** Beyond this a number is no longer exact: no offset, node or handle of ours is there. */
export const LARGEST: number = Number.MAX_SAFE_INTEGER
/** The largest offset of Linux, and how it looks as a number here. */
const OFFSET_MAX_HIGH = 0x7fff_ffff

export function u32(words: Uint32Array, offset: number): number {
  return at(words, offset >>> 2)
}

export function putU32(words: Uint32Array, offset: number, value: number): void {
  words[offset >>> 2] = value
}

export function u16(words: Uint32Array, offset: number): number {
  return (at(words, offset >>> 2) >>> ((offset & 2) * 8)) & 0xffff
}

/** Writes both halves of a word. */
export function putU16Pair(words: Uint32Array, offset: number, low: number, high: number): void {
  words[offset >>> 2] = (low & 0xffff) | (high << 16)
}

/** Exact up to `LARGEST`; more is more than that. */
export function u64(words: Uint32Array, offset: number): number {
  return getU64(words, offset >>> 2)
}

export function putU64(words: Uint32Array, offset: number, value: number): void {
  setU64(words, offset >>> 2, value)
}

/** Seconds, which may lie before 1970. */
export function i64(words: Uint32Array, offset: number): number {
  return at(words, offset >>> 2) + (at(words, (offset >>> 2) + 1) | 0) * HIGH
}

export function putI64(words: Uint32Array, offset: number, value: number): void {
  words[offset >>> 2] = value
  words[(offset >>> 2) + 1] = Math.floor(value / HIGH)
}

/** The end of a lock: what is beyond all files is `LARGEST`. */
export function end64(words: Uint32Array, offset: number): number {
  return Math.min(getU64(words, offset >>> 2), LARGEST)
}

export function putEnd64(words: Uint32Array, offset: number, value: number): void {
  if (value < LARGEST) return putU64(words, offset, value)
  words[offset >>> 2] = 0xffff_ffff
  words[(offset >>> 2) + 1] = OFFSET_MAX_HIGH
}

/** 64 bits of which every one counts. */
export function big64(words: Uint32Array, offset: number): bigint {
  return (BigInt(at(words, (offset >>> 2) + 1)) << 32n) | BigInt(at(words, offset >>> 2))
}

export function putBig64(words: Uint32Array, offset: number, value: bigint): void {
  words[offset >>> 2] = Number(value & 0xffff_ffffn)
  words[(offset >>> 2) + 1] = Number((value >> 32n) & 0xffff_ffffn)
}
