/**
 * skep-network as one more peer: the only file of the benchmark that knows its command line.
 *
 * @module
 */
import { existsSync } from "node:fs"
import { join } from "node:path"
import { LEAN } from "@skep/runtime"
import type { GuestAddress, LinkKind, Peer, PeerContext, RunningPeer } from "./peer.ts"
import { start } from "./process.ts"

/** What rows call ours. */
export const OURS = "skep-network"

const program = join(import.meta.dirname, "../../../apps/skep/dist/programs/network.js")

const MACHINE = "box"

const OUR_GUEST: GuestAddress = {
  address: "192.168.64.2",
  prefix: 24,
  gateway: "192.168.64.1",
  host: "192.168.64.1",
}

export type Driver = "loop" | "node"

interface Words {
  readonly directory: string
  readonly mtu: number
  readonly port: number
  readonly driver: Driver
}

/** The built program with a link and its guest's forwards. */
function ourCommand(link: readonly string[], { directory, mtu, port, driver }: Words): readonly string[] {
  const forward = `0.0.0.0:${port}:${OUR_GUEST.address}:${port}`
  const forwards = ["--forward", forward, "--forward", `${forward}/udp`]
  const words = ["--directory", directory, "--mtu", String(mtu), "--policy", "loopback", "--driver", driver]
  // As the skep command starts it.
  return [process.execPath, ...LEAN, program, ...words, ...link, ...forwards]
}

function ourMissing(): string | undefined {
  return existsSync(program) ? undefined : "skep-network is not built"
}

/** Over vhost-user, for a machine whose QEMU connects to the socket. */
export function oursInMachine(mtu: number): Peer {
  return {
    ...ours("stream", mtu),
    start: async (context) =>
      await started(context, ["--vhost-user", `${MACHINE}=${context.link}`], mtu, "loop"),
  }
}

export function ours(kind: LinkKind, mtu: number, driver: Driver = "loop"): Peer {
  const link = ({ link: at, guest }: PeerContext): readonly string[] =>
    kind === "tap" ? ["--tap", `${MACHINE}=${at}@${guest}`] : ["--qemu", `${MACHINE}=${at}`]
  return {
    name: OURS,
    variant: String(mtu),
    kind,
    mtu,
    guest: OUR_GUEST,
    missing: ourMissing,
    start: async (context) => await started(context, link(context), mtu, driver),
  }
}

async function started(
  context: PeerContext,
  link: readonly string[],
  mtu: number,
  driver: Driver,
): Promise<RunningPeer> {
  const directory = `${context.log}.d`
  const argv = ourCommand(link, { directory, mtu, port: context.port, driver })
  return { program: await start(argv, { namespace: context.host, log: context.log, untilLine: true }) }
}
