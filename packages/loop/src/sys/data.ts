/**
 * What is in a file beyond plain reads and writes: holes, space, copies, what is on the device, locks.
 *
 * @module
 */
import { RLIMIT } from "./abi.ts"
import { libc } from "./libc.ts"
import { interrupted, outcome } from "./outcome.ts"

/** What is taken for a limit where there is none: /proc/sys/fs/nr_open as kernels have it. */
const DESCRIPTORS_MAX = 1048576

/** With RWF_NOWAIT: -EAGAIN where the kernel would have to wait for a device, and fewer bytes where it has some of them. */
export function preadv2(fd: number, iovecs: number, count: number, offset: number, flags: number): number {
  let n = libc.preadv2(fd, iovecs, count, offset, flags)
  while (interrupted(n)) n = libc.preadv2(fd, iovecs, count, offset, flags)
  return outcome(n)
}

export function pwritev2(fd: number, iovecs: number, count: number, offset: number, flags: number): number {
  let n = libc.pwritev2(fd, iovecs, count, offset, flags)
  while (interrupted(n)) n = libc.pwritev2(fd, iovecs, count, offset, flags)
  return outcome(n)
}

/** Offsets of directories use all 63 bits, hence the bigint. What is returned is exact below 2^53. */
export function lseek(fd: number, offset: number | bigint, whence: number): number {
  const position = Number(libc.lseek(fd, offset, whence))
  return outcome(position)
}

export function fsync(fd: number): number {
  let n = libc.fsync(fd)
  while (interrupted(n)) n = libc.fsync(fd)
  return outcome(n)
}

export function fdatasync(fd: number): number {
  let n = libc.fdatasync(fd)
  while (interrupted(n)) n = libc.fdatasync(fd)
  return outcome(n)
}

export function fallocate(fd: number, mode: number, offset: number, length: number): number {
  let n = libc.fallocate(fd, mode, offset, length)
  while (interrupted(n)) n = libc.fallocate(fd, mode, offset, length)
  return outcome(n)
}

/** `offsets` is the address of two int64: from where, and to where. The kernel moves them on. */
export function copyFileRange(from: number, to: number, offsets: number, length: number): number {
  let n = libc.copy_file_range(from, offsets, to, offsets + 8, length, 0)
  while (interrupted(n)) n = libc.copy_file_range(from, offsets, to, offsets + 8, length, 0)
  return outcome(n)
}

/** LOCK_EX and its like, flock(2). */
export function flock(fd: number, operation: number): number {
  let n = libc.flock(fd, operation)
  while (interrupted(n)) n = libc.flock(fd, operation)
  return outcome(n)
}

/** Sets this process's mask for new files; returns the former one. */
export function umask(mask: number): number {
  return libc.umask(mask)
}

/** Allows this process as many descriptors as it may have, and returns how many that are. `address` is that of `words`: four of them, to use. */
export function raiseDescriptorLimit(address: number, words: Uint32Array): number {
  const result = outcome(libc.prlimit(0, RLIMIT.files, 0, address))
  if (result < 0) return result
  // Soft and hard limit, 64 bits each; "unlimited" is all ones, and more than anybody needs.
  const [low = 0, high = 0] = words.subarray(2)
  words[0] = low
  words[1] = high
  libc.prlimit(0, RLIMIT.files, address, 0)
  return high > 0 ? DESCRIPTORS_MAX : low
}
