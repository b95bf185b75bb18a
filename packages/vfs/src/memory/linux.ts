/**
 * Numbers of Linux that files are described with and no system call of ours needs: linux/stat.h, linux/limits.h, dirent.h.
 *
 * @module
 */
import * as sys from "@skep/loop/sys"

export const S_ISUID = 0o4000
export const S_ISGID = 0o2000
export const S_ISVTX = 0o1000
export const S_IXGRP = 0o010
/** All that chmod(2) changes. */
export const PERMISSIONS = 0o7777

/** Bytes of the longest name, of the longest target of a link, of the longest name and value of an extended attribute. */
export const NAME_MAX = 255
export const TARGET_MAX = 4095
export const XATTR_NAME_MAX = 255
export const XATTR_SIZE_MAX = 65_536

/** `DT_…` of a mode. */
export function directoryType(mode: number): number {
  return (mode & sys.S_IFMT) >> 12
}
