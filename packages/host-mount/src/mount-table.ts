/**
 * What is mounted where, from `/proc/self/mountinfo` (proc(5)), and the way out of it: fusermount(1), umount(8) for root.
 *
 * A directory whose file system does not answer must not be touched: everything here that asks the file system itself has a deadline.
 *
 * @module
 */
import { execFile } from "node:child_process"
import { mkdir, readdir, readFile, realpath, stat } from "node:fs/promises"
import { basename, dirname, join, resolve } from "node:path"
import { SidecarError } from "@skep/contract"
import { withDeadline } from "@skep/runtime/deadline"
import { describeFileError, errnoOf } from "@skep/runtime/files"
import { SUBTYPE } from "./fuse-native.ts"
import { PROGRAM_PATHS } from "./permission.ts"

export interface MountEntry {
  readonly directory: string
  readonly fileSystem: string
  readonly source: string
}

const TABLE = "/proc/self/mountinfo"
const ANSWER_MS = 3000
const UNMOUNT_MS = 10_000

/** Lines of mountinfo. What has not its form is left out. */
export function parseMountTable(text: string): readonly MountEntry[] {
  return text.split("\n").flatMap((line) => {
    const [left = "", right = ""] = line.split(" - ")
    const directory = left.split(" ")[4]
    const [fileSystem, source] = right.split(" ")
    if (directory === undefined || fileSystem === undefined || source === undefined) return []
    return [{ directory: unescape(directory), fileSystem, source: unescape(source) }]
  })
}

/** Space, tab, newline and backslash are octal there. */
function unescape(word: string): string {
  return word.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
}

export async function mountsHere(): Promise<readonly MountEntry[]> {
  // Bytes, since the kernel escapes but four of them.
  return parseMountTable(await readFile(TABLE, "utf8"))
}

/** What is mounted on the directory, the uppermost. */
export async function mountOn(directory: string): Promise<MountEntry | undefined> {
  return (await mountsHere()).findLast((entry) => entry.directory === directory)
}

export function isOurs({ fileSystem }: MountEntry): boolean {
  return fileSystem === `fuse.${SUBTYPE}`
}

/** The directory without links above it. It is not asked itself: what is mounted there may be dead. */
export async function canonicalDirectory(directory: string): Promise<string> {
  const path = resolve(directory)
  if (path === "/") return path
  try {
    return join(await realpath(dirname(path)), basename(path))
  } catch (error) {
    if (errnoOf(error) !== "ENOENT" && errnoOf(error) !== "ENOTDIR") throw error
    throw new SidecarError("not-found", `Cannot find the directory "${dirname(path)}"`, { cause: error })
  }
}

/**
 * Makes a directory fit to mount on: unmounts what a killed process of ours has left, creates the last part where it is missing. Throws "exists" where
 * something is mounted or in it, "bad-options" for what is no directory.
 */
export async function prepareDirectory(directory: string, signal: AbortSignal): Promise<void> {
  const there = await mountOn(directory)
  if (there !== undefined) await removeDead(directory, there, signal)
  try {
    await mkdir(directory, { mode: 0o700 })
    return
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw describeFileError("create the directory", directory, error)
  }
  const entries = await readdir(directory).catch((error: unknown) => {
    if (errnoOf(error) !== "ENOTDIR") throw describeFileError("use the directory", directory, error)
    throw new SidecarError("bad-options", `Cannot mount on "${directory}": it is no directory`, {
      cause: error,
    })
  })
  if (entries.length === 0) return
  throw new SidecarError("exists", `Cannot mount on "${directory}": it is not empty`, {
    next: "Name an empty directory, or one that is not there yet",
  })
}

async function removeDead(directory: string, there: MountEntry, signal: AbortSignal): Promise<void> {
  const inUse = new SidecarError(
    "exists",
    `Cannot mount on "${directory}": ${there.source} is mounted there`,
    {
      next: isOurs(there) ? `Unmount it first: skep unmount ${directory}` : "Choose another directory",
    },
  )
  if (!isOurs(there) || !(await isDead(directory, signal))) throw inUse
  await unmountLazily(directory)
}

/** Whether the process behind it has ended: "Transport endpoint is not connected". One that does not answer is not dead. */
async function isDead(directory: string, signal: AbortSignal): Promise<boolean> {
  try {
    await withDeadline(`look at "${directory}"`, ANSWER_MS, signal, () => stat(directory))
    return false
  } catch (error) {
    return errnoOf(error) === "ENOTCONN"
  }
}

/** Throws "busy" while programs use it. */
export async function unmount(directory: string): Promise<void> {
  await unmountWith(directory, ["-u"], [])
}

/** At once; who still uses it gets errors. Nothing happens where nothing is mounted. */
export async function unmountLazily(directory: string): Promise<void> {
  await unmountWith(directory, ["-u", "-z"], ["-l"])
}

async function unmountWith(
  directory: string,
  fuse: readonly string[],
  root: readonly string[],
): Promise<void> {
  const words: string[] = []
  const programs: [string, readonly string[]][] = [
    ["fusermount3", fuse],
    ["fusermount", fuse],
  ]
  if (process.getuid?.() === 0) programs.push(["umount", root])
  for (const [program, flags] of programs) {
    const said = await run(program, [...flags, "--", directory])
    if (said === undefined || (await mountOn(directory)) === undefined) return
    if (/busy/i.test(said)) {
      throw new SidecarError("busy", `Cannot unmount "${directory}": a program uses it`, {
        next: `End what works in there, or: skep unmount --force ${directory}`,
        detail: [said],
      })
    }
    words.push(said)
  }
  throw new SidecarError("permission-denied", `Cannot unmount "${directory}": ${words.at(-1) ?? ""}`, {
    detail: words,
    next: "Is fusermount installed? apt-get install fuse3",
  })
}

/** Undefined when it has done its work; else what it said. */
function run(program: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((done) => {
    // Not in that directory, which it may be asked to leave.
    const options = { timeout: UNMOUNT_MS, cwd: "/", env: { PATH: PROGRAM_PATHS, LC_ALL: "C" } }
    execFile(program, [...args], options, (error, _out, stderr) => {
      done(error === null ? undefined : stderr.trim() || error.message)
    })
  })
}
