/**
 * The sidecar in a process of its own, which outlives the one that starts it: `import … from "@skep/shares/client"`.
 *
 * Loads neither the loop nor its native code, so that programs which only start, adopt and ask stay light.
 *
 * @module
 */
import type { Instance, Sidecar, SidecarEvent } from "@skep/contract"
import { adopt, type Remote, type SpawnCommand, sharesClient, spawn } from "@skep/runtime"
import { parseSharesOptions, type SharesOptions } from "./options.ts"
import { ownersClient } from "./owners/verbs.ts"
import { parseSkepSharesStatus, type SkepShares, type SkepSharesStatus } from "./status.ts"

export { type GuestWay, type NfsPlace, parseSharesOptions, type SharesOptions } from "./options.ts"
export { piecesOf } from "./owners/pieces.ts"
export { parseLines, records, type ShareOwners, type TakenOwners } from "./owners/verbs.ts"
export { parseSkepSharesStatus, type SkepShares, type SkepSharesStatus } from "./status.ts"

/** How to run the sidecar's `main`: `node shares.js`, or from source with the flags of a loader. */
export interface SharesCommand
  extends Pick<
    SpawnCommand<SharesOptions, SkepSharesStatus>,
    "file" | "args" | "env" | "stderr" | "endWithParent" | "without"
  > {
  /** The control socket; `controlSocketOf` unless told. */
  readonly control?: (options: SharesOptions) => string
}

/** The shares of a machine in another process. Disposing it stops that process. */
export interface RemoteShares extends SkepShares {
  readonly identity: Instance
  /** Stops watching and leaves the sidecar running. `closed` never settles after this. */
  release(): void
}

/** Beside the vhost-user socket. */
export function controlSocketOf({ socket }: Pick<SharesOptions, "socket">): string {
  return `${socket}.control`
}

/** A sidecar whose `start` runs a process. */
export function sharesProcess(
  command: SharesCommand,
): Sidecar<SharesOptions, SkepSharesStatus, RemoteShares> {
  return spawn<SharesOptions, SkepSharesStatus, RemoteShares>(
    {
      name: "shares",
      control: controlSocketOf,
      ...command,
      parseOptions: (input) => parseSharesOptions(input),
      parseStatus: parseSkepSharesStatus,
    },
    remoteShares,
  )
}

export interface AdoptShares {
  /** The control socket of the sidecar. */
  readonly control: string
  readonly signal: AbortSignal
  readonly emit?: (event: SidecarEvent) => void
  /** Types of events that `emit` is not told: "file-event" comes in storms. */
  readonly without?: readonly string[]
}

/** Connects to a sidecar that runs. Rejects with "unreachable" when there is none, "timeout" when it does not answer. */
export async function adoptShares(options: AdoptShares): Promise<RemoteShares> {
  return remoteShares(await adopt({ ...options, parseStatus: parseSkepSharesStatus }))
}

function remoteShares(remote: Remote<SkepSharesStatus>): RemoteShares {
  return { ...sharesClient(remote), owners: ownersClient(remote) }
}
