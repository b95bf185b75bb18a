/**
 * What files are like, as the protocol has it: fuse_attr and the answers that hold one, SETATTR, STATFS.
 *
 * ```
 * fuse_attr  | ino u64 | size u64 | blocks u64 | atime u64 | mtime u64 | ctime u64 | atimensec | mtimensec | ctimensec |
 *            | mode | nlink | uid | gid | rdev | blksize | flags |                                              88 bytes
 * attr_out   | attr_valid u64 | attr_valid_nsec u32 | 0 | fuse_attr |                                          104
 * entry_out  | nodeid u64 | generation u64 | entry_valid u64 | attr_valid u64 | entry_valid_nsec u32 | attr_valid_nsec u32 | fuse_attr |   128
 * ```
 *
 * @module
 */
import type { Attributes, Changes, Timestamp, Usage } from "@skep/vfs"
import * as c from "./constants.ts"
import { i64, putI64, putU32, putU64, u32, u64 } from "./words.ts"

export const ATTR = 88
export const ATTR_OUT: number = 16 + ATTR
export const ENTRY_OUT: number = 40 + ATTR

/** How long a machine may believe what it is told, in milliseconds. */
export interface Validity {
  readonly entryMs: number
  readonly attributeMs: number
}

export function emitAttributes(from: Attributes, flags: number, words: Uint32Array, offset: number): void {
  putU32(words, offset, from.inoLow)
  putU32(words, offset + 4, from.inoHigh)
  putU64(words, offset + 8, from.size)
  putU64(words, offset + 16, from.blocks)
  putI64(words, offset + 24, from.accessSeconds)
  putI64(words, offset + 32, from.modifySeconds)
  putI64(words, offset + 40, from.changeSeconds)
  putU32(words, offset + 48, from.accessNanoseconds)
  putU32(words, offset + 52, from.modifyNanoseconds)
  putU32(words, offset + 56, from.changeNanoseconds)
  putU32(words, offset + 60, from.mode)
  putU32(words, offset + 64, from.links)
  putU32(words, offset + 68, from.uid)
  putU32(words, offset + 72, from.gid)
  putU32(words, offset + 76, from.rdev)
  putU32(words, offset + 80, from.blockSize)
  putU32(words, offset + 84, flags)
}

/** `device` is not in the protocol. Returns the flags. */
export function parseAttributes(words: Uint32Array, offset: number, into: Attributes): number {
  into.inoLow = u32(words, offset)
  into.inoHigh = u32(words, offset + 4)
  into.size = u64(words, offset + 8)
  into.blocks = u64(words, offset + 16)
  into.accessSeconds = i64(words, offset + 24)
  into.modifySeconds = i64(words, offset + 32)
  into.changeSeconds = i64(words, offset + 40)
  into.accessNanoseconds = u32(words, offset + 48)
  into.modifyNanoseconds = u32(words, offset + 52)
  into.changeNanoseconds = u32(words, offset + 56)
  into.mode = u32(words, offset + 60)
  into.links = u32(words, offset + 64)
  into.uid = u32(words, offset + 68)
  into.gid = u32(words, offset + 72)
  into.rdev = u32(words, offset + 76)
  into.blockSize = u32(words, offset + 80)
  return u32(words, offset + 84)
}

export function emitAttrOut(
  from: Attributes,
  attributeMs: number,
  flags: number,
  words: Uint32Array,
  offset: number,
): void {
  putU64(words, offset, Math.floor(attributeMs / 1000))
  putU32(words, offset + 8, (attributeMs % 1000) * 1e6)
  putU32(words, offset + 12, 0)
  emitAttributes(from, flags, words, offset + 16)
}

/** The first 40 bytes of an entry. Node 0 says that there is no such name, as long as the entry is valid. */
export function emitEntryHead(node: number, validity: Validity, words: Uint32Array, offset: number): void {
  const { entryMs, attributeMs } = validity
  putU64(words, offset, node)
  putU64(words, offset + 8, 0)
  putU64(words, offset + 16, Math.floor(entryMs / 1000))
  putU64(words, offset + 24, Math.floor(attributeMs / 1000))
  putU32(words, offset + 32, (entryMs % 1000) * 1e6)
  putU32(words, offset + 36, (attributeMs % 1000) * 1e6)
}

export const ENTRY_ATTR = 40

export function parseEntryHead(words: Uint32Array, offset: number): Validity & { readonly node: number } {
  const ms = (seconds: number, nanoseconds: number): number =>
    u64(words, offset + seconds) * 1000 + Math.floor(u32(words, offset + nanoseconds) / 1e6)
  return { node: u64(words, offset), entryMs: ms(16, 32), attributeMs: ms(24, 36) }
}

