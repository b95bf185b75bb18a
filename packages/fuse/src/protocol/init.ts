/**
 * INIT, the first request: what both sides can do (fuse_init_in, fuse_init_out).
 *
 * ```
 * request | major u32 | minor u32 | max_readahead u32 | flags u32 | flags2 u32 | 0 × 11 |                 16 bytes before 7.36
 * answer  | major | minor | max_readahead | flags | max_background u16, congestion u16 | max_write |
 *         | time_gran | max_pages u16, map_alignment u16 | flags2 | 0 × 7 |                               64 bytes
 * ```
 *
 * @module
 */
import { putU16Pair, putU32, u16, u32 } from "./words.ts"

export const INIT_IN = 16
export const INIT_IN_EXTENDED = 64
export const INIT_OUT = 64

export interface InitIn {
  readonly major: number
  readonly minor: number
  readonly maxReadahead: number
  readonly flags: number
  /** Flags from 32 on; 0 where the message is too short for them. */
  readonly flags2: number
}

export function parseInitIn(words: Uint32Array, offset: number, end: number): InitIn {
  return {
    major: u32(words, offset),
    minor: u32(words, offset + 4),
    maxReadahead: u32(words, offset + 8),
    flags: u32(words, offset + 12),
    flags2: end - offset >= INIT_IN + 4 ? u32(words, offset + 16) : 0,
  }
}

export function emitInitIn(init: InitIn, words: Uint32Array, offset: number): void {
  putU32(words, offset, init.major)
  putU32(words, offset + 4, init.minor)
  putU32(words, offset + 8, init.maxReadahead)
  putU32(words, offset + 12, init.flags)
  putU32(words, offset + 16, init.flags2)
  words.fill(0, (offset + 20) >>> 2, (offset + INIT_IN_EXTENDED) >>> 2)
}

export interface InitOut {
  readonly major: number
  readonly minor: number
  readonly maxReadahead: number
  readonly flags: number
  readonly maxBackground: number
  readonly congestionThreshold: number
  readonly maxWrite: number
  /** Nanoseconds of the coarsest timestamp. */
  readonly timeGranularity: number
  readonly maxPages: number
  readonly flags2: number
}

export function parseInitOut(words: Uint32Array, offset: number): InitOut {
  return {
    major: u32(words, offset),
    minor: u32(words, offset + 4),
    maxReadahead: u32(words, offset + 8),
    flags: u32(words, offset + 12),
    maxBackground: u16(words, offset + 16),
    congestionThreshold: u16(words, offset + 18),
    maxWrite: u32(words, offset + 20),
    timeGranularity: u32(words, offset + 24),
    maxPages: u16(words, offset + 28),
    flags2: u32(words, offset + 32),
  }
}

export function emitInitOut(init: InitOut, words: Uint32Array, offset: number): void {
  putU32(words, offset, init.major)
  putU32(words, offset + 4, init.minor)
  putU32(words, offset + 8, init.maxReadahead)
  putU32(words, offset + 12, init.flags)
  putU16Pair(words, offset + 16, init.maxBackground, init.congestionThreshold)
  putU32(words, offset + 20, init.maxWrite)
  putU32(words, offset + 24, init.timeGranularity)
  putU16Pair(words, offset + 28, init.maxPages, 0)
  putU32(words, offset + 32, init.flags2)
  words.fill(0, (offset + 36) >>> 2, (offset + INIT_OUT) >>> 2)
}
