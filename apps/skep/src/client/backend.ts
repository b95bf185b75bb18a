/**
 * The command's side of backend.sock: finds the backend, starts one when there is none, replaces one of another build.
 *
 * @module
 */
import { existsSync } from "node:fs"
import { readdir, readFile } from "node:fs/promises"
import { SidecarError } from "@skep/contract"
import { type ControlCall, call, stream } from "@skep/runtime/control-client"
import type { MachineView } from "../backend/view.ts"
import { checkName, createHome, type Home, machinePaths } from "../home/paths.ts"
import { VERSION } from "../version.ts"
import { shareSshAgent } from "./ssh-agent.ts"

/** It does nothing but answer: a machine that is busy delays it by no more than this. */
const HEALTH_MS = 5_000
const ANSWER_MS = 30_000

export interface BackendClient {
  request(method: ControlCall["method"], path: string, body?: unknown): Promise<unknown>
  /** The lines of an answer as they come. */
  stream(method: ControlCall["method"], path: string, body?: unknown): AsyncGenerator<unknown>
  machine(name: string): Promise<MachineView>
  machines(): Promise<readonly MachineView[]>
}

/** Connects to the backend of this build, starting or replacing it as needed. */
export async function connectBackend(home: Home, signal: AbortSignal): Promise<BackendClient> {
  await shareSshAgent(home, process.env)
  if (!(await isOurs(home, signal))) {
    const { startBackend } = await import("./start-backend.ts")
    await createHome(home)
    await startBackend(home, signal)
  }
  return clientOf(home, signal)
}

/** Throws "bad-name" or "not-found" for a machine that is not there; needs no backend. */
export function checkExists(home: Home, name: string): void {
  if (existsSync(machinePaths(home, checkName(name)).directory)) return
  throw new SidecarError("not-found", `Cannot find the machine "${name}"`, {
    next: `Create it with skep up ${name}, or see skep ls`,
  })
}

/** Whether any machine exists; needs no backend. */
export async function hasMachines(home: Home): Promise<boolean> {
  return existsSync(home.machines) && (await readdir(home.machines)).length > 0
}

/** Whether a backend of this build answers. Throws "timeout" for one that is there and does not. */
export async function isOurs(home: Home, signal: AbortSignal): Promise<boolean> {
  try {
    const health = await ask(home, { method: "GET", path: "/health", signal }, HEALTH_MS)
    return typeof health === "object" && health !== null && "version" in health && health.version === VERSION
  } catch (error) {
    if (error instanceof SidecarError && error.code === "unreachable") return false
    throw error
  }
}

function clientOf(home: Home, signal: AbortSignal): BackendClient {
  const request: BackendClient["request"] = (method, path, body) => {
    const options = { method, path, body, signal }
    // A change takes the time it takes; a question is answered from memory.
    return method === "GET" ? ask(home, options, ANSWER_MS) : call(home.backendSocket, options)
  }
  return {
    request,
    stream: (method, path, body) => stream(home.backendSocket, { method, path, body, signal }),
    // The backend is of our own build, so its answers have our own types.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    machine: async (name) => (await request("GET", `/machines/${encodeURIComponent(name)}`)) as MachineView,
    // As above.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    machines: async () => (await request("GET", "/machines")) as readonly MachineView[],
  }
}

/** As `call`, within a deadline; "timeout" says which process does not answer, and what to do with it. */
async function ask(home: Home, options: ControlCall, deadlineMs: number): Promise<unknown> {
  const { signal } = options
  const deadline = AbortSignal.timeout(deadlineMs)
  try {
    return await call(home.backendSocket, { ...options, signal: AbortSignal.any([signal, deadline]) })
  } catch (error) {
    if (signal.aborted || !deadline.aborted) throw error
    throw await silent(home, deadlineMs)
  }
}

async function silent(home: Home, deadlineMs: number): Promise<SidecarError> {
  const pid = await processNaming(home.backendSocket)
  const [who, end] =
    pid === undefined
      ? [`at "${home.backendSocket}"`, "End its process"]
      : [`(pid ${pid})`, `End it with kill -KILL ${pid}`]
  return new SidecarError(
    "timeout",
    `Cannot use the backend ${who}: it has not answered for ${deadlineMs / 1000} s`,
    {
      next: `${end} and try again: machines run on, and the next command starts another. Its log is ${home.backendLog}`,
    },
  )
}

/** The process that has `word` on its command line, where the system tells: proc(5). */
async function processNaming(word: string): Promise<number | undefined> {
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    const words = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "") // gone since
    if (words.split("\0").includes(word)) return Number(pid)
  }
  return undefined
}
