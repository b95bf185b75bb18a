/**
 * The sidecar in a process of its own, which outlives the one that starts it: `import … from "@skep/vsock/client"`.
 *
 * Loads neither the loop nor its native code, so that programs which only start, adopt and ask stay light.
 *
 * @module
 */
import type { Instance, Sidecar, SidecarEvent } from "@skep/contract"
import { adopt, type SpawnCommand, spawn } from "@skep/runtime"
import { parseVsockOptions, type VsockOptions } from "./options.ts"
import { parseVsockStatus, type VsockRunning, type VsockStatus } from "./status.ts"

export { journalPath, ownPaths, parseVsockOptions, type VsockOptions } from "./options.ts"
export { parseVsockStatus, type VsockRunning, type VsockStatus } from "./status.ts"

/** How to run the sidecar's `main`: `node vsock.js`, or from source with the flags of a loader. */
export interface VsockCommand
  extends Pick<
    SpawnCommand<VsockOptions, VsockStatus>,
    "file" | "args" | "env" | "stderr" | "endWithParent"
  > {
  /** The control socket; `controlSocketOf` unless told. */
  readonly control?: (options: VsockOptions) => string
}

/** A sidecar in another process. Disposing it stops that process. */
export interface RemoteVsock extends VsockRunning {
  readonly identity: Instance
  /** Stops watching and leaves the sidecar running. `closed` never settles after this. */
  release(): void
}

/** Beside the vhost-user socket. */
export function controlSocketOf({ socket }: Pick<VsockOptions, "socket">): string {
  return `${socket}.control`
}

/** A sidecar whose `start` runs a process. */
export function vsockProcess(command: VsockCommand): Sidecar<VsockOptions, VsockStatus, RemoteVsock> {
  return spawn<VsockOptions, VsockStatus, RemoteVsock>(
    {
      name: "vsock",
      control: controlSocketOf,
      ...command,
      parseOptions: (input) => parseVsockOptions(input),
      parseStatus: parseVsockStatus,
    },
    (remote) => remote,
  )
}

export interface AdoptVsock {
  /** The control socket of the sidecar. */
  readonly control: string
  readonly signal: AbortSignal
  readonly emit?: (event: SidecarEvent) => void
}

/** Connects to a sidecar that runs. Rejects with "unreachable" when there is none, "timeout" when it does not answer. */
export async function adoptVsock(options: AdoptVsock): Promise<RemoteVsock> {
  return await adopt({ ...options, parseStatus: parseVsockStatus })
}
