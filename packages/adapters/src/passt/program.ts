/**
 * The program passt: started, found to be ready, ended; and ended for an adapter that was killed.
 *
 * It makes its socket under another name, which becomes the right one when it is known to work: it says that it bound its socket even where
 * it could not, and the machine is to come after the introduction.
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs"
import { rename, rm } from "node:fs/promises"
import { createInterface } from "node:readline"
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
import { hasClient, isOpen } from "./company.ts"
import { type Introduction, introduce } from "./introduce.ts"

const READY = "UNIX domain socket bound at"
const CAME = "accepted connection from"
/** From a socket that is bound to one that is listened at, and from a client that hung up to a next one. */
const PATIENCE_MS = 5000
const POLL_MS = 2
/** What it says of a host without a syslog is no news. */
const NOISE = /^(Failed to send \d+ bytes to syslog|\s*)$/
const LINES_KEPT = 20
const INSTALL = "Install passt: on Debian and Ubuntu the package passt"

export interface PasstProgram extends AsyncDisposable {
  readonly pid: number
  /** Whether a machine has come. What comes for the guest before that is lost. */
  readonly joined: () => boolean
  /** Fulfils when the process has gone, with its last words. */
  readonly exited: Promise<readonly string[]>
}

export interface PasstStart {
  readonly program: string
  readonly args: readonly string[]
  /** Where the machine finds it. */
  readonly socket: string
  readonly introduction: Introduction | undefined
  readonly signal: AbortSignal
  readonly onLine: (line: string) => void
}

/** The name under which passt makes its socket, and by which the kernel knows it. */
export function boundName(socket: string): string {
  return `${socket}.passt`
}

/** Where passt logs. It goes with it. */
export function logFileOf(socket: string): string {
  return `${socket}.passt.log`
}

/** Codes: "host-program-missing", "crashed" with its words as detail, "permission-denied". */
export async function startPasst(start: PasstStart): Promise<PasstProgram> {
  const { program, args, socket, signal } = start
  signal.throwIfAborted()
  const bound = boundName(socket)
  for (const path of [socket, bound]) removeStaleSocket(path)
  const child = launch(program, args)
  const exited = withResolvers<readonly string[]>()
  const ready = withResolvers<void>()
  const words: string[] = []
  child.once("error", (cause) => ready.reject(notStarted(program, cause, INSTALL)))
  child.once("close", (_code, killer) => {
    if (killer === "SIGSYS") words.push("killed by its own filter of system calls (SIGSYS)")
    exited.resolve(words)
  })
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue
    createInterface({ input: stream }).on("line", (line) => {
      if (NOISE.test(line)) return
      words.push(line)
      if (words.length > LINES_KEPT) words.shift()
      start.onLine(line)
      if (line.includes(READY)) ready.resolve()
    })
  }
  const died = exited.promise.then((detail) => {
    throw new SidecarError("crashed", `Cannot start passt: ${detail.at(-1) ?? "it ended without a word"}`, {
      detail,
    })
  })
  died.catch(() => undefined) // seen by the race below, or by nobody once it runs
  const { pid = 0 } = child
  const identity = child.pid === undefined ? undefined : identityOf(child.pid)
  const end = async (): Promise<void> => {
    if (identity !== undefined) signalProcess(identity, "SIGKILL") // it has nothing to put away
    if (child.pid !== undefined) await exited.promise
    for (const path of [socket, bound, recordOf(socket), logFileOf(socket)]) await rm(path, { force: true })
  }
  try {
    await orAborted(Promise.race([ready.promise, died]), signal)
    if (!existsSync(bound))
      throw new SidecarError(
        "permission-denied",
        `Cannot listen on "unix:${socket}": passt could not make that socket`,
      )
    if (identity !== undefined) await writeFileWhole(recordOf(socket), `${JSON.stringify(identity)}\n`)
    await until(() => isOpen(pid, bound), { what: "does not listen on its socket", died, signal })
    if (start.introduction !== undefined) {
      await introduce(bound, start.introduction, signal)
      // It takes one client at a time.
      await until(() => !hasClient(pid, bound), { what: "does not let go of its first client", died, signal })
    }
    signal.throwIfAborted()
    await rename(bound, socket)
  } catch (error) {
    await end()
    throw error
  }
  const before = start.introduction === undefined ? 0 : 1
  return {
    pid,
    joined: () => clientsSoFar(socket) > before,
    exited: exited.promise,
    [Symbol.asyncDispose]: end,
  }
}

interface Waiting {
  /** Of passt, for the sentence. */
  readonly what: string
  readonly died: Promise<never>
  readonly signal: AbortSignal
}

/** Rejects with "timeout", with how it died, and with the signal's reason. */
async function until(isSo: () => boolean, { what, died, signal }: Waiting): Promise<void> {
  const end = performance.now() + PATIENCE_MS
  while (!isSo()) {
    if (performance.now() > end)
      throw new SidecarError("timeout", `Cannot use passt: after ${PATIENCE_MS / 1000} s it ${what}`)
    await Promise.race([sleep(POLL_MS, signal), died])
  }
}

function clientsSoFar(socket: string): number {
  try {
    return readFileSync(logFileOf(socket), "utf8").split(CAME).length - 1
  } catch {
    return 0 // it has just ended
  }
}

/** Beside the socket: which process passt is, for an adapter that comes after one that was killed. */
export function recordOf(socket: string): string {
  return `${socket}.passt.json`
}
