/**
 * Running programs of the host, and finding those that run.
 *
 * @module
 */
import { execFile } from "node:child_process"
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import { errnoOf } from "@skep/runtime/files"
import { sameFile } from "./same-file.ts"
import type { RunProgram } from "./server.ts"

const PROGRAM_MS = 30_000
const PATHS = "/usr/sbin:/sbin:/usr/bin:/bin"

export const runProgram: RunProgram = (file, args, signal) =>
  new Promise((resolve, reject) => {
    const options = { timeout: PROGRAM_MS, env: { PATH: PATHS, LC_ALL: "C" }, cwd: "/", signal }
    execFile(file, [...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else if (signal.aborted) reject(signal.reason)
      else reject(refused(file, args, error, stderr))
    })
  })

function refused(file: string, args: readonly string[], error: Error, stderr: string): SidecarError {
  if (errnoOf(error) === "ENOENT")
    return new SidecarError("host-program-missing", `Cannot run ${file}: it is not installed`, {
      cause: error,
    })
  const [first = "", ...detail] = (stderr.trim() || error.message).split("\n")
  return new SidecarError("unsupported", `Cannot run "${[file, ...args].join(" ")}": ${first}`, {
    cause: error,
    detail,
  })
}

export interface HostProcess {
  readonly pid: number
  readonly words: readonly string[]
  /** A path as that process sees it, seen from here. */
  seen(path: string): string
  /** Whether it has this file open, seen from here; false too where this user may not know. */
  hasOpen(path: string): boolean
}

/** Processes of that name, by Linux' /proc. */
export function processesNamed(name: string, root: string): readonly HostProcess[] {
  const proc = join(root, "proc")
  const text = (path: string): string => {
    try {
      return readFileSync(path, "utf8")
    } catch {
      return "" // it has ended
    }
  }
  return names(proc)
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      const directory = join(proc, entry)
      if (text(join(directory, "comm")).trim() !== name) return []
      const words = text(join(directory, "cmdline")).split("\0").slice(0, -1)
      const own = rootOf(directory)
      const seen = (path: string): string => (own === "/" ? join(root, path) : join(directory, "root", path))
      const hasOpen = (path: string): boolean =>
        names(join(directory, "fd")).some((fd) => sameFile(join(directory, "fd", fd), path))
      return [{ pid: Number(entry), words, seen, hasOpen }]
    })
}

function rootOf(directory: string): string {
  try {
    return readlinkSync(join(directory, "root"))
  } catch {
    return "/" // of another user, who most likely sees what everybody sees
  }
}

/** None where it cannot be read. */
export function names(path: string): readonly string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}
