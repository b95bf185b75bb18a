/**
 * Starting the backend: one at a time, detached, with its log in `$SKEP_HOME/logs`.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs"
import { rename, stat } from "node:fs/promises"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import { call, errnoOf, type Remote, silentLog, sleep, spawn, waitForLock, withDeadline } from "@skep/runtime"
import type { BackendOptions, BackendStatus } from "../backend/backend.ts"
import type { Home } from "../home/paths.ts"
import { isOurs } from "./backend.ts"
import { programArguments } from "./program.ts"

const START_DEADLINE_MS = 60_000
/** Whoever holds the lock is starting a backend, and gives up after that. */
const LOCK_DEADLINE_MS = START_DEADLINE_MS + 15_000
const RELEASE_DEADLINE_MS = 10_000
const POLL_MS = 20
const LOG_MAX_BYTES = 4 << 20

/** Resolves when a backend of this build answers. Two callers at once start one backend. */
export async function startBackend(home: Home, signal: AbortSignal): Promise<void> {
  using _lock = await waitForLock(join(home.run, "backend-start.lock"), LOCK_DEADLINE_MS, signal)
  if (await isOurs(home, signal)) return
  await releaseOther(home, signal)
  await rotate(home.backendLog)
  const log = openSync(home.backendLog, "a", 0o600)
  const deadline = AbortSignal.timeout(START_DEADLINE_MS)
  try {
    const remote = await backendProcess(home, log).start(optionsFor(home), {
      signal: AbortSignal.any([signal, deadline]),
      log: silentLog,
      emit: () => undefined,
    })
    remote.release()
  } catch (error) {
    if (signal.aborted || !deadline.aborted) throw error
    throw new SidecarError("timeout", `Cannot start the backend within ${START_DEADLINE_MS / 1000} s`, {
      cause: error,
      next: `See the end of ${home.backendLog}, then try again`,
    })
  } finally {
    closeSync(log)
  }
}

function optionsFor(home: Home): BackendOptions {
  const programs = {
    launcher: [...programArguments("launcher")],
    vsock: [...programArguments("vsock")],
    network: [...programArguments("network")],
    passt: [...programArguments("passt")],
    gvproxy: [...programArguments("gvproxy")],
    shares: [...programArguments("shares")],
    exports: [...programArguments("exports")],
    virtiofsd: [...programArguments("virtiofsd")],
  }
  return { home: home.home, run: home.run, programs }
}

function backendProcess(
  home: Home,
  log: number,
): ReturnType<typeof spawn<BackendOptions, BackendStatus, Remote<BackendStatus>>> {
  return spawn<BackendOptions, BackendStatus, Remote<BackendStatus>>(
    {
      name: "backend",
      file: process.execPath,
      args: programArguments("backend"),
      control: () => home.backendSocket,
      // Both ends are of one build: what one writes the other reads.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      parseOptions: (input) => input as BackendOptions,
      // As above.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      parseStatus: (value) => value as BackendStatus,
      stderr: log,
    },
    (remote) => remote,
  )
}

/** A backend of another build lets go of its machines, which run on. */
async function releaseOther(home: Home, signal: AbortSignal): Promise<void> {
  await withDeadline("replace the running backend", RELEASE_DEADLINE_MS, signal, async (limit) => {
    try {
      await call(home.backendSocket, { method: "POST", path: "/release", signal: limit })
    } catch (error) {
      if (error instanceof SidecarError && error.code === "unreachable") return
      throw error
    }
    while (await answers(home, limit)) await sleep(POLL_MS, limit)
  })
}

async function answers(home: Home, signal: AbortSignal): Promise<boolean> {
  try {
    await call(home.backendSocket, { method: "GET", path: "/health", signal })
    return true
  } catch (error) {
    if (error instanceof SidecarError && error.code === "unreachable") return false
    throw error
  }
}

async function rotate(path: string): Promise<void> {
  try {
    if ((await stat(path)).size > LOG_MAX_BYTES) await rename(path, `${path}.1`)
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error
  }
}
