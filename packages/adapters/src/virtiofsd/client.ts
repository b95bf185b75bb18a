/**
 * The adapter in a process of its own, which outlives the one that starts it.
 *
 * @module
 */
import type { Instance, SharesRunning, SharesStatus, Sidecar, SidecarEvent } from "@skep/contract"
import {
  adopt,
  parseSharesStatus,
  type Remote,
  type SpawnCommand,
  sharesClient,
  spawn,
  type Unshare,
} from "@skep/runtime"
import { parseVirtiofsdOptions, type VirtiofsdOptions } from "./options.ts"

export { parseVirtiofsdOptions, type VirtiofsdOptions } from "./options.ts"

/** An adapter in another process. Disposing it stops that process. */
export interface RemoteVirtiofsd extends SharesRunning, Unshare {
  readonly identity: Instance
  /** Stops watching and leaves it running. `closed` never settles after this. */
  release(): void
}

/** How to run its `main`. */
export type VirtiofsdCommand = Pick<
  SpawnCommand<VirtiofsdOptions, SharesStatus>,
  "file" | "args" | "env" | "stderr" | "endWithParent"
>

/** Beside the vhost-user socket. */
export function controlSocketOf({ socket }: Pick<VirtiofsdOptions, "socket">): string {
  return `${socket}.control`
}

/** A sidecar whose `start` runs a process. */
export function virtiofsdProcess(
  command: VirtiofsdCommand,
): Sidecar<VirtiofsdOptions, SharesStatus, RemoteVirtiofsd> {
  return spawn<VirtiofsdOptions, SharesStatus, RemoteVirtiofsd>(
    {
      name: "virtiofsd",
      control: controlSocketOf,
      ...command,
      parseOptions: parseVirtiofsdOptions,
      parseStatus: parseSharesStatus,
    },
    remoteVirtiofsd,
  )
}

export interface AdoptVirtiofsd {
  readonly control: string
  readonly signal: AbortSignal
  readonly emit?: (event: SidecarEvent) => void
}

/** Connects to one that runs. Rejects with "unreachable" when there is none. */
export async function adoptVirtiofsd(options: AdoptVirtiofsd): Promise<RemoteVirtiofsd> {
  return remoteVirtiofsd(await adopt({ ...options, parseStatus: parseSharesStatus }))
}

function remoteVirtiofsd(remote: Remote<SharesStatus>): RemoteVirtiofsd {
  return sharesClient(remote)
}
