/**
 * The step that needs root: checks, replaces the file at once and as a whole, tells the kernel's server, and takes all of it back when that refuses.
 *
 * 1. Under a lock, the file is read; it must be a regular one, not a link.
 * 2. The new content goes beside it, with its owner and mode, and is checked there (`nfsd -F FILE checkexports`; nfs-utils has no check: what
 *    `exportfs -ra` refuses is taken back).
 * 3. The old content is kept as `exports.skep-backup`; the file is still what was read; the new one is renamed over it.
 * 4. `nfsd update` (`nfsd enable`, `launchctl kickstart` where it does not run), or `exportfs -ra`.
 *
 * @module
 */
import { lstat, mkdir, open, readFile, rename, rm } from "node:fs/promises"
import { basename, dirname, join } from "node:path"
import { SidecarError } from "@skep/contract"
import { describeFileError, errnoOf } from "@skep/runtime/files"
import { waitForLock } from "@skep/runtime/lock"
import { type Plan, planExports, planRemoval, targetPath } from "./plan.ts"
import type { ExportRequest } from "./request.ts"
import { type ExportsSystem, otherFiles, readExportsFile, realDirectories } from "./system.ts"

export interface Applied {
  readonly plan: Plan
  /** Whether the kernel's server runs; what is exported is served only then. */
  readonly serving: boolean
  /** Directories as they have to be mounted: macOS has other names for some. */
  readonly paths: readonly string[]
  /** What is wrong with the lines of others, which exportfs says each time. */
  readonly warnings: readonly string[]
}

const LOCK_MS = 30_000
const TRIES = 3
const FILE_MODE = 0o644
const PERMISSIONS = 0o7777

/** Exports for a machine what is wanted, and nothing else. Does nothing where that is so already. */
export async function applyExports(
  asked: ExportRequest,
  system: ExportsSystem,
  signal: AbortSignal,
): Promise<Applied> {
  const request = realDirectories(asked, system.platform)
  const done = await underLock(system, signal, () =>
    changed(system, request.machine, (input) => planExports(request, input)),
  )
  return { ...done, serving: await isServing(system), paths: request.directories.map(({ path }) => path) }
}

/** Takes back what is exported for a machine. */
export async function removeExports(
  machine: string,
  system: ExportsSystem,
  signal: AbortSignal,
): Promise<Applied> {
  const done = await underLock(system, signal, () =>
    changed(system, machine, ({ target }) => planRemoval(machine, system.platform, target)),
  )
  return { ...done, serving: await isServing(system), paths: [] }
}

/** What `applyExports` would do; writes nothing and needs no root. */
export async function previewExports(asked: ExportRequest, system: ExportsSystem): Promise<Plan> {
  const request = realDirectories(asked, system.platform)
  return planExports(request, await inputOf(system, request.machine))
}

async function underLock<T>({ etc }: ExportsSystem, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  using _lock = await waitForLock(join(etc, ".exports.skep-lock"), LOCK_MS, signal)
  return await work()
}

type Input = Parameters<typeof planExports>[1]

async function inputOf(system: ExportsSystem, machine: string): Promise<Input> {
  const { platform, deviceOf } = system
  const target = await readExportsFile(targetPath(platform, system.etc, machine))
  return { platform, deviceOf, target, others: await otherFiles(system, machine) }
}

async function changed(
  system: ExportsSystem,
  machine: string,
  planned: (input: Input) => Plan,
): Promise<Pick<Applied, "plan" | "warnings">> {
  for (let attempt = 1; ; attempt++) {
    const input = await inputOf(system, machine)
    const before = input.target.content
    const plan = planned(input)
    if (!plan.changed) return { plan, warnings: [] }
    const file = await inspect(plan.path)
    if (file === undefined) await mkdir(dirname(plan.path), { recursive: true, mode: 0o755 })
    if (!(await replaced(system, plan, { before, file }))) {
      // Somebody else, who knows nothing of our lock, has written it since.
      if (attempt < TRIES) continue
      throw new SidecarError("busy", `Cannot change "${plan.path}": another program writes it all the time`)
    }
    return { plan, warnings: await reloadOrTakeBack(system, plan, { before, file }) }
  }
}

interface FileFacts {
  readonly uid: number
  readonly gid: number
  readonly mode: number
}

