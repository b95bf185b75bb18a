/**
 * The adapter in a process of its own, which outlives the one that starts it.
 *
 * @module
 */
import type { Instance, NetworkRunning, NetworkStatus, Sidecar, SidecarEvent } from "@skep/contract"
import {
  adopt,
  networkClient,
  parseNetworkStatus,
  type Remote,
  type SpawnCommand,
  spawn,
} from "@skep/runtime"
import { type GvproxyOptions, parseGvproxyOptions } from "./options.ts"

export { GUEST } from "./command-line.ts"
export type { GvproxyOptions } from "./options.ts"

export type GvproxyCommand = Pick<
  SpawnCommand<GvproxyOptions, NetworkStatus>,
  "file" | "args" | "env" | "stderr" | "endWithParent"
>

/** A gvproxy in another process. Disposing it stops that process. */
export interface RemoteGvproxy extends NetworkRunning {
  readonly identity: Instance
  /** Stops watching and leaves it running. `closed` never settles after this. */
  release(): void
}

/** Beside the socket of the network. */
function controlSocketOf({ socket }: Pick<GvproxyOptions, "socket">): string {
  return `${socket}.control`
}

export function gvproxyProcess(
  command: GvproxyCommand,
): Sidecar<GvproxyOptions, NetworkStatus, RemoteGvproxy> {
  return spawn<GvproxyOptions, NetworkStatus, RemoteGvproxy>(
    {
      name: "gvproxy",
      control: controlSocketOf,
      ...command,
      parseOptions: parseGvproxyOptions,
      parseStatus: parseNetworkStatus,
    },
    remoteGvproxy,
  )
}

export interface AdoptGvproxy {
  readonly control: string
  readonly signal: AbortSignal
  readonly emit?: (event: SidecarEvent) => void
}

/** Connects to one that runs. Rejects with "unreachable" when there is none. */
export async function adoptGvproxy(options: AdoptGvproxy): Promise<RemoteGvproxy> {
  return remoteGvproxy(await adopt({ ...options, parseStatus: parseNetworkStatus }))
}

function remoteGvproxy(remote: Remote<NetworkStatus>): RemoteGvproxy {
  return { ...networkClient(remote), identity: remote.identity, release: () => remote.release() }
}
