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
import { type PasstOptions, parsePasstOptions } from "./options.ts"

export type { PasstOptions, PasstPolicy } from "./options.ts"

export type PasstCommand = Pick<
  SpawnCommand<PasstOptions, NetworkStatus>,
  "file" | "args" | "env" | "stderr" | "endWithParent"
>

/** A passt in another process. Disposing it stops that process. */
export interface RemotePasst extends NetworkRunning {
  readonly identity: Instance
  /** Stops watching and leaves it running. `closed` never settles after this. */
  release(): void
}

/** Beside the socket of the network. */
export function controlSocketOf({ socket }: Pick<PasstOptions, "socket">): string {
  return `${socket}.control`
}

export function passtProcess(command: PasstCommand): Sidecar<PasstOptions, NetworkStatus, RemotePasst> {
  return spawn<PasstOptions, NetworkStatus, RemotePasst>(
    {
      name: "passt",
      control: controlSocketOf,
      ...command,
      parseOptions: parsePasstOptions,
      parseStatus: parseNetworkStatus,
    },
    remotePasst,
  )
}

export interface AdoptPasst {
  readonly control: string
  readonly signal: AbortSignal
  readonly emit?: (event: SidecarEvent) => void
}

/** Connects to one that runs. Rejects with "unreachable" when there is none. */
export async function adoptPasst(options: AdoptPasst): Promise<RemotePasst> {
  return remotePasst(await adopt({ ...options, parseStatus: parseNetworkStatus }))
}

function remotePasst(remote: Remote<NetworkStatus>): RemotePasst {
  return { ...networkClient(remote), identity: remote.identity, release: () => remote.release() }
}
