/**
 * Files and directories that only their owner may read, and that are whole or not there.
 *
 * @module
 */
import { randomBytes } from "node:crypto"
import { existsSync, lstatSync, rmSync, type Stats } from "node:fs"
import { chmod, lstat, mkdir, open, realpath, rename, rm, stat } from "node:fs/promises"
import { dirname, join } from "node:path"
import { type ErrorCode, SidecarError } from "@skep/contract"

/** sun_path of macOS, the smaller of the two; Linux has 108. */
export const SOCKET_PATH_MAX = 104

/** Writes a temporary sibling, syncs it and renames it into place: readers see the old file or the new one. */
export async function writeFileWhole(
  path: string,
  content: string | Uint8Array,
  mode = 0o600,
): Promise<void> {
  const temporary = join(dirname(path), `.${randomBytes(6).toString("hex")}.tmp`)
  try {
    const file = await open(temporary, "wx", mode)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw describeFileError("write", path, error)
  }
}

const STICKY = 0o1000
const FOR_OTHERS = 0o077
const ROOT = 0

/**
 * Creates the directory with mode 0700, with those above it that are missing. One that is there must be this user's, and so
 * must a link that leads to it; one that others may enter is closed to them if it lies inside a directory of this user, and
 * refused where it may be theirs as well: a sticky one, a mount point, one that lies anywhere else. Root owns the system's
 * directories too, so for root the one around it must be closed already. Refusals are "permission-denied" with what to do.
 */
export async function privateDirectory(path: string): Promise<void> {
  try {
    await makeDirectories(path)
    const own = process.getuid?.()
    if ((await lstat(path)).uid !== own) throw refused(path, "it belongs to another user", ELSEWHERE)
    const real = await realpath(path) // a link of this user's own may lead to where there is more room
    const found = await stat(real)
    if (!found.isDirectory())
      throw new SidecarError("exists", `Cannot use "${path}" as a directory: it is none`, {
        next: "Move it away, or choose another directory",
      })
    if (found.uid !== own) throw refused(path, `"${real}" belongs to another user`, ELSEWHERE)
    if ((found.mode & FOR_OTHERS) === 0) return
    if (mayBeShared(found, await stat(dirname(real)))) {
      const next = `${ELSEWHERE}; if nobody else needs it: chmod 700 ${path}`
      throw refused(path, "other users may enter it", next)
    }
    await chmod(real, 0o700)
  } catch (error) {
    throw describeFileError("create the directory", path, error)
  }
}

/** Node's own recursive mkdir never ends where a file system that is there says ENOENT, as /proc does (Node 20.20). */
async function makeDirectories(path: string): Promise<void> {
  try {
    await mkdir(path, 0o700)
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === "EEXIST") return
    const around = dirname(path)
    if (errno !== "ENOENT" || around === path) throw error
    if (existsSync(around)) {
      const reason = `Cannot create the directory "${path}": "${around}" takes none`
      throw new SidecarError("permission-denied", reason, { cause: error, next: ELSEWHERE })
    }
    await makeDirectories(around)
    await mkdir(path, 0o700)
  }
}

const ELSEWHERE = "Set SKEP_HOME and SKEP_RUN to directories for Skep alone"

function refused(path: string, reason: string, next: string): SidecarError {
  return new SidecarError("permission-denied", `Cannot keep "${path}" private: ${reason}`, { next })
}

function mayBeShared(directory: Stats, around: Stats): boolean {
  if ((directory.mode & STICKY) !== 0 || directory.dev !== around.dev) return true
  return around.uid !== directory.uid || (around.uid === ROOT && (around.mode & FOR_OTHERS) !== 0)
}

/** Throws "path-too-long" for a socket path that not every kernel takes. */
export function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path)
  if (bytes <= SOCKET_PATH_MAX) return
  throw new SidecarError(
    "path-too-long",
    `Cannot use the socket path "${path}": it has ${bytes} bytes, a socket path may have ${SOCKET_PATH_MAX}`,
    { next: "Set SKEP_RUN to a short directory, such as /tmp/skep" },
  )
}

/**
 * Removes the socket that a process which was killed has left at `path`; only who holds the lock of that path may call it. Throws "exists" where
 * anything but a socket is there.
 */
export function removeStaleSocket(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket())
    throw new SidecarError(
      "exists",
      `Cannot listen on "unix:${path}": something that is no socket is there`,
      {
        next: "Move it away, or choose another path",
      },
    )
  rmSync(path, { force: true })
}

interface Refusal {
  readonly code: ErrorCode
  readonly reason: string
  readonly next: string
}

const NO_SPACE: Refusal = {
  code: "disk-full",
  reason: "no space is left on the disk",
  next: "Free some space there, then run the command again",
}
const NOT_ALLOWED: Refusal = {
  code: "permission-denied",
  reason: "permission denied",
  next: "Make it writable for this user, or set SKEP_HOME to a directory that is",
}
const IN_THE_WAY: Refusal = {
  code: "exists",
  reason: "something else is in its place",
  next: "Move it away, or set SKEP_HOME to another directory",
}
const REFUSALS: ReadonlyMap<string, Refusal> = new Map([
  ["ENOSPC", NO_SPACE],
  ["EDQUOT", NO_SPACE],
  ["EACCES", NOT_ALLOWED],
  ["EPERM", NOT_ALLOWED],
  ["EROFS", NOT_ALLOWED],
  ["ENOTDIR", IN_THE_WAY],
  ["EEXIST", IN_THE_WAY],
])

/** Turns a file-system error into one sentence with a code; anything else is returned as it was. */
export function describeFileError(action: string, path: string, error: unknown): unknown {
  const errno = errnoOf(error)
  const refusal = errno === undefined ? undefined : REFUSALS.get(errno)
  if (refusal === undefined) return error
  const { code, reason, next } = refusal
  return new SidecarError(code, `Cannot ${action} "${path}": ${reason} (${errno})`, { cause: error, next })
}

/** The errno name of a system error, such as "ENOENT". */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined
}
