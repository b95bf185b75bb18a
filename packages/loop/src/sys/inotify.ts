/**
 * What happens in directories: inotify(7).
 *
 * @module
 */
import { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_PATH } from "./constants.ts"
import { libc } from "./libc.ts"
import { interrupted, outcome } from "./outcome.ts"

// linux/inotify.h
export const IN_MODIFY = 0x2
export const IN_ATTRIB = 0x4
export const IN_CLOSE_WRITE = 0x8
export const IN_MOVED_FROM = 0x40
export const IN_MOVED_TO = 0x80
export const IN_CREATE = 0x100
export const IN_DELETE = 0x200
export const IN_Q_OVERFLOW = 0x4000
export const IN_IGNORED = 0x8000
export const IN_ONLYDIR = 0x1000000
export const IN_EXCL_UNLINK = 0x4000000
export const IN_ISDIR = 0x40000000

/** An instance that does not block. -EMFILE where the user has too many (fs.inotify.max_user_instances). */
export function inotifyCreate(): number {
  return outcome(libc.inotify_init1(O_CLOEXEC | O_NONBLOCK))
}

/**
 * Watches what a descriptor stands for, which may be O_PATH: no name is looked up, so nobody can put something else in its place. Returns the
 * watch; the same one for the same directory. -ENOSPC where the user has too many (fs.inotify.max_user_watches).
 */
export function inotifyAdd(instance: number, fd: number, mask: number): number {
  return outcome(libc.inotify_add_watch(instance, `/proc/self/fd/${fd}`, mask))
}

export function inotifyRemove(instance: number, watch: number): number {
  return outcome(libc.inotify_rm_watch(instance, watch))
}

/** An O_PATH descriptor of a directory in another; a symbolic link is none. `name` ends with NUL. */
export function openDirectoryAt(directory: number, name: Uint8Array): number {
  const flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
  let n = libc.openatNamed(directory, name, flags, 0)
  while (interrupted(n)) n = libc.openatNamed(directory, name, flags, 0)
  return outcome(n)
}
