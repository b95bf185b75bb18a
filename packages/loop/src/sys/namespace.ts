/**
 * Namespaces of the calling thread: setns(2), unshare(2), namespaces(7).
 *
 * A thread of Node has its own network namespace if it wants, while user namespaces are for programs of one thread only.
 *
 * @module
 */
import * as c from "./constants.ts"
import { open } from "./file.ts"
import { libc } from "./libc.ts"
import { outcome } from "./outcome.ts"

/** A descriptor of the network namespace that this thread is in now. */
export function currentNamespace(): number {
  return open("/proc/thread-self/ns/net", c.O_RDONLY)
}

/** Moves this thread, and no other, to the namespace of `fd`, which is of `kind` (CLONE_NEWNET). */
export function setNamespace(fd: number, kind: number): number {
  return outcome(libc.setns(fd, kind))
}

/** Gives this thread a new namespace of each kind in `flags`. */
export function unshare(flags: number): number {
  return outcome(libc.unshare(flags))
}
