/**
 * An adapter of one machine's network in a process of its own, which outlives the one that starts it.
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

/** How to run its `main`. */
export type AdapterCommand<Options> = Pick<
  SpawnCommand<Options, NetworkStatus>,
  "file" | "args" | "env" | "stderr" | "endWithParent"
>

/** An adapter in another process. Disposing it stops that process. */
export interface RemoteAdapter extends NetworkRunning {
  readonly identity: Instance
  /** Stops watching and leaves it running. `closed` never settles after this. */
  release(): void
}

/** Where the machine finds the network. */
interface Served {
  readonly socket: string
}

/** Beside the socket of the network. */
export function controlSocketOf({ socket }: Served): string {
  return `${socket}.control`
}

/** A sidecar whose `start` runs a process. */
export function adapterProcess<Options extends Served>(
  name: string,
  parseOptions: (input: unknown) => Options,
  command: AdapterCommand<Options>,
): Sidecar<Options, NetworkStatus, RemoteAdapter> {
  return spawn<Options, NetworkStatus, RemoteAdapter>(
    { name, control: controlSocketOf, ...command, parseOptions, parseStatus: parseNetworkStatus },
    remoteAdapter,
  )
}

export interface AdoptAdapter {
  readonly control: string
  readonly signal: AbortSignal
  readonly emit?: (event: SidecarEvent) => void
}

/** Connects to one that runs. Rejects with "unreachable" when there is none. */
export async function adoptAdapter(options: AdoptAdapter): Promise<RemoteAdapter> {
  return remoteAdapter(await adopt({ ...options, parseStatus: parseNetworkStatus }))
}

function remoteAdapter(remote: Remote<NetworkStatus>): RemoteAdapter {
  return { ...networkClient(remote), identity: remote.identity, release: () => remote.release() }
}