/**
 * | valid u32 | 0 u32 | fh u64 | size u64 | lock_owner u64 | atime u64 | mtime u64 | ctime u64 | atimensec u32 | mtimensec u32 | ctimensec u32 |
 * | mode u32 | 0 u32 | uid u32 | gid u32 | 0 u32 |
 */
export const SETATTR_IN = 88

export interface SetAttrIn {
  readonly valid: number
  /** -1 where there is none. */
  readonly handle: number
  readonly changes: Changes
}

export function parseSetAttrIn(words: Uint32Array, offset: number): SetAttrIn {
  const valid = u32(words, offset)
  const has = (flag: number): boolean => (valid & flag) !== 0
  const changes: Changes = {
    mode: has(c.FATTR_MODE) ? u32(words, offset + 68) : undefined,
    uid: has(c.FATTR_UID) ? u32(words, offset + 76) : undefined,
    gid: has(c.FATTR_GID) ? u32(words, offset + 80) : undefined,
    size: has(c.FATTR_SIZE) ? u64(words, offset + 16) : undefined,
    access: time(words, offset + 32, offset + 56, has(c.FATTR_ATIME), has(c.FATTR_ATIME_NOW)),
    modify: time(words, offset + 40, offset + 60, has(c.FATTR_MTIME), has(c.FATTR_MTIME_NOW)),
  }
  return { valid, handle: has(c.FATTR_FH) ? u64(words, offset + 8) : -1, changes }
}

function time(
  words: Uint32Array,
  seconds: number,
  nanoseconds: number,
  given: boolean,
  now: boolean,
): Timestamp | "now" | undefined {
  if (now) return "now"
  return given ? { seconds: i64(words, seconds), nanoseconds: u32(words, nanoseconds) } : undefined
}

/** `valid` is made of the changes, and of more flags. */
export function emitSetAttrIn(set: SetAttrIn, words: Uint32Array, offset: number): void {
  const { handle, changes } = set
  words.fill(0, offset >>> 2, (offset + SETATTR_IN) >>> 2)
  let { valid } = set
  const put = (flag: number, value: number | undefined, write: (value: number) => void): void => {
    if (value === undefined) return
    valid |= flag
    write(value)
  }
  put(c.FATTR_FH, handle < 0 ? undefined : handle, (value) => putU64(words, offset + 8, value))
  put(c.FATTR_SIZE, changes.size, (value) => putU64(words, offset + 16, value))
  put(c.FATTR_MODE, changes.mode, (value) => putU32(words, offset + 68, value))
  put(c.FATTR_UID, changes.uid, (value) => putU32(words, offset + 76, value))
  put(c.FATTR_GID, changes.gid, (value) => putU32(words, offset + 80, value))
  const stamp = (at: Timestamp | "now" | undefined, flag: number, now: number, second: number): void => {
    if (at === undefined) return
    valid |= at === "now" ? flag | now : flag
    if (at === "now") return
    putI64(words, offset + second, at.seconds)
    // atime is at 32 and its nanoseconds at 56, mtime at 40 and 60.
    putU32(words, offset + 56 + (second - 32) / 2, at.nanoseconds)
  }
  stamp(changes.access, c.FATTR_ATIME, c.FATTR_ATIME_NOW, 32)
  stamp(changes.modify, c.FATTR_MTIME, c.FATTR_MTIME_NOW, 40)
  putU32(words, offset, valid)
}

/** | blocks u64 | bfree u64 | bavail u64 | files u64 | ffree u64 | bsize u32 | namelen u32 | frsize u32 | 0 × 7 | */
export const STATFS_OUT = 80

export function emitStatfs(usage: Usage, words: Uint32Array, offset: number): void {
  putU64(words, offset, usage.blocks)
  putU64(words, offset + 8, usage.freeBlocks)
  putU64(words, offset + 16, usage.availableBlocks)
  putU64(words, offset + 24, usage.files)
  putU64(words, offset + 32, usage.freeFiles)
  putU32(words, offset + 40, usage.blockSize)
  putU32(words, offset + 44, usage.nameMax)
  putU32(words, offset + 48, usage.blockSize)
  words.fill(0, (offset + 52) >>> 2, (offset + STATFS_OUT) >>> 2)
}

export function parseStatfs(words: Uint32Array, offset: number, into: Usage): void {
  into.blocks = u64(words, offset)
  into.freeBlocks = u64(words, offset + 8)
  into.availableBlocks = u64(words, offset + 16)
  into.files = u64(words, offset + 24)
  into.freeFiles = u64(words, offset + 32)
  into.blockSize = u32(words, offset + 40)
  into.nameMax = u32(words, offset + 44)
}
