/**
 * Fixtures that networks share: one alone in a directory, and one with a guest on QEMU's stream.
 *
 * @module
 */
import type { NetworkRunning } from "@skep/contract"
import { processesMentioning, type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { namespaceGuest } from "./guest/namespace.ts"
import type { NetworkFixture } from "./network-contract.ts"
import type { TrafficFixture } from "./network-traffic.ts"

/** A network that has nothing but a directory of its own. */
export async function loneNetwork(
  start: (directory: TemporaryDirectory) => Promise<NetworkRunning>,
): Promise<NetworkFixture> {
  const directory = await temporaryDirectory()
  const network = await start(directory)
  return {
    network,
    [Symbol.asyncDispose]: async () => {
      await network[Symbol.asyncDispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}

export interface StreamNetwork<R extends NetworkRunning> extends Pick<TrafficFixture, "hostAddress"> {
  /** Starts it with its machine's stream on `socket`; again after it was killed. */
  readonly start: (socket: string, directory: TemporaryDirectory) => Promise<R>
  /** The process to kill. */
  readonly pidOf: (socket: string, network: R) => number
  /** The guest's. */
  readonly mac: string
  /** Names that the network itself knows, and an address of each. */
  readonly names?: (network: R) => Promise<TrafficFixture["names"]>
}

/** A network with a guest in a namespace behind QEMU's stream. Disposing it rejects when a process of it is left. */
export async function streamTraffic<R extends NetworkRunning>({
  start,
  pidOf,
  mac,
  names,
  ...known
}: StreamNetwork<R>): Promise<TrafficFixture> {
  const directory = await temporaryDirectory()
  const socket = directory.at("machine.sock")
  let network = await start(socket, directory)
  const guest = await namespaceGuest({ socket, mac })
  return {
    ...known,
    network,
    guest,
    names: (await names?.(network)) ?? {},
    restart: async () => {
      await killNetwork(network, pidOf(socket, network))
      network = await start(socket, directory)
      await guest.rejoined()
      return network
    },
    [Symbol.asyncDispose]: async () => {
      await guest[Symbol.asyncDispose]()
      await network[Symbol.asyncDispose]()
      const left = processesMentioning(directory.path)
      if (left.length > 0) throw new Error(`the network left ${left.join("\n")}`)
      await directory[Symbol.asyncDispose]()
    },
  }
}

/** Kills the process of a network without a word, and puts away what is left of the network here. */
export async function killNetwork(network: NetworkRunning, pid: number): Promise<void> {
  process.kill(pid, "SIGKILL")
  await network.closed.catch(() => undefined)
  await network[Symbol.asyncDispose]()
}
