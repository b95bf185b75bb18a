/**
 * Operations on what files are like: attributes, extended ones, and the file system itself.
 *
 * @module
 */
import { EFBIG, EINVAL } from "@skep/loop/sys"
import { emitStatfs, parseSetAttrIn, STATFS_OUT } from "../../protocol/attributes.ts"
import { FATTR_KILL_SUIDGID, GETATTR_FH, S_ISGID, S_ISUID, S_IXGRP } from "../../protocol/constants.ts"
import { IN_HEADER, OUT_HEADER } from "../../protocol/header.ts"
import { isExact } from "../../protocol/open.ts"
import * as others from "../../protocol/others.ts"
import { putU32, u32, u64 } from "../../protocol/words.ts"
import type { Work } from "../work.ts"

/** Of a name that is none, xattr(7). */
const ERANGE = 34
/** Of an attribute's value: xattr(7). */
const VALUE_MAX = 64 * 1024

export function getAttributes(work: Work): number {
  const flags = u32(work.words, IN_HEADER)
  const handle = (flags & GETATTR_FH) === 0 ? -1 : u64(work.words, IN_HEADER + 8)
  const result = work.fileSystem.getAttributes(work.node, handle, work.caller, work.attributes)
  return result < 0 ? result : work.answerAttributes(work.node, work.caller)
}

export function setAttributes(work: Work): number {
  const { valid, handle, changes } = parseSetAttrIn(work.words, IN_HEADER)
  if (changes.size !== undefined && !isExact(changes.size)) return -EFBIG
  const { fileSystem, node, caller, attributes } = work
  if ((valid & FATTR_KILL_SUIDGID) !== 0 && changes.mode === undefined) {
    const known = fileSystem.getAttributes(node, handle, caller, attributes)
    if (known < 0) return known
    const mode = withoutPrivileges(attributes.mode)
    if (mode !== attributes.mode) changes.mode = mode & 0o7777
  }
  const result = fileSystem.setAttributes(node, handle, changes, caller, attributes)
  return result < 0 ? result : work.answerAttributes(node)
}

/** HANDLE_KILLPRIV_V2: the bits that a write by somebody else takes away; S_ISGID without the group's execution is for locking. */
function withoutPrivileges(mode: number): number {
  return mode & ~S_ISUID & ~((mode & S_IXGRP) === 0 ? 0 : S_ISGID)
}

/** Before a write or a truncation by somebody who may not keep them. */
export function dropPrivileges(work: Work, handle: number): void {
  const { fileSystem, node, caller, attributes } = work
  if (fileSystem.getAttributes(node, handle, caller, attributes) < 0) return
  const mode = withoutPrivileges(attributes.mode)
  if (mode !== attributes.mode)
    fileSystem.setAttributes(node, handle, { mode: mode & 0o7777 }, caller, attributes)
}

export function usage(work: Work): number {
  const result = work.fileSystem.usage(work.node, work.usage)
  if (result < 0) return result
  emitStatfs(work.usage, work.outWords, OUT_HEADER)
  return STATFS_OUT
}

export function setExtended(work: Work): number {
  const size = u32(work.words, IN_HEADER)
  const flags = u32(work.words, IN_HEADER + 4)
  const at = IN_HEADER + others.SETXATTR_IN
  const name = work.nameAt(at, ERANGE)
  if (typeof name === "number") return name
  const value = at + name.length + 1
  if (size > VALUE_MAX || value + size > work.end) return work.malformed("count")
  return work.fileSystem.setExtended(work.node, name, work.bytes.subarray(value, value + size), flags)
}

export function getExtended(work: Work): number {
  const size = u32(work.words, IN_HEADER)
  const name = work.nameAt(IN_HEADER + others.GETXATTR_IN, ERANGE)
  if (typeof name === "number") return name
  const into = roomFor(work, size)
  return sized(work, size, work.fileSystem.getExtended(work.node, name, into))
}

export function listExtended(work: Work): number {
  const size = u32(work.words, IN_HEADER)
  return sized(work, size, work.fileSystem.listExtended(work.node, roomFor(work, size)))
}

export function removeExtended(work: Work): number {
  const name = work.nameAt(IN_HEADER, ERANGE)
  return typeof name === "number" ? name : work.fileSystem.removeExtended(work.node, name)
}

function roomFor(work: Work, size: number): Uint8Array {
  return work.out.subarray(OUT_HEADER, OUT_HEADER + Math.min(size, work.room, VALUE_MAX))
}

/** Whoever gives no room asks for the size. */
function sized(work: Work, size: number, result: number): number {
  if (size !== 0 || result < 0) return result
  if (work.room < others.GETXATTR_OUT) return -EINVAL
  putU32(work.outWords, OUT_HEADER, result)
  putU32(work.outWords, OUT_HEADER + 4, 0)
  return others.GETXATTR_OUT
}
