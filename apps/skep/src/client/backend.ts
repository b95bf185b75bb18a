/**
 * The command's side of backend.sock: finds the backend, starts one when there is none, replaces one of another build.
 *
 * @module
 */
import { existsSync } from "node:fs"
import { readdir } from "node:fs/promises"
import { SidecarError } from "@skep/contract"
import { type ControlCall, call, stream } from "@skep/runtime/control-client"
import type { MachineView } from "../backend/view.ts"
import { checkName, createHome, type Home, machinePaths } from "../home/paths.ts"
import { VERSION } from "../version.ts"

export interface BackendClient {
  request(method: ControlCall["method"], path: string, body?: unknown): Promise<unknown>
  /** The lines of an answer as they come. */
  stream(method: ControlCall["method"], path: string, body?: unknown): AsyncGenerator<unknown>
  machine(name: string): Promise<MachineView>
  machines(): Promise<readonly MachineView[]>
}

/** Connects to the backend of this build, starting or replacing it as needed. */
export async function connectBackend(home: Home, signal: AbortSignal): Promise<BackendClient> {
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

/** Whether a backend of this build answers. */
export async function isOurs(home: Home, signal: AbortSignal): Promise<boolean> {
  try {
    const health = await call(home.backendSocket, { method: "GET", path: "/health", signal })
    return typeof health === "object" && health !== null && "version" in health && health.version === VERSION
  } catch (error) {
    if (error instanceof SidecarError && error.code === "unreachable") return false
    throw error
  }
}

function clientOf(home: Home, signal: AbortSignal): BackendClient {
  const request: BackendClient["request"] = (method, path, body) =>
    call(home.backendSocket, { method, path, body, signal })
  return {
    request,
    stream: (method, path, body) => stream(home.backendSocket, { method, path, body, signal }),
    // The backend is of our own build, so its answers have our own types.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    machine: async (name) => (await request("GET", `/machines/${encodeURIComponent(name)}`)) as MachineView,
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    machines: async () => (await request("GET", "/machines")) as readonly MachineView[],
  }
}
