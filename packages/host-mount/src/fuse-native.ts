/**
 * fuse-native 2.2.6 (libfuse 2.9, high-level interface), which is optional: only who mounts needs it. Everything that it does not do well is made up
 * for here, so that the rest sees promises:
 *
 * - Its own timeouts answer while the operation may still use the request's memory: they are off, and what is read or written is copied.
 * - It passes the access time twice to `utimens`: the modification time is read out of the request's own memory, `fuse_thread_locals_t`.
 * - Its unmount runs a shell with the directory's name on the line: see mount-table.ts instead.
 *
 * Deviation: a change of only one of a file's times does not reach us (it sets no `utime_omit_ok`), and the kernel is told that it is done.
 *
 * @module
 */
import { createRequire } from "node:module"
import { SidecarError } from "@skep/contract"
import { negativeErrno } from "./errno.ts"
import type { Operations } from "./operations.ts"
import { findRefusal } from "./permission.ts"
import type { FileAttributes, Usage } from "./sftp.ts"

export interface FuseOptions {
  /** Nothing but letters, digits, `-` and `:`: it is a part of an option string. */
  readonly source: string
  readonly readOnly: boolean
  /** How long the kernel keeps names and attributes. */
  readonly cacheSeconds: number
}

/** The subtype: how the mount table names file systems of this program, behind `fuse.`. */
export const SUBTYPE = "skep"

const WRITE_MAX = 131_072
/** The slot of `utimens` among the handlers, and where its times lie in the request's memory, on 64-bit machines. */
const UTIMENS = { handler: 12, access: 104, modify: 112 }
const SECTOR = 512
const UNSIGNED_MAX = 0xffffffff

type Callback = (error: number, value?: unknown, more?: unknown) => void

/** What is used of an instance. */
interface Fuse {
  _handlers: ((request: Buffer, ...rest: readonly unknown[]) => void)[]
  mount(done: (error: Error | null | undefined) => void): void
}

type FuseClass = new (directory: string, operations: object, options: object) => Fuse

/** Throws "host-program-missing" with what to install. */
export function loadFuse(): FuseClass {
  try {
    const loaded: unknown = createRequire(import.meta.url)("fuse-native")
    if (typeof loaded !== "function") throw new Error("fuse-native is not what it was")
    // Its own README is all there is of a type.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    return loaded as unknown as FuseClass
  } catch (cause) {
    const reason = String(cause instanceof Error ? cause.message : cause).split("\n")[0]
    const library = /libfuse/.test(reason ?? "")
    throw new SidecarError(
      "host-program-missing",
      `Cannot mount anything: ${library ? "libfuse 2 is not installed" : "the npm package fuse-native cannot be loaded"} (${reason})`,
      { cause, next: library ? "apt-get install libfuse2 fuse3" : "Run npm install in the checkout of Skep" },
    )
  }
}

/** Resolves when the directory shows the files. */
export async function mountFuse(
  directory: string,
  operations: Operations,
  options: FuseOptions,
): Promise<void> {
  const FuseNative = loadFuse()
  const times: Times = { modifyMs: undefined }
  const seconds = options.cacheSeconds
  const words = [options.source, "big_writes", `max_write=${WRITE_MAX}`, "auto_unmount"]
  if (options.readOnly) words.push("ro")
  // Zero is fuse-native's "unset": it goes this way too.
  words.push(`entry_timeout=${seconds}`, `attr_timeout=${seconds}`, "negative_timeout=0")
  const fuse = new FuseNative(directory, handlers(operations, times), {
    timeout: false,
    subtype: SUBTYPE,
    fsname: words.join(","),
  })
  const original = fuse._handlers[UTIMENS.handler]
  if (original !== undefined)
    fuse._handlers[UTIMENS.handler] = (request, ...rest) => {
      const [, , low, high] = rest
      times.modifyMs = modificationTime(request, Number(low) + Number(high) * 2 ** 32)
      original(request, ...rest)
    }
  await new Promise<void>((resolve, reject) => {
    fuse.mount((error) => {
      if (error === null || error === undefined) resolve()
      else reject(refused(directory, error))
    })
  })
}

/** libfuse has said why on stderr, and "fuse failed" to us. */
function refused(directory: string, cause: Error): SidecarError {
  const refusal = findRefusal(directory)
  if (refusal === undefined)
    return new SidecarError("unsupported", `Cannot mount on "${directory}": ${cause.message}`, { cause })
  const { reason, next } = refusal
  return new SidecarError("permission-denied", `Cannot mount on "${directory}": ${reason}`, { cause, next })
}

interface Times {
  modifyMs: number | undefined
}

/** Undefined where the memory is not laid out as in 2.2.6: its access time is not the one that was passed. */
export function modificationTime(request: Buffer, accessMs: number): number | undefined {
  if (request.length < UTIMENS.modify + 8) return undefined
  if (request.readBigUInt64LE(UTIMENS.access) !== BigInt(accessMs)) return undefined
  const ms = request.readBigUInt64LE(UTIMENS.modify)
  return ms < BigInt(Number.MAX_SAFE_INTEGER) ? Number(ms) : undefined
}

