/**
 * The network itself, with packets: what a guest gets of it, over QEMU's stream.
 *
 * @module
 */
import { existsSync } from "node:fs"
import {
  namespaceGuest,
  namespaceGuestUnavailable,
  networkContract,
  type TrafficFixture,
  testContext,
} from "@skep/contract-tests"
import { processesMentioning, temporaryDirectory } from "@skep/testkit"
import { afterAll } from "vitest"
import { networkProcess, type RemoteNetwork } from "../src/client.ts"
import { controlSocketOf } from "../src/options.ts"
import { bundleNetwork } from "./bundle.ts"

const MAC = "52:54:00:00:00:07"
const MACHINE = "web"

const bundle = await bundleNetwork()
afterAll(() => bundle[Symbol.dispose]())

const sidecar = networkProcess({ file: process.execPath, args: [bundle.file], endWithParent: true })

async function start(directory: string, socket: string): Promise<RemoteNetwork> {
  const words = { directory, qemu: [`${MACHINE}=${socket}`], policy: "loopback" }
  return await sidecar.start(sidecar.parseOptions(words), testContext())
}

networkContract({
  name: "skep-network, spawned, over QEMU's stream",
  open: async () => {
    const directory = await temporaryDirectory()
    const network = await start(directory.at("net"), directory.at("web.sock"))
    return {
      network,
      [Symbol.asyncDispose]: async () => {
        await network[Symbol.asyncDispose]()
        await directory[Symbol.asyncDispose]()
      },
    }
  },
  traffic: { unavailable: namespaceGuestUnavailable(), open: openTraffic },
})

async function openTraffic(): Promise<TrafficFixture> {
  const directory = await temporaryDirectory()
  const socket = directory.at("web.sock")
  let network = await start(directory.at("net"), socket)
  const { plan } = await network.status()
  const guest = await namespaceGuest({ socket, mac: MAC })
  return {
    network,
    guest,
    names: {
      "host.docker.internal": plan.host,
      "gateway.docker.internal": plan.gateway,
      "host.skep.internal": plan.host,
    },
    restart: async () => {
      process.kill(network.identity.pid, "SIGKILL")
      await network.closed.catch(() => undefined)
      await network[Symbol.asyncDispose]()
      network = await start(directory.at("net"), socket)
      await guest.rejoined()
      return network
    },
    [Symbol.asyncDispose]: async () => {
      await guest[Symbol.asyncDispose]()
      await network[Symbol.asyncDispose]()
      const control = controlSocketOf(sidecar.parseOptions({ directory: directory.at("net") }))
      if (existsSync(control) || processesMentioning(control).length > 0)
        throw new Error("the network left something")
      await directory[Symbol.asyncDispose]()
    },
  }
}
