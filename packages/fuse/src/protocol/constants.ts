/**
 * Numbers of the FUSE kernel protocol, 7.38: Linux, include/uapi/linux/fuse.h.
 *
 * @module
 */

export const MAJOR = 7
/** The newest minor version that is spoken here, and the oldest: the one in which virtiofs began. */
export const MINOR = 38
export const MINOR_LEAST = 31

export const ROOT_ID = 1

// enum fuse_opcode

export const LOOKUP = 1
export const FORGET = 2
export const GETATTR = 3
export const SETATTR = 4
export const READLINK = 5
export const SYMLINK = 6
export const MKNOD = 8
export const MKDIR = 9
export const UNLINK = 10
export const RMDIR = 11
export const RENAME = 12
export const LINK = 13
export const OPEN = 14
export const READ = 15
export const WRITE = 16
export const STATFS = 17
export const RELEASE = 18
export const FSYNC = 20
export const SETXATTR = 21
export const GETXATTR = 22
export const LISTXATTR = 23
export const REMOVEXATTR = 24
export const FLUSH = 25
export const INIT = 26
export const OPENDIR = 27
export const READDIR = 28
export const RELEASEDIR = 29
export const FSYNCDIR = 30
export const GETLK = 31
export const SETLK = 32
export const SETLKW = 33
export const ACCESS = 34
export const CREATE = 35
export const INTERRUPT = 36
export const BMAP = 37
export const DESTROY = 38
export const IOCTL = 39
export const POLL = 40
export const NOTIFY_REPLY = 41
export const BATCH_FORGET = 42
export const FALLOCATE = 43
export const READDIRPLUS = 44
export const RENAME2 = 45
export const LSEEK = 46
export const COPY_FILE_RANGE = 47
export const SETUPMAPPING = 48
export const REMOVEMAPPING = 49
export const SYNCFS = 50
export const TMPFILE = 51

const NAMES: readonly string[] = [
  "0 LOOKUP FORGET GETATTR SETATTR READLINK SYMLINK 7 MKNOD MKDIR UNLINK RMDIR RENAME LINK OPEN READ WRITE STATFS RELEASE 19",
  "FSYNC SETXATTR GETXATTR LISTXATTR REMOVEXATTR FLUSH INIT OPENDIR READDIR RELEASEDIR FSYNCDIR GETLK SETLK SETLKW ACCESS",
  "CREATE INTERRUPT BMAP DESTROY IOCTL POLL NOTIFY_REPLY BATCH_FORGET FALLOCATE READDIRPLUS RENAME2 LSEEK COPY_FILE_RANGE",
  "SETUPMAPPING REMOVEMAPPING SYNCFS TMPFILE",
].flatMap((line) => line.split(" "))

/** One more than the largest opcode there is a name for. */
export const OPCODES: number = NAMES.length

export function nameOfOpcode(opcode: number): string {
  return NAMES[opcode] ?? String(opcode)
}

// Flags of INIT. Those from 32 on are in `flags2`.

export const ASYNC_READ: number = 1 << 0
export const POSIX_LOCKS: number = 1 << 1
export const ATOMIC_O_TRUNC: number = 1 << 3
export const EXPORT_SUPPORT: number = 1 << 4
export const BIG_WRITES: number = 1 << 5
export const DONT_MASK: number = 1 << 6
export const FLOCK_LOCKS: number = 1 << 10
export const AUTO_INVAL_DATA: number = 1 << 12
export const DO_READDIRPLUS: number = 1 << 13
export const READDIRPLUS_AUTO: number = 1 << 14
export const ASYNC_DIO: number = 1 << 15
export const WRITEBACK_CACHE: number = 1 << 16
export const PARALLEL_DIROPS: number = 1 << 18
export const MAX_PAGES: number = 1 << 22
export const CACHE_SYMLINKS: number = 1 << 23
export const SUBMOUNTS: number = 1 << 27
export const HANDLE_KILLPRIV_V2: number = 1 << 28
export const INIT_EXT: number = 1 << 30

// fuse_setattr_in.valid

export const FATTR_MODE: number = 1 << 0
export const FATTR_UID: number = 1 << 1
export const FATTR_GID: number = 1 << 2
export const FATTR_SIZE: number = 1 << 3
export const FATTR_ATIME: number = 1 << 4
export const FATTR_MTIME: number = 1 << 5
export const FATTR_FH: number = 1 << 6
export const FATTR_ATIME_NOW: number = 1 << 7
export const FATTR_MTIME_NOW: number = 1 << 8
export const FATTR_KILL_SUIDGID: number = 1 << 11

/** fuse_getattr_in.getattr_flags */
export const GETATTR_FH: number = 1 << 0

// Of the answers to OPEN and OPENDIR.

export const FOPEN_DIRECT_IO: number = 1 << 0
export const FOPEN_KEEP_CACHE: number = 1 << 1
export const FOPEN_CACHE_DIR: number = 1 << 3
export const FOPEN_PARALLEL_DIRECT_WRITES: number = 1 << 6

// Of requests.

export const OPEN_KILL_SUIDGID: number = 1 << 0
export const WRITE_KILL_SUIDGID: number = 1 << 2
export const RELEASE_FLOCK_UNLOCK: number = 1 << 1
export const FSYNC_FDATASYNC: number = 1 << 0
export const LK_FLOCK: number = 1 << 0
/** fuse_attr.flags */
export const ATTR_SUBMOUNT: number = 1 << 0

// fcntl.h and stat.h of Linux, where the protocol uses them.

export const F_RDLCK = 0
export const F_WRLCK = 1
export const F_UNLCK = 2
export const O_ACCMODE = 3
export const O_WRONLY = 1
export const O_RDWR = 2
export const O_CREAT = 0o100
export const O_EXCL = 0o200
export const O_TRUNC = 0o1000
export const O_APPEND = 0o2000
export const O_NONBLOCK = 0o4000
export const O_DSYNC = 0o10000
export const O_SYNC = 0o4010000
export const S_IFMT = 0o170000
export const S_IFDIR = 0o040000
export const S_ISUID = 0o4000
export const S_ISGID = 0o2000
export const S_IXGRP = 0o010