function handlers(operations: Operations, times: Times): object {
  const done = (promise: Promise<void>, reply: Callback): void => answer(promise, reply, () => undefined)
  return {
    getattr: (path: string, reply: Callback) => answer(operations.getAttributes(path), reply, statOf),
    fgetattr: (path: string, _handle: number, reply: Callback) =>
      answer(operations.getAttributes(path), reply, statOf),
    statfs: (path: string, reply: Callback) => answer(operations.usage(path), reply, statfsOf),
    readdir: (path: string, reply: Callback) =>
      answer(operations.readDirectory(path), reply, (names) => names),
    readlink: (path: string, reply: Callback) => answer(operations.readLink(path), reply, (target) => target),
    open: (path: string, flags: number, reply: Callback) =>
      answer(operations.open(path, flags), reply, (handle) => handle),
    create: (path: string, mode: number, reply: Callback) =>
      answer(operations.create(path, mode), reply, (handle) => handle),
    release: (_path: string, handle: number, reply: Callback) => done(operations.release(handle), reply),
    ...dataHandlers(operations),
    fsync: (_path: string, _dataOnly: number, handle: number, reply: Callback) =>
      done(operations.sync(handle), reply),
    truncate: (path: string, size: number, reply: Callback) => done(operations.truncate(path, size), reply),
    ftruncate: (_path: string, handle: number, size: number, reply: Callback) =>
      done(operations.truncateOpen(handle, size), reply),
    utimens: (path: string, access: number, modify: number, reply: Callback) =>
      done(operations.changeTimes(path, access, times.modifyMs ?? modify), reply),
    chown: (path: string, uid: number, gid: number, reply: Callback) =>
      done(operations.changeOwner(path, uid, gid), reply),
    chmod: (path: string, mode: number, reply: Callback) => done(operations.changeMode(path, mode), reply),
    unlink: (path: string, reply: Callback) => done(operations.unlink(path), reply),
    rename: (from: string, to: string, reply: Callback) => done(operations.rename(from, to), reply),
    link: (from: string, to: string, reply: Callback) => done(operations.link(from, to), reply),
    symlink: (target: string, path: string, reply: Callback) => done(operations.symlink(target, path), reply),
    mkdir: (path: string, mode: number, reply: Callback) => done(operations.makeDirectory(path, mode), reply),
    rmdir: (path: string, reply: Callback) => done(operations.removeDirectory(path), reply),
  }
}

type DataHandler = (
  path: string,
  handle: number,
  memory: Buffer,
  length: number,
  ...rest: [offset: number, reply: Callback]
) => void

/** The memory is libfuse's, and only until the answer: a late one must not touch it. */
function dataHandlers(operations: Operations): { readonly read: DataHandler; readonly write: DataHandler } {
  return {
    read: (_path, handle, memory, length, ...[offset, reply]) => {
      const into = Buffer.allocUnsafe(length)
      const reading = lazily(() => operations.read(handle, into, offset))
      answer(reading, countIs(reply), (count) => {
        into.copy(memory, 0, 0, count)
        return count
      })
    },
    write: (_path, handle, memory, length, ...[offset, reply]) => {
      const from = Buffer.from(memory.subarray(0, length))
      answer(
        lazily(() => operations.write(handle, from, offset)),
        countIs(reply),
        (count) => count,
      )
    },
  }
}

/** Reads and writes answer with their count, in the place of the error. */
function countIs(reply: Callback): Callback {
  return (error, value) => reply(error === 0 && typeof value === "number" ? value : error)
}

async function lazily<T>(work: () => Promise<T>): Promise<T> {
  return await work()
}

/** Calls back once, whatever happens. */
function answer<T>(promise: Promise<T>, reply: Callback, shape: (value: T) => unknown): void {
  promise.then(
    (value) => reply(0, shape(value)),
    (error: unknown) => reply(negativeErrno(error)),
  )
}

function statOf(file: FileAttributes): object {
  return {
    mode: file.mode,
    uid: file.uid,
    gid: file.gid,
    size: file.size,
    nlink: 1,
    blksize: WRITE_MAX,
    blocks: Math.ceil(file.size / SECTOR),
    atime: file.accessSeconds * 1000,
    mtime: file.modifySeconds * 1000,
    ctime: file.modifySeconds * 1000,
  }
}

function statfsOf(usage: Usage): object {
  return {
    bsize: usage.blockSize,
    frsize: usage.fragmentSize,
    blocks: word(usage.blocks),
    bfree: word(usage.free),
    bavail: word(usage.available),
    files: word(usage.files),
    ffree: word(usage.filesFree),
    favail: word(usage.filesFree),
    fsid: 0,
    flag: 0,
    namemax: usage.nameMax,
  }
}

/** fuse-native has 32 bits for each. */
function word(value: number): number {
  return Math.min(value, UNSIGNED_MAX)
}
