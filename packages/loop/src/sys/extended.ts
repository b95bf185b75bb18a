/**
 * Extended attributes, xattr(7). Paths, names and values are addresses; a path that ends with a symbolic link is followed, so that
 * `/proc/self/fd/N` means the file of a descriptor, one of O_PATH too.
 *
 * @module
 */
import { libc } from "./libc.ts"
import { outcome } from "./outcome.ts"

/** Returns the length; with a `length` of 0 nothing is written. */
export function getxattr(path: number, name: number, into: number, length: number): number {
  return outcome(libc.getxattr(path, name, into, length))
}

/** The same of a link itself, where the path ends with one. */
export function lgetxattr(path: number, name: number, into: number, length: number): number {
  return outcome(libc.lgetxattr(path, name, into, length))
}

/** The same of an open file; not of one of O_PATH. */
export function fgetxattr(fd: number, name: number, into: number, length: number): number {
  return outcome(libc.fgetxattr(fd, name, into, length))
}

export function setxattr(path: number, name: number, value: number, length: number, flags: number): number {
  return outcome(libc.setxattr(path, name, value, length, flags))
}

/** Names, each ended by NUL. */
export function listxattr(path: number, into: number, length: number): number {
  return outcome(libc.listxattr(path, into, length))
}

export function removexattr(path: number, name: number): number {
  return outcome(libc.removexattr(path, name))
}
