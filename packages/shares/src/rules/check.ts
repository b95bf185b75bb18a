/**
 * Whether a directory may be shared, and at which place: what is said to whoever asks, with the next step.
 *
 * @module
 */
import { type BigIntStats, lstatSync, realpathSync, statSync } from "node:fs"
import { dirname } from "node:path"
import { type ErrorCode, type ShareRule, SidecarError } from "@skep/contract"
import { errnoOf } from "@skep/runtime"

/**
 * Places that the guest's own system is at: nothing can be put over them. The guest's part refuses the same. What is in `/tmp` is no such place: a
 * share over it would hide the temporary files of the guest's programs, and leave them without any while its directory is gone.
 */
const SYSTEM = [
  "/",
  "/bin",
  "/boot",
  "/etc",
  "/lib",
  "/lib64",
  "/sbin",
  "/tmp",
  "/usr",
  "/usr/bin",
  "/usr/lib",
  "/usr/lib64",
  "/usr/sbin",
  "/var",
  "/var/lib",
]
const STATE = ["skep", "docker", "containerd"]
/** Nor anywhere in these. */
const SYSTEM_TREES = ["/dev", "/proc", "/sys", "/run", "/var/run", ...STATE.map((name) => `/var/lib/${name}`)]

/** Which directory it is, whatever its name. */
export interface Directory {
  readonly device: number
  readonly inode: string
}

export interface Surroundings {
  /** The rules that are in place, without the one that is replaced. */
  readonly others: readonly ShareRule[]
  /** Paths that cannot be shared. */
  readonly hidden: readonly string[]
}

/** Throws "bad-options" for a target that is the guest's own or within another share's, or contains one. */
export function checkTarget({ path, target }: ShareRule, { others }: Surroundings): void {
  if (SYSTEM.includes(target) || SYSTEM_TREES.some((tree) => within(target, tree)))
    throw refused("bad-options", path, `the machine's own system is at "${target}"`, TARGET)
  for (const other of others) {
    if (within(target, other.target))
      throw refused("bad-options", path, `"${target}" is inside the share at "${other.target}"`, TARGET)
    if (within(other.target, target))
      throw refused("bad-options", path, `the share at "${other.target}" is inside "${target}"`, TARGET)
  }
}

const TARGET = "Choose another place in the machine (--target), or remove that share first"

/** Returns which directory is to be shared. Throws "not-found", "permission-denied", "bad-options". */
export function checkDirectory({ path }: ShareRule, { hidden }: Pick<Surroundings, "hidden">): Directory {
  const found = statOf(path)
  if (!found.isDirectory())
    throw refused(
      "bad-options",
      path,
      "it is not a directory",
      `Share the directory it is in: ${dirname(path)}`,
    )
  const real = realpathSync(path)
  if (real !== path)
    throw refused(
      "bad-options",
      path,
      `a symbolic link is on the way, it is "${real}"`,
      `Share "${real}" instead`,
    )
  const secret = hidden.find((place) => within(path, realOf(place)))
  if (secret !== undefined)
    throw refused(
      "permission-denied",
      path,
      `"${secret}" is never shown to machines`,
      "Share another directory",
    )
  return directoryOf(found)
}

/** Which directory is at `path` now; undefined where there is none. */
export function directoryAt(path: string): Directory | undefined {
  try {
    const found = lstatSync(path, { bigint: true })
    return found.isDirectory() ? directoryOf(found) : undefined
  } catch {
    return undefined // whatever the reason: it cannot be served now
  }
}

export function sameDirectory(left: Directory | undefined, right: Directory | undefined): boolean {
  return left?.device === right?.device && left?.inode === right?.inode
}

/** Whether `path` is `directory` or lies in it. Both are written plainly. */
export function within(path: string, directory: string): boolean {
  return path === directory || directory === "/" || path.startsWith(`${directory}/`)
}

function statOf(path: string): BigIntStats {
  try {
    return statSync(path, { bigint: true })
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === "ENOENT" || errno === "ENOTDIR")
      throw refused("not-found", path, "there is no such directory", `Make it first: mkdir -p ${path}`, error)
    if (errno === "EACCES" || errno === "EPERM")
      throw refused(
        "permission-denied",
        path,
        "this user may not look there",
        "Share a directory of this user",
        error,
      )
    throw error
  }
}

function directoryOf({ dev, ino }: BigIntStats): Directory {
  return { device: Number(dev), inode: String(ino) }
}

function realOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path // not there, or not to be seen: then by its name
  }
}

// oxlint-disable-next-line max-params -- a sentence has that many parts
function refused(code: ErrorCode, path: string, reason: string, next: string, cause?: unknown): SidecarError {
  return new SidecarError(code, `Cannot share "${path}": ${reason}`, {
    next,
    ...(cause === undefined ? {} : { cause }),
  })
}
