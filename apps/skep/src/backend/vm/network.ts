/**
 * The network of one machine: a place on the network of all, or QEMU's own user network for a machine that has that.
 *
 * @module
 */
import { qemuUser } from "@skep/adapters/qemu-user"
import type { ForwardRule, LauncherStatus, NetworkRunning } from "@skep/contract"
import type { LauncherOptions } from "@skep/launcher"
import type { PolicyMode } from "@skep/network/client"
import { privateDirectory } from "@skep/runtime"
import type { MachinePaths } from "../../home/paths.ts"
import type { MachineRecord } from "../../machine/record.ts"
import type { Policy } from "../../machine/schema.ts"
import type { Membership } from "../network/home-network.ts"
import type { VmContext } from "./context.ts"

/** What the machine's ports need. Disposal lets go of it and leaves what was forwarded. */
export interface PortNetwork extends AsyncDisposable {
  readonly network: Pick<NetworkRunning, "forward" | "status">
  /** Whether it answers nobody but this host. */
  readonly loopbackOnly: boolean
  /** Hears when the network is there again, without the forwards it had. */
  readonly onRestored: (listener: () => void) => void
}

const MODES: Readonly<Record<Policy, PolicyMode>> = {
  open: "open",
  loopback: "loopback",
  restricted: "nothing",
}

/** Puts the machine on the network of all, where that is its network. Before it boots: QEMU waits for the other end of its NIC. */
export async function joinNetwork(context: VmContext): Promise<Membership | undefined> {
  const { network, paths, record } = context
  if (record.network === "user") return undefined
  await privateDirectory(paths.run)
  return await network.join({
    name: record.name,
    mac: record.mac,
    socket: paths.netSocket,
    policy: MODES[record.networkPolicy],
    forwards: [sshForward(record)],
  })
}

/** The network in the description for the launcher. */
export function describeNetwork(paths: MachinePaths, record: MachineRecord): LauncherOptions["network"] {
  const { mac } = record
  if (record.network !== "user") return { kind: "vhost-user", mac, socket: paths.netSocket, provider: "skep" }
  return {
    kind: "qemu-user",
    id: "net0",
    mac,
    // Of the host's own services alone it knows nothing, so that is nothing too.
    restricted: record.networkPolicy !== "open",
    forwards: [sshForward(record)],
  }
}

/** Whether a machine that runs is on the network of all; one of an earlier build has QEMU's. */
export function isOnNetwork({ network }: LauncherStatus): boolean {
  return network?.kind === "vhost-user"
}

/** The network as the machine's ports need it. */
export async function portNetwork(
  context: Pick<VmContext, "paths" | "record" | "log" | "emit">,
  membership: Membership | undefined,
  signal: AbortSignal,
): Promise<PortNetwork> {
  if (membership !== undefined) {
    const undo: (() => void)[] = []
    return {
      network: membership.network,
      loopbackOnly: false,
      onRestored: (listener) => undo.push(membership.onRestored(listener)),
      [Symbol.asyncDispose]: async () => {
        for (const each of undo) each()
      },
    }
  }
  const { paths, record, log, emit } = context
  const network = await qemuUser.start(qemuUser.parseOptions({ qmp: paths.networkMonitor }), {
    signal,
    log,
    emit,
  })
  network.closed.catch(() => undefined) // the launcher says how the machine ended
  return {
    network,
    // QEMU's `restrict=on` drops what is for addresses outside of its own network.
    loopbackOnly: record.networkPolicy !== "open",
    onRestored: () => undefined,
    [Symbol.asyncDispose]: () => Promise.resolve(network[Symbol.asyncDispose]()),
  }
}

/** The way to the guest's sshd. */
export function sshForward(record: MachineRecord): ForwardRule {
  return { transport: "tcp", hostAddress: "127.0.0.1", hostPort: record.sshPort, guestPort: 22 }
}
