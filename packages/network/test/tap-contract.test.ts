/**
 * The network itself, with packets: what a guest gets of it on a TAP interface with a vnet header, in a namespace that is not the network's.
 *
 * @module
 */
import {
  killNetwork,
  loneNetwork,
  namespaceGuestUnavailable,
  networkContract,
  type TrafficFixture,
  tapGuest,
  testContext,
} from "@skep/contract-tests"
import { processesMentioning, temporaryDirectory } from "@skep/testkit"
import { afterAll } from "vitest"
import { networkProcess, type RemoteNetwork } from "../src/client.ts"
import { bundleNetwork } from "./bundle.ts"
import { ownNames } from "./own-names.ts"

const MAC = "52:54:00:00:00:08"
const MACHINE = "web"

const bundle = await bundleNetwork()
afterAll(() => bundle[Symbol.dispose]())

const sidecar = networkProcess({ file: process.execPath, args: [bundle.file], endWithParent: true })

/** Of a guest, or of nobody. */
async function start(directory: string, pid?: number): Promise<RemoteNetwork> {
  const tap = pid === undefined ? {} : { tap: [`${MACHINE}=eth0@${pid}`] }
  const words = { directory, ...tap, policy: "loopback" }
  return await sidecar.start(sidecar.parseOptions(words), testContext())
}

const isRoot = process.getuid?.() === 0

networkContract({
  name: "skep-network, spawned, on a TAP interface",
  open: () => loneNetwork((directory) => start(directory.at("net"))),
  traffic: {
    // Entering another's namespace takes privileges over it, which who made it as a user alone has only within.
    unavailable: isRoot ? namespaceGuestUnavailable() : "only root enters a namespace that others made",
    open: openTraffic,
  },
})

async function openTraffic(): Promise<TrafficFixture> {
  const directory = await temporaryDirectory()
  const guest = await tapGuest(MAC)
  let network = await start(directory.at("net"), guest.pid)
  return {
    network,
    guest,
    names: await ownNames(network),
    restart: async () => {
      await killNetwork(network, network.identity.pid)
      network = await start(directory.at("net"), guest.pid)
      return network
    },
    [Symbol.asyncDispose]: async () => {
      await network[Symbol.asyncDispose]()
      await guest[Symbol.asyncDispose]()
      if (processesMentioning(directory.at("net")).length > 0) throw new Error("the network left something")
      await directory[Symbol.asyncDispose]()
    },
  }
}
