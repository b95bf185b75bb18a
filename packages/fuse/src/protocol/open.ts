/**
 * Requests about open files and directories: fuse_{open,create,release,flush,read,write,fsync,fallocate,lseek,copy_file_range}_in and answers.
 * Each `parse` reads a structure that lies whole in the message; its size is the constant above it.
 *
 * @module
 */
import { LARGEST, putBig64, putI64, putU32, putU64, u32, u64 } from "./words.ts"

/** | flags u32 | open_flags u32 |, for OPEN and OPENDIR. */
export const OPEN_IN = 8

export interface OpenIn {
  readonly flags: number
  readonly openFlags: number
}

export function parseOpenIn(words: Uint32Array, offset: number): OpenIn {
  return { flags: u32(words, offset), openFlags: u32(words, offset + 4) }
}

export function emitOpenIn(open: OpenIn, words: Uint32Array, offset: number): void {
  putU32(words, offset, open.flags)
  putU32(words, offset + 4, open.openFlags)
}

/** | flags u32 | mode u32 | umask u32 | open_flags u32 | name. */
export const CREATE_IN = 16

export interface CreateIn extends OpenIn {
  /** Without the bits of the umask already. */
  readonly mode: number
}

export function parseCreateIn(words: Uint32Array, offset: number): CreateIn {
  return { flags: u32(words, offset), mode: u32(words, offset + 4), openFlags: u32(words, offset + 12) }
}

export function emitCreateIn(create: CreateIn, words: Uint32Array, offset: number): void {
  putU32(words, offset, create.flags)
  putU32(words, offset + 4, create.mode)
  putU32(words, offset + 8, 0)
  putU32(words, offset + 12, create.openFlags)
}

/** | fh u64 | open_flags u32 | 0 | */
export const OPEN_OUT = 16

export interface OpenOut {
  readonly handle: number
  readonly openFlags: number
}

export function parseOpenOut(words: Uint32Array, offset: number): OpenOut {
  return { handle: u64(words, offset), openFlags: u32(words, offset + 8) }
}

export function emitOpenOut(open: OpenOut, words: Uint32Array, offset: number): void {
  putU64(words, offset, open.handle)
  putU32(words, offset + 8, open.openFlags)
  putU32(words, offset + 12, 0)
}

/** RELEASE: | fh u64 | flags u32 | release_flags u32 | lock_owner u64 |; FLUSH: | fh u64 | 0 u32 | 0 u32 | lock_owner u64 |. */
export const RELEASE_IN = 24
export const RELEASE_LOCK_OWNER = 16

export interface ReleaseIn {
  readonly handle: number
  readonly releaseFlags: number
}

export function parseReleaseIn(words: Uint32Array, offset: number): ReleaseIn {
  return { handle: u64(words, offset), releaseFlags: u32(words, offset + 12) }
}

export function emitReleaseIn(
  release: ReleaseIn,
  lockOwner: bigint,
  words: Uint32Array,
  offset: number,
): void {
  putU64(words, offset, release.handle)
  putU32(words, offset + 8, 0)
  putU32(words, offset + 12, release.releaseFlags)
  putBig64(words, offset + RELEASE_LOCK_OWNER, lockOwner)
}

/** READ, WRITE, READDIR, READDIRPLUS: | fh u64 | offset u64 | size u32 | flags of it u32 | lock_owner u64 | flags u32 | 0 | */
export const READ_IN = 40

export interface ReadIn {
  readonly handle: number
  /** Of directories it is a cookie, of 64 bits: `READ_OFFSET`. One below zero is a number beyond all that is exact. */
  readonly offset: number
  readonly size: number
  /** READ_… or WRITE_…. */
  readonly how: number
}

export function parseReadIn(words: Uint32Array, offset: number): ReadIn {
  return {
    handle: u64(words, offset),
    offset: u64(words, offset + 8),
    size: u32(words, offset + 16),
    how: u32(words, offset + 20),
  }
}

