/**
 * What the engine asks of the host: its exports files, its disks, and the programs that check and apply. A fake root has a directory of its own.
 *
 * @module
 */
import { execFile } from "node:child_process"
import { realpathSync, statSync } from "node:fs"
import { readdir, readFile } from "node:fs/promises"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import { errnoOf } from "@skep/runtime/files"
import type { DeviceOf } from "./overlap.ts"
import { type ExportsFile, targetPath } from "./plan.ts"
import type { ExportPlatform, ExportRequest } from "./request.ts"

/** Runs a program by its words, never through a shell. Rejects with what it said. */
export type RunProgram = (file: string, args: readonly string[]) => Promise<string>

export interface ExportsSystem {
  readonly platform: ExportPlatform
  /** `/etc`. */
  readonly etc: string
  readonly run: RunProgram
  readonly deviceOf: DeviceOf
}

const PROGRAM_MS = 30_000
const PATHS = "/usr/sbin:/sbin:/usr/bin:/bin"
/** Where macOS keeps what `/Users` and its like lead to by firm links. */
const DATA_VOLUME = "/System/Volumes/Data"

/** The system that this process runs on. */
export function thisSystem(etc = "/etc"): ExportsSystem {
  return {
    platform: process.platform === "darwin" ? "macos" : "linux",
    etc,
    run: runProgram,
    deviceOf: (path) => statSync(path, { throwIfNoEntry: false })?.dev,
  }
}

function runProgram(file: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: PROGRAM_MS, env: { PATH: PATHS, LC_ALL: "C" }, cwd: "/" }
    execFile(file, [...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else if (errnoOf(error) === "ENOENT") reject(missing(file))
      else reject(refused(file, args, stderr.trim() || error.message))
    })
  })
}

function missing(file: string): SidecarError {
  const next =
    file === "exportfs" ? "apt-get install nfs-kernel-server" : "It is a part of macOS: is this one?"
  return new SidecarError("host-program-missing", `Cannot export anything: ${file} is not installed`, {
    next,
  })
}

function refused(file: string, args: readonly string[], said: string): SidecarError {
  const [first = "", ...rest] = said.split("\n")
  return new SidecarError("unsupported", `Cannot run "${[file, ...args].join(" ")}": ${first}`, {
    detail: rest,
  })
}

/** A file's content, one character for each byte; "" where there is none. */
export async function readExportsFile(path: string): Promise<ExportsFile> {
  try {
    return { path, content: await readFile(path, "latin1") }
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return { path, content: "" }
    throw error
  }
}

/** The files that the kernel's server reads beside the machine's own. */
export async function otherFiles(
  { platform, etc }: ExportsSystem,
  machine: string,
): Promise<readonly ExportsFile[]> {
  if (platform === "macos") return []
  const own = targetPath(platform, etc, machine)
  const directory = join(etc, "exports.d")
  const names = await readdir(directory).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return []
    throw error
  })
  // As exportfs(8) reads it: what begins with a dot is none.
  const paths = names
    .filter((name) => name.endsWith(".exports") && !name.startsWith("."))
    .toSorted()
    .map((name) => join(directory, name))
    .filter((path) => path !== own)
  return await Promise.all([join(etc, "exports"), ...paths].map(readExportsFile))
}

/** Directories as the kernel's server has to be told of them. Throws "not-found", "bad-options" for what is no directory or leads through links. */
export function realDirectories(request: ExportRequest, platform: ExportPlatform): ExportRequest {
  const directories = request.directories.map((directory) => {
    const { path } = directory
    const found = statSync(path, { throwIfNoEntry: false })
    if (found === undefined)
      throw new SidecarError("not-found", `Cannot export "${path}": there is no such directory`)
    if (!found.isDirectory())
      throw new SidecarError("bad-options", `Cannot export "${path}": it is no directory`)
    const real = realpathSync.native(path)
    if (real !== path) {
      throw new SidecarError("bad-options", `Cannot export "${path}": it leads through a link to "${real}"`, {
        next: `Export "${real}"`,
      })
    }
    return { ...directory, path: exportedPath(path, platform) }
  })
  return { ...request, directories }
}

/** As the kernel's server calls a directory, and a machine has to mount it. */
export function exportedPath(path: string, platform: ExportPlatform): string {
  if (platform !== "macos" || path.startsWith(`${DATA_VOLUME}/`)) return path
  const [found, data] = [path, DATA_VOLUME + path].map((name) => statSync(name, { throwIfNoEntry: false }))
  const same = found !== undefined && data !== undefined && data.ino === found.ino && data.dev === found.dev
  return same ? DATA_VOLUME + path : path
}
