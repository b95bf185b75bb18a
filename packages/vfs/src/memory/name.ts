/**
 * Names as bytes: which ones a directory may have, and how a map keeps them.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { Name } from "../filesystem.ts"
import { NAME_MAX } from "./linux.ts"

const NUL = 0
const SLASH = 0x2f
const DOT = 0x2e

/** A name as a string of its bytes, one character each: a key, not a text. */
export type Key = string

export function keyOf(name: Name): Key {
  return Buffer.from(name.buffer, name.byteOffset, name.byteLength).toString("latin1")
}

export function nameOf(key: Key): Uint8Array {
  return Buffer.from(key, "latin1")
}

/** What is wrong with a name to look up, as `-errno`; 0 where nothing is. */
export function checkName(name: Name): number {
  if (name.length === 0) return -sys.EINVAL
  if (name.length > NAME_MAX) return -sys.ENAMETOOLONG
  return name.includes(NUL) || name.includes(SLASH) ? -sys.EINVAL : 0
}

/** The same for a name to make, take away or move: neither `.` nor `..`. */
export function checkNewName(name: Name): number {
  return isDot(name) || isDotDot(name) ? -sys.EINVAL : checkName(name)
}

export function isDot(name: Name): boolean {
  return name.length === 1 && name[0] === DOT
}

export function isDotDot(name: Name): boolean {
  return name.length === 2 && name[0] === DOT && name[1] === DOT
}
