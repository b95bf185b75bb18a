/**
 * The smaller requests: making and moving names, forgetting, extended attributes, locks.
 *
 * @module
 */
import type { Lock } from "@skep/vfs"
import { F_RDLCK, F_UNLCK, F_WRLCK } from "./constants.ts"
import { big64, end64, putBig64, putEnd64, putU32, putU64, u32, u64 } from "./words.ts"

/** | mode u32 | rdev u32 | umask u32 | 0 u32 | name */
export const MKNOD_IN = 16
/** | mode u32 | umask u32 | name */
export const MKDIR_IN = 8
/** | newdir u64 | name, name */
export const RENAME_IN = 8
/** | newdir u64 | flags u32 | 0 u32 | name, name */
export const RENAME2_IN = 16
/** | oldnodeid u64 | name */
export const LINK_IN = 8
/** | nlookup u64 | */
export const FORGET_IN = 8
/** | count u32 | 0 u32 |, then | nodeid u64 | nlookup u64 | each. */
export const BATCH_FORGET_IN = 8
export const FORGET_ONE = 16
/** | flags u32 | 0 u32 | fh u64 | */
export const GETATTR_IN = 16
/** | size u32 | flags u32 | name, value: as it is without SETXATTR_EXT. */
export const SETXATTR_IN = 8
/** | size u32 | 0 u32 | and for GETXATTR the name; answered by the same where size is 0. */
export const GETXATTR_IN = 8
export const GETXATTR_OUT = 8
/** | unique u64 | */
export const INTERRUPT_IN = 8

export interface RenameIn {
  readonly newParent: number
  readonly flags: number
}

export function parseRenameIn(words: Uint32Array, offset: number): RenameIn {
  return { newParent: u64(words, offset), flags: 0 }
}

export function parseRename2In(words: Uint32Array, offset: number): RenameIn {
  return { newParent: u64(words, offset), flags: u32(words, offset + 8) }
}

export function emitRename2In(rename: RenameIn, words: Uint32Array, offset: number): void {
  putU64(words, offset, rename.newParent)
  putU32(words, offset + 8, rename.flags)
  putU32(words, offset + 12, 0)
}

/** | fh u64 | owner u64 | start u64 | end u64 | type u32 | pid u32 | lk_flags u32 | 0 u32 |; answered by the four in the middle. */
export const LOCK_IN = 48
export const LOCK_OUT = 24
const LOCK_PLACE = 16

export interface LockIn {
  readonly handle: number
  readonly owner: bigint
  readonly flags: number
  readonly lock: Lock
}

export function parseLockIn(words: Uint32Array, offset: number): LockIn | "lock-type" {
  const lock = parseLock(words, offset + LOCK_PLACE)
  if (typeof lock === "string") return lock
  return {
    handle: u64(words, offset),
    owner: big64(words, offset + 8),
    flags: u32(words, offset + 40),
    lock,
  }
}

export function emitLockIn(request: LockIn, words: Uint32Array, offset: number): void {
  putU64(words, offset, request.handle)
  putBig64(words, offset + 8, request.owner)
  emitLock(request.lock, words, offset + LOCK_PLACE)
  putU32(words, offset + 40, request.flags)
  putU32(words, offset + 44, 0)
}

const TYPES = { read: F_RDLCK, write: F_WRLCK, none: F_UNLCK } as const

export function parseLock(words: Uint32Array, offset: number): Lock | "lock-type" {
  const number = u32(words, offset + 16)
  if (number !== F_RDLCK && number !== F_WRLCK && number !== F_UNLCK) return "lock-type"
  return {
    type: number === F_RDLCK ? "read" : number === F_WRLCK ? "write" : "none",
    start: u64(words, offset),
    end: end64(words, offset + 8),
    pid: u32(words, offset + 20),
  }
}

export function emitLock(lock: Lock, words: Uint32Array, offset: number): void {
  putU64(words, offset, lock.start)
  putEnd64(words, offset + 8, lock.end)
  putU32(words, offset + 16, TYPES[lock.type])
  putU32(words, offset + 20, lock.pid)
}