export function emitReadIn(read: ReadIn, words: Uint32Array, offset: number): void {
  putU64(words, offset, read.handle)
  putI64(words, offset + 8, read.offset)
  putU32(words, offset + 16, read.size)
  putU32(words, offset + 20, read.how)
  words.fill(0, (offset + 24) >>> 2, (offset + READ_IN) >>> 2)
}

/** Where the offset of a READDIR is: a cookie of 64 bits. */
export const READ_OFFSET = 8

/** WRITE and COPY_FILE_RANGE: | size u32 | 0 u32 | */
export const WRITE_OUT = 8

export function emitWriteOut(size: number, words: Uint32Array, offset: number): void {
  putU32(words, offset, size)
  putU32(words, offset + 4, 0)
}

/** FSYNC and FSYNCDIR: | fh u64 | fsync_flags u32 | 0 u32 | */
export const FSYNC_IN = 16

export interface FsyncIn {
  readonly handle: number
  readonly flags: number
}

export function parseFsyncIn(words: Uint32Array, offset: number): FsyncIn {
  return { handle: u64(words, offset), flags: u32(words, offset + 8) }
}

export function emitFsyncIn(fsync: FsyncIn, words: Uint32Array, offset: number): void {
  putU64(words, offset, fsync.handle)
  putU32(words, offset + 8, fsync.flags)
  putU32(words, offset + 12, 0)
}

/** | fh u64 | offset u64 | length u64 | mode u32 | 0 u32 | */
export const FALLOCATE_IN = 32

export interface FallocateIn {
  readonly handle: number
  readonly offset: number
  readonly length: number
  readonly mode: number
}

export function parseFallocateIn(words: Uint32Array, offset: number): FallocateIn {
  return {
    handle: u64(words, offset),
    offset: u64(words, offset + 8),
    length: u64(words, offset + 16),
    mode: u32(words, offset + 24),
  }
}

export function emitFallocateIn(allocate: FallocateIn, words: Uint32Array, offset: number): void {
  putU64(words, offset, allocate.handle)
  putI64(words, offset + 8, allocate.offset)
  putI64(words, offset + 16, allocate.length)
  putU32(words, offset + 24, allocate.mode)
  putU32(words, offset + 28, 0)
}

/** | fh u64 | offset u64 | whence u32 | 0 u32 |, answered by an offset u64. */
export const LSEEK_IN = 24
export const LSEEK_OUT = 8

export interface LseekIn {
  readonly handle: number
  readonly offset: number
  readonly whence: number
}

export function parseLseekIn(words: Uint32Array, offset: number): LseekIn {
  return { handle: u64(words, offset), offset: u64(words, offset + 8), whence: u32(words, offset + 16) }
}

export function emitLseekIn(seek: LseekIn, words: Uint32Array, offset: number): void {
  putU64(words, offset, seek.handle)
  putI64(words, offset + 8, seek.offset)
  putU32(words, offset + 16, seek.whence)
  putU32(words, offset + 20, 0)
}

/** | fh_in u64 | off_in u64 | nodeid_out u64 | fh_out u64 | off_out u64 | len u64 | flags u64 | */
export const COPY_IN = 56

export interface CopyIn {
  readonly from: number
  readonly fromOffset: number
  readonly toNode: number
  readonly to: number
  readonly toOffset: number
  readonly length: number
  readonly flags: number
}

export function parseCopyIn(words: Uint32Array, offset: number): CopyIn {
  return {
    from: u64(words, offset),
    fromOffset: u64(words, offset + 8),
    toNode: u64(words, offset + 16),
    to: u64(words, offset + 24),
    toOffset: u64(words, offset + 32),
    length: u64(words, offset + 40),
    flags: u64(words, offset + 48),
  }
}

export function emitCopyIn(copy: CopyIn, words: Uint32Array, offset: number): void {
  const { from, fromOffset, toNode, to, toOffset, length, flags } = copy
  for (const [i, value] of [from, fromOffset, toNode, to, toOffset, length, flags].entries())
    putI64(words, offset + 8 * i, value)
}

/** Whether a field is a number that we can mean. */
export function isExact(value: number): boolean {
  return value <= LARGEST
}
