/**
 * Numbers of Linux that files are described with, the same on x86-64 and arm64: asm-generic/errno-base.h and errno.h, linux/stat.h, linux/fs.h,
 * linux/falloc.h, dirent.h. What of them system calls need too is in `@skep/loop/sys`.
 *
 * @module
 */
export const E2BIG = 7
export const EXDEV = 18
export const EISDIR = 21
export const EFBIG = 27
export const EROFS = 30
export const ERANGE = 34
export const ENOTEMPTY = 39
export const ELOOP = 40

export const S_IFMT = 0o170000
export const S_IFIFO = 0o010000
export const S_IFCHR = 0o020000
export const S_IFDIR = 0o040000
export const S_IFBLK = 0o060000
export const S_IFREG = 0o100000
export const S_IFLNK = 0o120000
export const S_IFSOCK = 0o140000

export const S_ISUID = 0o4000
export const S_ISGID = 0o2000
export const S_ISVTX = 0o1000
export const S_IXGRP = 0o010
/** All that chmod(2) changes. */
export const PERMISSIONS = 0o7777

export const O_ACCMODE = 3

export const SEEK_DATA = 3
export const SEEK_HOLE = 4

export const FALLOC_FL_KEEP_SIZE = 0x01
export const FALLOC_FL_PUNCH_HOLE = 0x02
export const FALLOC_FL_ZERO_RANGE = 0x10

/** Bytes of the longest name, of the longest target of a link, of the longest name and value of an extended attribute. */
export const NAME_MAX = 255
export const TARGET_MAX = 4095
export const XATTR_NAME_MAX = 255
export const XATTR_SIZE_MAX = 65_536

/** `DT_…` of a mode. */
export function directoryType(mode: number): number {
  return (mode & S_IFMT) >> 12
}
