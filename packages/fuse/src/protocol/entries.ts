/**
 * Directories as READDIR and READDIRPLUS show them.
 *
 * ```
 * fuse_dirent      | ino u64 | off u64 | namelen u32 | type u32 | name, padded to 8 |
 * fuse_direntplus  | fuse_entry_out | fuse_dirent |
 * ```
 *
 * `off` is where to go on after the entry.
 *
 * @module
 */
import type { DirectoryEntry } from "@skep/vfs"
import { ENTRY_OUT } from "./attributes.ts"
import { big64, putBig64, putU32, u32 } from "./words.ts"

export const DIRENT = 24

/** Bytes of an entry with so long a name. */
export function direntSize(nameLength: number): number {
  return (DIRENT + nameLength + 7) & ~7
}

/** Writes an entry at `offset`, a multiple of 8. There is room. */
export function emitDirent(
  entry: DirectoryEntry,
  bytes: Uint8Array,
  words: Uint32Array,
  offset: number,
): void {
  const { name } = entry
  putU32(words, offset, entry.inoLow)
  putU32(words, offset + 4, entry.inoHigh)
  putBig64(words, offset + 8, entry.cookie)
  putU32(words, offset + 16, name.length)
  putU32(words, offset + 20, entry.type)
  const end = offset + DIRENT + name.length
  bytes.set(name, offset + DIRENT)
  bytes.fill(0, end, (end + 7) & ~7)
}

/** Where each entry of an answer begins; an answer of READDIRPLUS where `plus`. Stops at what is no entry. */
export function* entriesOf(
  words: Uint32Array,
  offset: number,
  end: number,
  plus: boolean,
): Generator<{ readonly at: number; readonly dirent: number }> {
  const head = plus ? ENTRY_OUT : 0
  for (let at = offset; at + head + DIRENT <= end; ) {
    const length = u32(words, at + head + 16)
    const next = at + head + direntSize(length)
    if (next > end) return
    yield { at, dirent: at + head }
    at = next
  }
}

/** Reads an entry; its name is a copy. */
export function parseDirent(bytes: Uint8Array, words: Uint32Array, offset: number): DirectoryEntry {
  return {
    inoLow: u32(words, offset),
    inoHigh: u32(words, offset + 4),
    cookie: big64(words, offset + 8),
    type: u32(words, offset + 20),
    name: bytes.slice(offset + DIRENT, offset + DIRENT + u32(words, offset + 16)),
  }
}
