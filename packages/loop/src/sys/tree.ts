/**
 * Names below a directory's descriptor: openat(2) and its like, and what is known of a file.
 *
 * Names are given by the address of bytes that end with NUL, since they need not be text: see `Scratch`. An empty one with AT_EMPTY_PATH is the
 * descriptor's own file.
 *
 * @module
 */
import * as c from "./constants.ts"
import { libc } from "./libc.ts"
import { interrupted, outcome } from "./outcome.ts"

/** Opens a name, close-on-exec. */
export function openat(directory: number, name: number, flags: number, mode = 0): number {
  let n = libc.openat(directory, name, flags | c.O_CLOEXEC, mode)
  while (interrupted(n)) n = libc.openat(directory, name, flags | c.O_CLOEXEC, mode)
  return outcome(n)
}

/** Writes a struct statx (`STATX` in abi.ts) at the address `into`. */
export function statxAt(directory: number, name: number, flags: number, mask: number, into: number): number {
  return outcome(libc.statxAt(directory, name, flags, mask, into))
}

export function mkdirat(directory: number, name: number, mode: number): number {
  return outcome(libc.mkdirat(directory, name, mode))
}

/** `device` as `new_encode_dev` has it. */
export function mknodat(directory: number, name: number, mode: number, device: number): number {
  return outcome(libc.mknodat(directory, name, mode, device))
}

export function unlinkat(directory: number, name: number, flags: number): number {
  return outcome(libc.unlinkat(directory, name, flags))
}

export function renameat2(from: number, name: number, to: number, newName: number, flags: number): number {
  return outcome(libc.renameat2(from, name, to, newName, flags))
}

export function linkat(from: number, name: number, to: number, newName: number, flags: number): number {
  return outcome(libc.linkat(from, name, to, newName, flags))
}

export function symlinkat(target: number, directory: number, name: number): number {
  return outcome(libc.symlinkat(target, directory, name))
}

/** Writes a link's target without NUL; what does not fit is cut. */
export function readlinkat(directory: number, name: number, into: number, length: number): number {
  return outcome(libc.readlinkat(directory, name, into, length))
}

export function fchmod(fd: number, mode: number): number {
  return outcome(libc.fchmod(fd, mode))
}

export function fchmodat(directory: number, name: number, mode: number): number {
  return outcome(libc.fchmodat(directory, name, mode, 0))
}

/** 2^32 - 1 leaves an owner as it is. */
export function fchownat(directory: number, name: number, uid: number, gid: number, flags: number): number {
  return outcome(libc.fchownat(directory, name, uid, gid, flags))
}

/** `timespecs` is the address of two: access, then modification; UTIME_NOW and UTIME_OMIT in their nanoseconds. */
export function utimensat(directory: number, name: number, timespecs: number, flags: number): number {
  return outcome(libc.utimensat(directory, name, timespecs, flags))
}

/** `path` is an address. */
export function truncate(path: number, length: number): number {
  let n = libc.truncate(path, length)
  while (interrupted(n)) n = libc.truncate(path, length)
  return outcome(n)
}

/** Fills `length` bytes at `into` with struct linux_dirent64 (`DIRENT64`); 0 at the end. */
export function getdents64(fd: number, into: number, length: number): number {
  return outcome(libc.getdents64(fd, into, length))
}

/** Writes a struct statfs (`STATFS`) at the address `into`. */
export function fstatfs(fd: number, into: number): number {
  let n = libc.fstatfs(fd, into)
  while (interrupted(n)) n = libc.fstatfs(fd, into)
  return outcome(n)
}
