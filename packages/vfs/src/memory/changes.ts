/**
 * What `setAttributes` does to a file in memory: notify_change() of Linux (fs/attr.c).
 *
 * @module
 */
import * as sys from "@skep/loop/sys"
import type { Changes, Timestamp } from "../filesystem.ts"
import { type Inode, isFile, setPermissions } from "./inode.ts"
import { PERMISSIONS, S_ISGID, S_ISUID, S_IXGRP } from "./linux.ts"
import { SIZE_MAX } from "./sparse-data.ts"
import type { Tree } from "./tree.ts"

const BILLION = 1_000_000_000

/** Checks all, then changes all: a refusal leaves the file as it was. */
export function apply(tree: Tree, inode: Inode, changes: Changes): number {
  const refused = tree.writable || check(inode, changes)
  if (refused < 0) return refused
  const { uid, gid, mode, size } = changes
  if (uid !== undefined || gid !== undefined) changeOwner(inode, uid ?? inode.uid, gid ?? inode.gid)
  if (mode !== undefined) setPermissions(inode, mode & PERMISSIONS)
  if (size !== undefined && isFile(inode)) inode.content.data.resize(size)
  if (Object.values(changes).some((change) => change !== undefined))
    changeTimes(inode, changes, tree.options.clock())
  return 0
}

function changeTimes(inode: Inode, { size, access, modify }: Changes, now: Timestamp): void {
  if (size !== undefined) inode.modify = now
  if (access !== undefined) inode.access = access === "now" ? now : access
  if (modify !== undefined) inode.modify = modify === "now" ? now : modify
  inode.change = now
}

function check(inode: Inode, { mode, size, access, modify }: Changes): number {
  if (!isTime(access) || !isTime(modify)) return -sys.EINVAL
  if (mode !== undefined && inode.content.kind === "link") return -sys.EOPNOTSUPP
  return size === undefined ? 0 : checkSize(inode, size)
}

function checkSize(inode: Inode, size: number): number {
  if (inode.content.kind === "directory") return -sys.EISDIR
  if (!isFile(inode) || size < 0) return -sys.EINVAL
  return size > SIZE_MAX ? -sys.EFBIG : 0
}

function isTime(time: Timestamp | "now" | undefined): boolean {
  return typeof time !== "object" || (time.nanoseconds >= 0 && time.nanoseconds < BILLION)
}

/** chown(2): a file that changes hands does not go on running as whom it belonged to. */
function changeOwner(inode: Inode, uid: number, gid: number): void {
  inode.uid = uid
  inode.gid = gid
  if (!isFile(inode)) return
  const group = (inode.mode & S_IXGRP) !== 0 ? S_ISGID : 0
  setPermissions(inode, inode.mode & PERMISSIONS & ~(S_ISUID | group))
}
