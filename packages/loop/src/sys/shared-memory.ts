/**
 * Memory as the kernel hands it out: memfd, seals, mmap; and how long a file is. For mapped views use `Mapping`.
 *
 * @module
 */
import { STATX } from "./abi.ts"
import * as c from "./constants.ts"
import { libc } from "./libc.ts"
import { outcome } from "./outcome.ts"

const FILE_TYPE = 0o170000
const REGULAR = 0o100000

/** An anonymous file, close-on-exec and open for seals. */
export function memfdCreate(name: string): number {
  return outcome(libc.memfd_create(name, c.MFD_CLOEXEC | c.MFD_ALLOW_SEALING))
}

/** Adds `F_SEAL_*`. -EINVAL where the file takes no seals, -EPERM where they are sealed themselves or the descriptor is read-only. */
export function addSeals(fd: number, seals: number): number {
  return outcome(libc.fcntl(fd, c.F_ADD_SEALS, seals))
}

/** The `F_SEAL_*` bits; -EINVAL where the file cannot have any. */
export function getSeals(fd: number): number {
  return outcome(libc.fcntl(fd, c.F_GET_SEALS, 0))
}

/** The address, or `-errno`. No address is negative: user space ends far below 2^63. */
export function mmap(length: number, protection: number, flags: number, fd: number, offset: number): number {
  return outcome(libc.mmap(0, length, protection, flags, fd, offset))
}

/** Puts fresh zeros in place of whatever is mapped at `address`. */
export function mapZeros(address: number, length: number): number {
  const flags = c.MAP_PRIVATE | c.MAP_ANONYMOUS | c.MAP_FIXED | c.MAP_NORESERVE
  return outcome(libc.mmap(address, length, c.PROT_READ | c.PROT_WRITE, flags, -1, 0))
}

export function munmap(address: number, length: number): number {
  return outcome(libc.munmap(address, length))
}

/** `address` is at the beginning of a page. */
export function madvise(address: number, length: number, advice: number): number {
  return outcome(libc.madvise(address, length, advice))
}

/** Copies between places that do not overlap. The addresses are trusted: a wrong one ends the process. */
export function copyMemory(to: number, from: number, length: number): void {
  libc.memcpy(to, from, length)
}

/** Fills `to` from an address. */
export function copyFromMemory(to: Uint8Array, from: number): void {
  libc.memcpyInto(to, from, to.length)
}

/** Copies all of `from` to an address. */
export function copyToMemory(to: number, from: Uint8Array): void {
  libc.memcpyFrom(to, from, from.length)
}

/** The length of a regular file in bytes; -EINVAL (22) for anything else. */
export function fileSize(fd: number): number {
  const result = outcome(
    libc.statxInto(fd, "", c.AT_EMPTY_PATH, c.STATX_BASIC_STATS, new Uint8Array(stat.buffer)),
  )
  if (result < 0) return result
  if ((stat.getUint16(STATX.mode, true) & FILE_TYPE) !== REGULAR) return -22
  return Number(stat.getBigUint64(STATX.bytes, true))
}

/** Where statx writes. One a thread: nothing is kept in it between calls. */
const stat = new DataView(new ArrayBuffer(STATX.size))
