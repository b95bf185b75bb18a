/**
 * Locks that the kernel releases when their owner dies: flock(2), by koffi. Node has no binding of its own, and a pid file
 * is no lock.
 *
 * @module
 */
import { closeSync, constants, fstatSync, openSync, statSync, unlinkSync } from "node:fs"
import { SidecarError } from "@skep/contract"
import koffi from "koffi"
import { sleep } from "./deadline.ts"
import { errnoOf } from "./files.ts"
import { writeHolder } from "./lock-holder.ts"

/** sys/file.h, the same on Linux and macOS. */
const LOCK_EX = 2
const LOCK_NB = 4
const LOCK_POLL_MS = 50

/** An exclusive lock. Releasing it removes the file; a second release does nothing. */
export interface Lock extends Disposable {
  readonly path: string
}

/**
 * Takes the lock and writes who has it, or returns undefined when another process holds it. The directory of `path` must exist. Throws "unsupported" where something
 * else has that name.
 */
export function tryLock(path: string): Lock | undefined {
  for (;;) {
    const fd = openOwn(path)
    if (flock(fd, LOCK_EX | LOCK_NB) !== 0) {
      closeSync(fd)
      return undefined
    }
    // Its former owner may have removed the file between our open and our lock: then we hold a lock on nothing.
    if (sameFile(fd, path)) {
      writeHolder(fd)
      return held(path, fd)
    }
    closeSync(fd)
  }
}

/**
 * Whoever locks may be root, in a directory that others write: what they have put there under this name is not written to. A FIFO is not waited for.
 */
function openOwn(path: string): number {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants
  let fd: number
  try {
    fd = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600)
  } catch (error) {
    if (errnoOf(error) !== "ELOOP" && errnoOf(error) !== "ENXIO") throw error
    throw notALock(path)
  }
  const facts = fstatSync(fd)
  if (facts.isFile() && facts.nlink <= 1) return fd
  closeSync(fd)
  throw notALock(path)
}

function notALock(path: string): SidecarError {
  return new SidecarError(
    "unsupported",
    `Cannot lock "${path}": it is no lock, but a link or something else that was put there`,
    {
      next: "See who made it, and remove it",
    },
  )
}

/** Waits for the lock. Rejects with the signal's reason, or with "busy" after `deadlineMs`. */
export async function waitForLock(path: string, deadlineMs: number, signal: AbortSignal): Promise<Lock> {
  const end = Date.now() + deadlineMs
  for (;;) {
    signal.throwIfAborted()
    const lock = tryLock(path)
    if (lock !== undefined) return lock
    if (Date.now() >= end) {
      throw new SidecarError(
        "busy",
        `Cannot lock "${path}": another process has held it for ${deadlineMs / 1000} s`,
      )
    }
    await sleep(LOCK_POLL_MS, signal)
  }
}

function held(path: string, fd: number): Lock {
  let released = false
  return {
    path,
    [Symbol.dispose]: () => {
      if (released) return
      released = true
      unlinkSync(path)
      closeSync(fd)
    },
  }
}

function sameFile(fd: number, path: string): boolean {
  const now = statSync(path, { throwIfNoEntry: false })
  const ours = fstatSync(fd)
  return now !== undefined && now.ino === ours.ino && now.dev === ours.dev
}

type Flock = (fd: number, operation: number) => number
let loaded: Flock | undefined

function flock(fd: number, operation: number): number {
  loaded ??= loadFlock()
  return loaded(fd, operation)
}

function loadFlock(): Flock {
  const libc = koffi.load(process.platform === "darwin" ? "libSystem.B.dylib" : "libc.so.6")
  const call: unknown = libc.func("int flock(int fd, int operation)")
  if (typeof call !== "function")
    throw new SidecarError("unsupported", "Cannot load flock from the C library")
  return (fd, operation) => Number(call(fd, operation))
}
