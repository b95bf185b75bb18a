/**
 * The network itself, with packets: what a guest gets of it, over QEMU's stream.
 *
 * @module
 */
import {
  loneNetwork,
  namespaceGuestUnavailable,
  networkContract,
  streamTraffic,
  testContext,
} from "@skep/contract-tests"
import type { TemporaryDirectory } from "@skep/testkit"
import { afterAll } from "vitest"
import { networkProcess, type RemoteNetwork } from "../src/client.ts"
import { bundleNetwork } from "./bundle.ts"
import { ownNames } from "./own-names.ts"

const bundle = await bundleNetwork()
afterAll(() => bundle[Symbol.dispose]())

const sidecar = networkProcess({ file: process.execPath, args: [bundle.file], endWithParent: true })

async function start(socket: string, directory: TemporaryDirectory): Promise<RemoteNetwork> {
  const words = { directory: directory.at("net"), qemu: [`web=${socket}`], policy: "loopback" }
  return await sidecar.start(sidecar.parseOptions(words), testContext())
}

networkContract({
  name: "skep-network, spawned, over QEMU's stream",
  open: () => loneNetwork((directory) => start(directory.at("web.sock"), directory)),
  traffic: {
    unavailable: namespaceGuestUnavailable(),
    open: () =>
      streamTraffic({
        start,
        pidOf: (_socket, { identity }) => identity.pid,
        mac: "52:54:00:00:00:07",
        names: ownNames,
      }),
  },
})
