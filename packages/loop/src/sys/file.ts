/**
 * Descriptors and files: thin functions that return a number or `-errno`, and make an interrupted call again.
 *
 * @module
 */
import * as c from "./constants.ts"
import { libc } from "./libc.ts"
import { interrupted, outcome } from "./outcome.ts"

/** Opens a file, close-on-exec. */
export function open(path: string, flags: number, mode = 0): number {
  let n = libc.open(path, flags | c.O_CLOEXEC, mode)
  while (interrupted(n)) n = libc.open(path, flags | c.O_CLOEXEC, mode)
  return outcome(n)
}

export function read(fd: number, address: number, length: number): number {
  let n = libc.read(fd, address, length)
  while (interrupted(n)) n = libc.read(fd, address, length)
  return outcome(n)
}

export function write(fd: number, address: number, length: number): number {
  let n = libc.write(fd, address, length)
  while (interrupted(n)) n = libc.write(fd, address, length)
  return outcome(n)
}

export function pread(fd: number, address: number, length: number, offset: number): number {
  let n = libc.pread(fd, address, length, offset)
  while (interrupted(n)) n = libc.pread(fd, address, length, offset)
  return outcome(n)
}

export function pwrite(fd: number, address: number, length: number, offset: number): number {
  let n = libc.pwrite(fd, address, length, offset)
  while (interrupted(n)) n = libc.pwrite(fd, address, length, offset)
  return outcome(n)
}

/** `iovecs` is the address of `count` struct iovec: see `Iovecs`. */
export function readv(fd: number, iovecs: number, count: number): number {
  let n = libc.readv(fd, iovecs, count)
  while (interrupted(n)) n = libc.readv(fd, iovecs, count)
  return outcome(n)
}

export function writev(fd: number, iovecs: number, count: number): number {
  let n = libc.writev(fd, iovecs, count)
  while (interrupted(n)) n = libc.writev(fd, iovecs, count)
  return outcome(n)
}

export function preadv(fd: number, iovecs: number, count: number, offset: number): number {
  let n = libc.preadv(fd, iovecs, count, offset)
  while (interrupted(n)) n = libc.preadv(fd, iovecs, count, offset)
  return outcome(n)
}

export function pwritev(fd: number, iovecs: number, count: number, offset: number): number {
  let n = libc.pwritev(fd, iovecs, count, offset)
  while (interrupted(n)) n = libc.pwritev(fd, iovecs, count, offset)
  return outcome(n)
}

/** Moves bytes between a pipe and another descriptor, neither with an offset of its own. */
export function splice(from: number, to: number, length: number, flags: number): number {
  let n = libc.splice(from, 0, to, 0, length, flags)
  while (interrupted(n)) n = libc.splice(from, 0, to, 0, length, flags)
  return outcome(n)
}

export function ftruncate(fd: number, length: number): number {
  let n = libc.ftruncate(fd, length)
  while (interrupted(n)) n = libc.ftruncate(fd, length)
  return outcome(n)
}

/** Writes a struct statx (`STATX` in abi.ts) at the address `into`. */
export function statx(directory: number, path: string, flags: number, mask: number, into: number): number {
  return outcome(libc.statx(directory, path, flags, mask, into))
}

export function fcntl(fd: number, command: number, argument = 0): number {
  let n = libc.fcntl(fd, command, argument)
  while (interrupted(n)) n = libc.fcntl(fd, command, argument)
  return outcome(n)
}

/** `argument` is a number or an address, as `request` wants it. */
export function ioctl(fd: number, request: number, argument = 0): number {
  let n = libc.ioctl(fd, request, argument)
  while (interrupted(n)) n = libc.ioctl(fd, request, argument)
  return outcome(n)
}

/** The same with a structure, which the kernel reads and may write. */
export function ioctlInto(fd: number, request: number, structure: Uint8Array): number {
  let n = libc.ioctlInto(fd, request, structure)
  while (interrupted(n)) n = libc.ioctlInto(fd, request, structure)
  return outcome(n)
}

/** Never made again when interrupted: Linux has closed the descriptor by then, close(2). */
export function close(fd: number): number {
  return outcome(libc.close(fd))
}

/** A second number for the same open file, close-on-exec. */
export function dup(fd: number): number {
  return fcntl(fd, c.F_DUPFD_CLOEXEC, 0)
}

/** Sets or clears O_NONBLOCK. */
export function setNonblocking(fd: number, on: boolean): number {
  const flags = fcntl(fd, c.F_GETFL)
  if (flags < 0) return flags
  return fcntl(fd, c.F_SETFL, on ? flags | c.O_NONBLOCK : flags & ~c.O_NONBLOCK)
}

/** Writes the reading and the writing end to `into`; both close-on-exec. */
export function pipe(into: Int32Array, flags = 0): number {
  return outcome(libc.pipe2(into, flags | c.O_CLOEXEC))
}
