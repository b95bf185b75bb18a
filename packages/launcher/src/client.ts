/**
 * A launcher in a process of its own, which outlives the one that starts it.
 *
 * @module
 */
import type { Instance, LauncherRunning, LauncherStatus, Sidecar, SidecarEvent } from "@skep/contract"
import { adopt, type SpawnCommand, spawn } from "@skep/runtime"
import { type LauncherOptions, parseLauncherOptions } from "./description.ts"
import { controlSocketOf } from "./paths.ts"
import { launcherClient, parseLauncherStatus } from "./routes.ts"

/** A stop is 4 s of powerdown, 1 s of quit, and the end of two processes. */
export const STOP_DEADLINE_MS: number = 8000

/** How to run the launcher's `main`: `node main.js`, or from source with the flags of a loader. */
export interface LauncherCommand
  extends Pick<
    SpawnCommand<LauncherOptions, LauncherStatus>,
    "file" | "args" | "env" | "stderr" | "endWithParent"
  > {
  /** The control socket; `launcher.sock` in the run directory unless told. */
  readonly control?: (options: LauncherOptions) => string
}

export function launcherProcess(
  command: LauncherCommand,
): Sidecar<LauncherOptions, LauncherStatus, LauncherRunning> {
  return spawn<LauncherOptions, LauncherStatus, LauncherRunning>(
    {
      name: "launcher",
      control: controlSocketOf,
      ...command,
      parseOptions: parseLauncherOptions,
      parseStatus: parseLauncherStatus,
      stopDeadlineMs: STOP_DEADLINE_MS + 2000,
    },
    launcherClient,
  )
}

export interface AdoptLauncher {
  /** The control socket of the launcher. */
  readonly control: string
  readonly signal: AbortSignal
  readonly emit?: (event: SidecarEvent) => void
}

export interface AdoptedLauncher extends LauncherRunning {
  /** Of the launcher; the hypervisor's is in the status. */
  readonly identity: Instance
  /** Stops watching and leaves the machine running. `closed` never settles after this. */
  release(): void
}

/** Connects to a launcher that runs. Rejects with "unreachable" when there is none. */
export async function adoptLauncher(options: AdoptLauncher): Promise<AdoptedLauncher> {
  const remote = await adopt({
    ...options,
    parseStatus: parseLauncherStatus,
    stopDeadlineMs: STOP_DEADLINE_MS + 2000,
  })
  return { ...launcherClient(remote), identity: remote.identity, release: () => remote.release() }
}
