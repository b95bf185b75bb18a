/**
 * What differs between the processors we run on: layouts and values of the Linux C interface, 64-bit little-endian.
 *
 * ```
 * epoll_event   x86-64 (packed)   | events u32 | data u64 |              12 bytes
 *               arm64             | events u32 | pad u32 | data u64 |    16 bytes
 * ```
 *
 * @module
 */

export interface Abi {
  /** struct epoll_event, sys/epoll.h: packed on x86-64 only. */
  readonly epollEvent: { readonly size: number; readonly events: number; readonly data: number }
  /** asm/fcntl.h: arm64 keeps the values that 32-bit ARM had. */
  readonly open: {
    readonly DIRECTORY: number
    readonly NOFOLLOW: number
    readonly DIRECT: number
    readonly LARGEFILE: number
    readonly TMPFILE: number
  }
}

const X64: Abi = {
  epollEvent: { size: 12, events: 0, data: 4 },
  open: {
    DIRECTORY: 0o200000,
    NOFOLLOW: 0o400000,
    DIRECT: 0o40000,
    LARGEFILE: 0o100000,
    TMPFILE: 0o20200000,
  },
}

const ARM64: Abi = {
  epollEvent: { size: 16, events: 0, data: 8 },
  open: {
    DIRECTORY: 0o40000,
    NOFOLLOW: 0o100000,
    DIRECT: 0o200000,
    LARGEFILE: 0o400000,
    TMPFILE: 0o20040000,
  },
}

/** The table of a `process.arch`; undefined for one we do not know. */
export function abiOf(arch: string): Abi | undefined {
  if (arch === "x64") return X64
  if (arch === "arm64") return ARM64
  return undefined
}

/** struct iovec, bits/types/struct_iovec.h. */
export const IOVEC = { size: 16, base: 0, length: 8 } as const

/** struct msghdr, bits/socket.h. */
export const MSGHDR = {
  size: 56,
  name: 0,
  nameLength: 8,
  iov: 16,
  iovLength: 24,
  control: 32,
  controlLength: 40,
  flags: 48,
} as const

/** struct cmsghdr, bits/socket.h: a header, its data, padding to 8. */
export const CMSGHDR = { size: 16, length: 0, level: 8, type: 12, align: 8 } as const

/** struct rusage, bits/types/struct_rusage.h: two times of 16 bytes, 14 counts. */
export const RUSAGE = { size: 144, voluntarySwitches: 128 } as const

/** struct timespec, 64-bit time. */
export const TIMESPEC = { size: 16, seconds: 0, nanoseconds: 8 } as const

/** struct statx, linux/stat.h: the same everywhere, unlike struct stat. */
export const STATX = {
  size: 256,
  mask: 0,
  blockSize: 4,
  links: 16,
  uid: 20,
  gid: 24,
  mode: 28,
  inode: 32,
  bytes: 40,
  blocks: 48,
  accessed: 64,
  born: 80,
  changed: 96,
  modified: 112,
  rdevMajor: 128,
  rdevMinor: 132,
  deviceMajor: 136,
  deviceMinor: 140,
} as const

/** struct statfs, asm-generic/statfs.h: words of 64 bits. */
export const STATFS = {
  size: 120,
  type: 0,
  blockSize: 8,
  blocks: 16,
  freeBlocks: 24,
  availableBlocks: 32,
  files: 40,
  freeFiles: 48,
  nameMax: 64,
} as const

/** struct linux_dirent64, getdents64(2). */
export const DIRENT64 = { inode: 0, offset: 8, length: 16, type: 18, name: 19 } as const

/** struct flock, asm-generic/fcntl.h. */
export const FLOCK = { size: 32, type: 0, whence: 2, start: 8, length: 16, pid: 24 } as const

/** asm-generic/resource.h. */
export const RLIMIT = { files: 7 } as const
