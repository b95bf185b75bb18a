/**
 * Where the tools' files are on this host, and the reading of them. Everything is looked at below a root, so that a copy of another host can be explained too.
 *
 * @module
 */
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"
import { errnoOf } from "@skep/runtime/files"

/** A place where a tool's files may be, but that this user may not look at. */
export interface Unread {
  readonly tool: string
  readonly path: string
}

export interface HostOptions {
  /** "/" unless told. */
  readonly root?: string
  /** Home directories to look into; those of this user, and for root those of all. */
  readonly homes?: readonly string[]
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly isAlive?: (pid: number) => boolean
  /** What tells this host from others; of the system unless told. */
  readonly machineId?: string
}

const FILE_MAX = 4 << 20
const PROGRAM_MS = 5000

/** Reads files of tools. What is not there is nothing; what may not be read is remembered. */
export class Host {
  readonly root: string
  readonly homes: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly unread: Unread[] = []
  readonly #isAlive: (pid: number) => boolean
  #machineId: string | undefined
  #asked = false

  constructor({ root = "/", homes, env = {}, isAlive = isProcess, machineId }: HostOptions = {}) {
    this.root = root
    this.env = env
    this.#isAlive = isAlive
    this.#machineId = machineId
    this.homes = homes ?? homesOf(root, env)
  }

  /** A path of the host below the root. */
  at(...parts: readonly string[]): string {
    return this.root === "/" ? join(...parts) : join(this.root, ...parts)
  }

  /** Undefined where there is no such file, or it may not be read, which is remembered for the tool. */
  text(tool: string, path: string): string | undefined {
    try {
      if (statSync(path).size > FILE_MAX) return undefined
      return readFileSync(path, "utf8")
    } catch (error) {
      this.#remember(tool, path, error)
      return undefined
    }
  }

  /** Names in a directory; none where there is none. */
  names(tool: string, path: string): readonly string[] {
    try {
      return readdirSync(path).toSorted()
    } catch (error) {
      this.#remember(tool, path, error)
      return []
    }
  }

  isThere(path: string): boolean {
    try {
      return statSync(path, { throwIfNoEntry: false }) !== undefined
    } catch {
      return false
    }
  }

  /** Whether one of these files names a process that runs; undefined where none of them is there to say. */
  runs(tool: string, pidFiles: readonly string[]): boolean {
    return pidFiles.some((path) => {
      const pid = Number(this.text(tool, path)?.trim())
      return Number.isSafeInteger(pid) && pid > 0 && this.#isAlive(pid)
    })
  }

  isAlive(pid: number): boolean {
    return this.#isAlive(pid)
  }

  /** The machine id of Linux, the platform UUID of macOS; undefined where it cannot be had. */
  get machineId(): string | undefined {
    if (!this.#asked) this.#machineId ??= machineIdOf(this.root)
    this.#asked = true
    return this.#machineId
  }

  #remember(tool: string, path: string, error: unknown): void {
    const errno = errnoOf(error)
    if (errno === "EACCES" || errno === "EPERM") this.unread.push({ tool, path })
  }
}

/** Of root: everybody's. */
function homesOf(root: string, env: Readonly<Record<string, string | undefined>>): readonly string[] {
  const own = env["HOME"] ?? homedir()
  if (process.getuid?.() !== 0) return [own]
  const all = ["Users", "home"].flatMap((name) => {
    const directory = join(root, name)
    try {
      return readdirSync(directory).map((user) => join(directory, user))
    } catch {
      return []
    }
  })
  return [...new Set([own, ...all])]
}

function isProcess(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errnoOf(error) === "EPERM"
  }
}

function machineIdOf(root: string): string | undefined {
  for (const path of ["etc/machine-id", "var/lib/dbus/machine-id"]) {
    try {
      const id = readFileSync(join(root, path), "utf8").trim()
      if (id !== "") return id
    } catch {
      // the next place
    }
  }
  if (process.platform !== "darwin") return undefined
  try {
    const said = execFileSync("/usr/sbin/ioreg", ["-rd1", "-c", "IOPlatformExpertDevice"], {
      encoding: "utf8",
      timeout: PROGRAM_MS,
      stdio: ["ignore", "pipe", "ignore"],
    })
    return /"IOPlatformUUID" = "([^"]+)"/.exec(said)?.[1]
  } catch {
    return undefined
  }
}
