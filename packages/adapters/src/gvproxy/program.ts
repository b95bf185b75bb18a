/**
 * The program gvproxy: started, found to be ready, ended.
 *
 * @module
 */
import { existsSync } from "node:fs"
import { rm } from "node:fs/promises"
import { createInterface } from "node:readline"
import { SidecarError } from "@skep/contract"
import {
  identityOf,
  orAborted,
  removeStaleSocket,
  signalProcess,
  sleep,
  within,
  withResolvers,
  writeFileWhole,
} from "@skep/runtime"
import { launch, notStarted } from "../host-side/launch.ts"
import { type GvproxyApi, gvproxyApi } from "./api.ts"
import { gvproxyArguments } from "./command-line.ts"
import type { GvproxyOptions } from "./options.ts"

const READY_MS = 20_000
const READY_POLL_MS = 10
const LINES_KEPT = 20
const INSTALL = "Put gvproxy on PATH, or its path into SKEP_GVPROXY; it is part of gvisor-tap-vsock"

export interface GvproxyProgram extends AsyncDisposable {
  readonly pid: number
  readonly api: GvproxyApi
  /** Fulfils when the process has gone, with its last words. */
  readonly exited: Promise<readonly string[]>
}

/** Beside the socket: gvproxy's HTTP service. */
export function apiSocketOf(socket: string): string {
  return `${socket}.api`
}

/** Beside the socket: which process gvproxy is. */
export function recordOf(socket: string): string {
  return `${socket}.gvproxy.json`
}

/** Codes: "host-program-missing", "permission-denied", "crashed" with its words as detail, "timeout". */
export async function startGvproxy(
  options: GvproxyOptions,
  signal: AbortSignal,
  onLine: (line: string) => void,
): Promise<GvproxyProgram> {
  signal.throwIfAborted()
  const { socket, program } = options
  const api = apiSocketOf(socket)
  for (const path of [socket, api]) removeStaleSocket(path)
  const child = launch(program, gvproxyArguments(options, api))
  const exited = withResolvers<readonly string[]>()
  const words: string[] = []
  const missed = new Promise<never>((_resolve, reject) => {
    child.once("error", (cause) => reject(notStarted(program, cause, INSTALL)))
  })
  child.once("close", () => exited.resolve(words))
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue
    createInterface({ input: stream }).on("line", (line) => {
      words.push(line)
      if (words.length > LINES_KEPT) words.shift()
      onLine(line)
    })
  }
  const died = exited.promise.then((detail): never => {
    throw new SidecarError("crashed", `Cannot start gvproxy: ${detail.at(-1) ?? "it ended without a word"}`, {
      detail,
    })
  })
  for (const outcome of [missed, died]) outcome.catch(() => undefined) // seen by the race below, or by nobody once it runs
  const identity = child.pid === undefined ? undefined : identityOf(child.pid)
  const end = async (): Promise<void> => {
    if (identity !== undefined) signalProcess(identity, "SIGKILL") // what it has to put away is removed here
    if (child.pid !== undefined) await exited.promise
    for (const path of [socket, api, recordOf(socket)]) await rm(path, { force: true })
  }
  const client = gvproxyApi(api)
  try {
    if (identity !== undefined) await writeFileWhole(recordOf(socket), `${JSON.stringify(identity)}\n`)
    await orAborted(Promise.race([answers(client, socket, signal), missed, died]), signal)
  } catch (error) {
    await end()
    throw error
  }
  return { pid: child.pid ?? 0, api: client, exited: exited.promise, [Symbol.asyncDispose]: end }
}

/** Resolves when it listens for the machine, and its service answers. */
async function answers(api: GvproxyApi, socket: string, signal: AbortSignal): Promise<void> {
  const limit = within(READY_MS, signal)
  for (;;) {
    try {
      if (existsSync(socket)) {
        await api.all(limit)
        return
      }
    } catch (error) {
      signal.throwIfAborted()
      const early = error instanceof SidecarError && error.code === "unreachable"
      if (!early && !limit.aborted) throw error
    }
    if (limit.aborted)
      throw new SidecarError(
        "timeout",
        `Cannot start gvproxy within ${READY_MS / 1000} s: it does not answer`,
      )
    await sleep(READY_POLL_MS, signal)
  }
}
