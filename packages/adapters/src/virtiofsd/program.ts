/**
 * The program virtiofsd: found, started, found to be ready, ended; and ended for an adapter that was killed.
 *
 * @module
 */
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdir, rm, rmdir } from "node:fs/promises"
import { createInterface } from "node:readline"
import { promisify } from "node:util"
import { SidecarError } from "@skep/contract"
import {
  identityOf,
  orAborted,
  removeStaleSocket,
  signalProcess,
  sleep,
  withResolvers,
  writeFileWhole,
} from "@skep/runtime"
import { launch, notStarted } from "../host-side/launch.ts"
import { type Dialect, dialectOf, programArguments, type Staged, unshareArguments } from "./command-line.ts"

/** Where Debian, Fedora and the others have it. */
const PLACES = ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd"]
const INSTALL = "Install virtiofsd: on Debian 12 the package qemu-system-common, later virtiofsd"
const READY_POLL_MS = 5
const VERSION_MS = 5000
const LINES_KEPT = 20

export interface FoundProgram {
  readonly path: string
  readonly dialect: Dialect
}

/** Codes: "host-program-missing". */
export async function findVirtiofsd(wanted: string | undefined): Promise<FoundProgram> {
  const path = wanted ?? PLACES.find((place) => existsSync(place)) ?? "virtiofsd"
  try {
    const { stdout } = await promisify(execFile)(path, ["--version"], { timeout: VERSION_MS })
    return { path, dialect: dialectOf(stdout) }
  } catch (cause) {
    throw notStarted(path, cause instanceof Error ? cause : new Error(String(cause)), INSTALL)
  }
}

export interface VirtiofsdStart {
  readonly program: FoundProgram
  readonly socket: string
  readonly shares: readonly Staged[]
  readonly xattrs: boolean
  readonly signal: AbortSignal
  readonly onLine: (line: string) => void
}

export interface VirtiofsdProgram extends AsyncDisposable {
  readonly pid: number
  /** Whether a front end has come. */
  readonly joined: () => boolean
  /** Fulfils when the process has gone, with its last words. */
  readonly exited: Promise<readonly string[]>
}

/** Beside the socket: which process it is, for an adapter that comes after one that was killed. */
export function recordOf(socket: string): string {
  return `${socket}.virtiofsd.json`
}

/** An empty directory, over which each virtiofsd has its own. */
export function stageOf(socket: string): string {
  return `${socket}.stage`
}

/** Resolves when it listens. Codes: "host-program-missing", "crashed" with its words as detail. */
export async function startVirtiofsd(start: VirtiofsdStart): Promise<VirtiofsdProgram> {
  const { program, socket, signal } = start
  signal.throwIfAborted()
  const stage = stageOf(socket)
  removeStaleSocket(socket)
  await mkdir(stage, { recursive: true, mode: 0o700 })
  const own = programArguments(program.dialect, { socket, source: stage, xattrs: start.xattrs })
  const child = launch("unshare", unshareArguments(stage, start.shares, [program.path, ...own]))
  const exited = withResolvers<readonly string[]>()
  const failed = withResolvers<never>()
  const words: string[] = []
  let joined = false
  child.once("error", (cause) => failed.reject(notStarted("unshare", cause, "Install util-linux")))
  child.once("close", () => exited.resolve(words))
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue
    createInterface({ input: stream }).on("line", (line) => {
      words.push(line)
      if (words.length > LINES_KEPT) words.shift()
      start.onLine(line)
      if (CAME.test(line)) joined = true
    })
  }
  const died = exited.promise.then((detail) => {
    throw new SidecarError(
      "crashed",
      `Cannot start virtiofsd: ${detail.at(-1) ?? "it ended without a word"}`,
      {
        detail,
      },
    )
  })
  died.catch(() => undefined) // seen by the race below, or by nobody once it runs
  failed.promise.catch(() => undefined)
  const identity = child.pid === undefined ? undefined : identityOf(child.pid)
  const end = async (): Promise<void> => {
    // Its own child serves the requests, and goes with it: the parent of a process namespace.
    if (identity !== undefined) signalProcess(identity, "SIGKILL")
    if (child.pid !== undefined) await exited.promise
    for (const path of [socket, recordOf(socket)]) await rm(path, { force: true })
    await rmdir(stage).catch(() => undefined) // somebody has put something there: it is theirs
  }
  const over = new AbortController()
  try {
    if (identity !== undefined) await writeFileWhole(recordOf(socket), `${JSON.stringify(identity)}\n`)
    const listens = listening(socket, AbortSignal.any([signal, over.signal]))
    listens.catch(() => undefined) // seen by the race below, or the race is over
    await orAborted(Promise.race([listens, died, failed.promise]), signal)
  } catch (error) {
    await end()
    throw error
  } finally {
    over.abort()
  }
  return { pid: child.pid ?? 0, joined: () => joined, exited: exited.promise, [Symbol.asyncDispose]: end }
}

const CAME = /Received vhost-user socket connection|Client connected/

async function listening(socket: string, signal: AbortSignal): Promise<void> {
  while (!existsSync(socket)) await sleep(READY_POLL_MS, signal)
}
