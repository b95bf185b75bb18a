/**
 * Reading directories in memory: `.`, `..`, then names in the order in which they were made.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { DirectoryEntry, Handle, Visit } from "../filesystem.ts"
import { DOT_COOKIE, DOT_DOT_COOKIE } from "./entries.ts"
import { type Inode, isDirectory } from "./inode.ts"
import { directoryType } from "./linux.ts"
import { nameOf } from "./name.ts"
import type { Tree } from "./tree.ts"

const DOT = nameOf(".")
const DOT_DOT = nameOf("..")
const WORD = 2 ** 32

export function readDirectory(tree: Tree, handle: Handle, cookie: bigint, visit: Visit): number {
  const open = tree.handle(handle)
  if (typeof open === "number") return open
  const { inode } = open
  if (!isDirectory(inode)) return -sys.ENOTDIR
  if (inode.content.dead) return -sys.ENOENT
  tree.touchAccess(inode)
  const entry: DirectoryEntry = { name: DOT, cookie: 0n, type: 0, inoLow: 0, inoHigh: 0 }
  const after = Number(cookie)
  if (after < DOT_COOKIE && !visit(filled(entry, DOT, DOT_COOKIE, inode))) return 0
  if (after < DOT_DOT_COOKIE) {
    const parent = inode.content.parent ?? inode
    if (!visit(filled(entry, DOT_DOT, DOT_DOT_COOKIE, parent))) return 0
  }
  inode.content.entries.after(after, (found) =>
    visit(filled(entry, nameOf(found.key), found.cookie, found.inode)),
  )
  return 0
}

function filled(entry: DirectoryEntry, name: Uint8Array, cookie: number, inode: Inode): DirectoryEntry {
  entry.name = name
  entry.cookie = BigInt(cookie)
  entry.type = directoryType(inode.mode)
  entry.inoLow = inode.ino >>> 0
  entry.inoHigh = Math.floor(inode.ino / WORD)
  return entry
}
