/**
 * Who serves a machine's network: QEMU itself, or a program of its own.
 *
 * One that many machines share fits too: `ready` asks it for a link for this machine, and disposal gives that back.
 *
 * @module
 */
import type { LauncherStatus, NetworkRunning } from "@skep/contract"
import type { LauncherOptions } from "@skep/launcher"
import { type NetworkLink, PROVIDERS, type Provider } from "../../../machine/schema.ts"
import type { VmContext } from "../context.ts"
import { GVPROXY } from "./gvproxy.ts"
import { OwnNetwork } from "./own.ts"
import { PASST } from "./passt.ts"
import { SkepNetwork } from "./skep.ts"
import { userNetwork } from "./user.ts"

/** Disposing it ends what it started for the machine, which is over. */
export interface MachineNetwork extends AsyncDisposable {
  readonly provider: Provider
  /** Whether clients beyond this host get an answer from a forward. */
  readonly answersOthers: boolean
  /** Resolves when the machine may be started: QEMU or its guest would find nobody before. */
  ready(): Promise<void>
  /** Where the machine finds its host, once it is ready: what Docker calls `host-gateway`. */
  hostAddress(): Promise<string>
  /** What the machine's description says of it. */
  describe(): LauncherOptions["network"]
  /** The role, for the machine's published ports. `onRenewed`: another program serves it now, which has none of the forwards. */
  attach(signal: AbortSignal, onRenewed: () => void): Promise<NetworkRunning>
  /** Lets go of it: what serves the machine stays with it. */
  release(): Promise<void>
}

/** Begins at once. `link`: the way to Skep's network; the best one to be had, unless told. */
export function networkOf(context: VmContext, provider: Provider, link?: NetworkLink): MachineNetwork {
  switch (provider) {
    case "skep":
      return new SkepNetwork(context, link)
    case "user":
      return userNetwork(context)
    case "passt":
      return new OwnNetwork(context, PASST)
    case "gvproxy":
      return new OwnNetwork(context, GVPROXY)
  }
}

/** The network of a machine that runs: it may have been told to change at its next start. */
export function networkOfRunning(
  context: VmContext,
  { network }: Pick<LauncherStatus, "network">,
): MachineNetwork {
  return networkOf(context, providerOf(network), network?.kind === "stream" ? "stream" : "vhost-user")
}

/** Whether it is the one that a machine runs with. */
export function serves(mine: MachineNetwork, { network }: Pick<LauncherStatus, "network">): boolean {
  if (mine.provider !== providerOf(network)) return false
  return mine.provider !== "skep" || mine.describe().kind === network?.kind
}

function providerOf(network: LauncherStatus["network"]): Provider {
  return PROVIDERS.find((provider) => provider === network?.provider) ?? "user"
}
