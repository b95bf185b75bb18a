/**
 * What happens to names in directories in memory: link, unlink, rmdir and rename as Linux has them (fs/namei.c).
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from "../filesystem.ts"
import { type DirectoryInode, type Inode, isDirectory } from "./inode.ts"
import type { Key } from "./name.ts"
import type { Tree } from "./tree.ts"

/** A name in a directory. */
export interface Spot {
  readonly directory: DirectoryInode
  readonly key: Key
}

/** What keeps a name from being made, as `-errno`; 0 where nothing does. */
export function checkFree(tree: Tree, { directory, key }: Spot): number {
  if (directory.content.entries.get(key) !== undefined) return -sys.EEXIST
  if (directory.content.dead) return -sys.ENOENT
  return tree.writable
}

/** Gives a name to an inode. A directory gets its parent. */
export function add(tree: Tree, { directory, key }: Spot, inode: Inode): void {
  directory.content.entries.set(key, inode)
  if (isDirectory(inode)) {
    inode.content.parent = directory
    inode.links = 2
    directory.links++
  } else inode.links++
  tree.touch(directory, true)
}

export function unlink(tree: Tree, { directory, key }: Spot): number {
  const inode = directory.content.entries.get(key)
  if (inode === undefined) return -sys.ENOENT
  if (tree.writable < 0) return tree.writable
  if (isDirectory(inode)) return -sys.EISDIR
  directory.content.entries.delete(key)
  tree.touch(directory, true)
  drop(tree, inode)
  return 0
}

export function removeDirectory(tree: Tree, { directory, key }: Spot): number {
  const inode = directory.content.entries.get(key)
  if (inode === undefined) return -sys.ENOENT
  if (tree.writable < 0) return tree.writable
  if (!isDirectory(inode)) return -sys.ENOTDIR
  if (inode.content.entries.size > 0) return -sys.ENOTEMPTY
  directory.content.entries.delete(key)
  directory.links--
  tree.touch(directory, true)
  drop(tree, inode)
  return 0
}

export function rename(tree: Tree, from: Spot, to: Spot, flags: number): number {
  if (!isRenameFlags(flags)) return -sys.EINVAL
  const inode = from.directory.content.entries.get(from.key)
  if (inode === undefined) return -sys.ENOENT
  const other = to.directory.content.entries.get(to.key)
  if (tree.writable < 0) return tree.writable
  const refused = checkPlaces(from, to, flags) || checkKinds(to, inode, other, flags)
  if (refused < 0) return refused
  if (inode === other) return 0
  if (flags === RENAME_EXCHANGE && other !== undefined) exchange(from, to, inode, other)
  else move(tree, { from, to, inode, other })
  for (const changed of new Set([from.directory, to.directory])) tree.touch(changed, true)
  tree.touch(inode, false)
  if (flags === RENAME_EXCHANGE && other !== undefined) tree.touch(other, false)
  return 0
}

function isRenameFlags(flags: number): boolean {
  return flags === 0 || flags === RENAME_NOREPLACE || flags === RENAME_EXCHANGE
}

/** Neither place may lie within what has the other's name: lock_rename() and what follows it in do_renameat2(). */
function checkPlaces(from: Spot, to: Spot, flags: number): number {
  const inode = from.directory.content.entries.get(from.key)
  const other = to.directory.content.entries.get(to.key)
  if (other !== undefined && flags === RENAME_NOREPLACE) return -sys.EEXIST
  if (other === undefined && flags === RENAME_EXCHANGE) return -sys.ENOENT
  if (inode !== undefined && contains(inode, to.directory)) return -sys.EINVAL
  if (other !== undefined && contains(other, from.directory))
    return flags === RENAME_EXCHANGE ? -sys.EINVAL : -sys.ENOTEMPTY
  return 0
}

function checkKinds(to: Spot, inode: Inode, other: Inode | undefined, flags: number): number {
  if (to.directory.content.dead) return -sys.ENOENT
  if (other === undefined || other === inode || flags === RENAME_EXCHANGE) return 0
  if (isDirectory(inode) && !isDirectory(other)) return -sys.ENOTDIR
  if (!isDirectory(inode) && isDirectory(other)) return -sys.EISDIR
  return isDirectory(other) && other.content.entries.size > 0 ? -sys.ENOTEMPTY : 0
}

function contains(inode: Inode, directory: DirectoryInode): boolean {
  for (let at: Inode | undefined = directory; at !== undefined; at = parentOf(at))
    if (at === inode) return true
  return false
}

function parentOf(inode: Inode): Inode | undefined {
  return isDirectory(inode) ? inode.content.parent : undefined
}

interface Move {
  readonly from: Spot
  readonly to: Spot
  readonly inode: Inode
  readonly other: Inode | undefined
}

function move(tree: Tree, { from, to, inode, other }: Move): void {
  from.directory.content.entries.delete(from.key)
  to.directory.content.entries.set(to.key, inode)
  adopt(from.directory, to.directory, inode)
  if (other === undefined) return
  if (isDirectory(other)) to.directory.links--
  drop(tree, other)
}

function exchange(from: Spot, to: Spot, inode: Inode, other: Inode): void {
  from.directory.content.entries.set(from.key, other)
  to.directory.content.entries.set(to.key, inode)
  adopt(from.directory, to.directory, inode)
  adopt(to.directory, from.directory, other)
}

function adopt(before: DirectoryInode, after: DirectoryInode, inode: Inode): void {
  if (!isDirectory(inode)) return
  inode.content.parent = after
  before.links--
  after.links++
}

/** Takes away the last name of a directory, or one of another file. */
function drop(tree: Tree, inode: Inode): void {
  if (isDirectory(inode)) {
    inode.links = 0
    inode.content.dead = true
  } else inode.links--
  tree.touch(inode, false)
  tree.settle(inode)
}