interface Before {
  readonly before: string
  /** Undefined where there was no file. */
  readonly file: FileFacts | undefined
}

async function inspect(path: string): Promise<FileFacts | undefined> {
  const found = await lstat(path).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return undefined
    throw error
  })
  if (found === undefined || found.isFile()) return found
  const what = found.isSymbolicLink() ? "a symbolic link" : "no regular file"
  throw new SidecarError("unsupported", `Cannot change "${path}": it is ${what}`, {
    next: "Put a regular file in its place",
  })
}

/** False when the file is not what it was read as. */
async function replaced(system: ExportsSystem, plan: Plan, { before, file }: Before): Promise<boolean> {
  const { path, content } = plan
  // Its name ends in nothing that exportfs reads.
  const temporary = join(dirname(path), `.${basename(path)}.skep-new`)
  try {
    await rm(temporary, { force: true })
    await writeLike(temporary, content, file)
    if (system.platform === "macos") await system.run("nfsd", ["-F", temporary, "checkexports"])
    if ((await readExportsFile(path)).content !== before) return false
    if (system.platform === "macos" && file !== undefined) await keepBackup(path, before, file)
    if (content === "" && system.platform === "linux") await rm(path, { force: true })
    else await rename(temporary, path)
    await syncDirectory(dirname(path))
    return true
  } catch (error) {
    throw describeFileError("change", path, error)
  } finally {
    await rm(temporary, { force: true })
  }
}

/** With the owner and mode of the one that it replaces. */
async function writeLike(path: string, content: string, like: FileFacts | undefined): Promise<void> {
  const file = await open(path, "wx", 0o600)
  try {
    await file.writeFile(content, "latin1")
    if (like !== undefined) await file.chown(like.uid, like.gid)
    await file.chmod(like === undefined ? FILE_MODE : like.mode & PERMISSIONS)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function keepBackup(path: string, before: string, like: FileFacts): Promise<void> {
  const backup = `${path}.skep-backup`
  const temporary = `${backup}.new`
  await rm(temporary, { force: true })
  await writeLike(temporary, before, like)
  await rename(temporary, backup)
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r")
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

async function reloadOrTakeBack(
  system: ExportsSystem,
  plan: Plan,
  { before, file }: Before,
): Promise<readonly string[]> {
  try {
    return await reload(system, plan.path)
  } catch (error) {
    const [temporary, path] = [join(dirname(plan.path), `.${basename(plan.path)}.skep-old`), plan.path]
    if (file === undefined) await rm(path, { force: true })
    else {
      await rm(temporary, { force: true })
      await writeLike(temporary, before, file)
      await rename(temporary, path)
    }
    await reload(system, plan.path).catch(() => undefined) // the reason is the first one
    throw error
  }
}

/** Tells the server, if it runs; one that does not will read the file when it starts. Returns what it says of others' lines. */
async function reload(system: ExportsSystem, own: string): Promise<readonly string[]> {
  if (system.platform === "macos") {
    if (await isServing(system)) await system.run("nfsd", ["update"])
    else await enable(system)
    return []
  }
  try {
    await system.run("exportfs", ["-ra"])
    return []
  } catch (error) {
    // One wrong line anywhere, and it fails; but all the right ones are exported.
    const said = error instanceof SidecarError ? [error.message, ...error.detail] : []
    if (said.length === 0 || said.some((line) => line.includes(basename(own)))) throw error
    if (error instanceof SidecarError && error.code === "host-program-missing") throw error
    return said.filter((line) => line !== "")
  }
}

/** launchd's service, by the program for it; where that cannot, by launchd itself. */
async function enable({ run }: ExportsSystem): Promise<void> {
  try {
    await run("nfsd", ["enable"])
  } catch (error) {
    await run("launchctl", ["kickstart", "-k", "system/com.apple.nfsd"]).catch(() => {
      throw error // the reason is the first one
    })
  }
}

async function isServing({ platform, run }: ExportsSystem): Promise<boolean> {
  if (platform === "macos") {
    return await run("nfsd", ["status"]).then(
      (said) => /nfsd is running/.test(said),
      () => false,
    )
  }
  // The number of its threads; the file is there only where the kernel has the server.
  const threads = await readFile("/proc/fs/nfsd/threads", "utf8").catch(() => "0")
  return Number(threads) > 0
}
