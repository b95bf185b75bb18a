/**
 * The hypervisor's process: spawned in a session of its own so that it outlives the launcher, or found again.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process"
import { type Identity, SidecarError } from "@skep/contract"
import { errnoOf, identityOf, isAlive, signalProcess, sleep, withResolvers } from "@skep/runtime"
import type { ProcessLog } from "./process-log.ts"

export interface Exit {
  /** Both are undefined for a process that is not our child. */
  readonly code: number | undefined
  readonly signal: string | undefined
}

export interface HypervisorProcess {
  readonly identity: Identity
  /** Fulfils once, when the process is gone. */
  readonly exited: Promise<Exit>
  /** Ends it at once; a dead one is left alone. */
  kill(): void
}

const WATCH_POLL_MS = 20

/**
 * Starts `program`. Its sockets get mode 0600 through the mask.
 * Throws "host-program-missing" and "crashed".
 */
export async function spawnHypervisor(
  program: string,
  args: readonly string[],
  log: ProcessLog,
): Promise<HypervisorProcess> {
  const mask = process.umask(0o177)
  let child: ChildProcess
  try {
    child = spawn(program, args, { detached: true, stdio: ["ignore", log.fd, log.fd], cwd: "/" })
  } finally {
    process.umask(mask)
  }
  const { promise: exited, resolve } = withResolvers<Exit>()
  child.once("exit", (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined }))
  const { pid } = child
  if (pid === undefined) throw await spawnError(program, child)
  const identity = identityOf(pid)
  if (identity === undefined) {
    await exited
    throw new SidecarError("crashed", `Cannot start "${program}": it ended at once`, { detail: log.tail() })
  }
  return { identity, exited, kill: () => void signalProcess(identity, "SIGKILL") }
}

/** A process that some other launcher started. `mayHaveEnded` fulfils when it is time to look whether it is gone. */
export function watchHypervisor(identity: Identity, mayHaveEnded: Promise<void>): HypervisorProcess {
  const gone = async (): Promise<Exit> => {
    await mayHaveEnded
    while (isAlive(identity)) await sleep(WATCH_POLL_MS, neverAborts)
    return { code: undefined, signal: undefined }
  }
  return { identity, exited: gone(), kill: () => void signalProcess(identity, "SIGKILL") }
}

const neverAborts = new AbortController().signal

function spawnError(program: string, child: ChildProcess): Promise<SidecarError> {
  return new Promise((resolve) => {
    child.once("error", (cause) => {
      const missing = errnoOf(cause) === "ENOENT"
      resolve(
        missing
          ? missingProgram(program, cause)
          : new SidecarError("permission-denied", `Cannot start "${program}": ${cause.message}`, { cause }),
      )
    })
  })
}

export function missingProgram(program: string, cause?: unknown): SidecarError {
  return new SidecarError(
    "host-program-missing",
    `Cannot start "${program}": there is no such program on this host`,
    {
      cause,
      next: "Install QEMU: on Debian and Ubuntu the package qemu-system-x86, on macOS the formula qemu",
    },
  )
}
