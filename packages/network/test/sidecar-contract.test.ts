import { once } from "node:events"
import { existsSync } from "node:fs"
import type { Sidecar } from "@skep/contract"
import {
  freeRule,
  loneNetwork,
  networkContract,
  type SidecarFixture,
  sidecarContract,
  testContext,
} from "@skep/contract-tests"
import { processesMentioning, temporaryDirectory } from "@skep/testkit"
import { afterAll } from "vitest"
import { controlSocketOf, dnsSocketOf, type NetworkOptions, ownPaths } from "../src/options.ts"
import type { SkepNetworkStatus } from "../src/status.ts"
import type { SkepNetwork } from "../src/verbs.ts"
import { bundleStandIn } from "./bundle.ts"
import { machineOn, standInOf, standInProcess } from "./stand-in.ts"

type AnyNetwork = Sidecar<NetworkOptions, SkepNetworkStatus, SkepNetwork>

async function fixture(
  sidecar: AnyNetwork,
): Promise<SidecarFixture<NetworkOptions, SkepNetworkStatus, SkepNetwork>> {
  const directory = await temporaryDirectory()
  const { hostPort } = await freeRule("tcp")
  const input = (index: 0 | 1) => ({
    directory: directory.at(String(index)),
    name: `net${index}`,
    vhostUser: [`web=${directory.at(`web${index}.sock`)}`],
    qemu: [`db=${directory.at(`db${index}.sock`)}`],
    ...(index === 0 ? { forward: [`web=${hostPort}:80`] } : {}),
  })
  return {
    sidecar,
    input,
    bad: [
      undefined,
      {},
      { ...input(0), directory: "relative" },
      { ...input(0), subnet: "10.0.0.0" },
      { ...input(0), qemu: ["web=/tmp/x.sock"] },
      { ...input(0), more: 1 },
    ],
    hold: () => machineOn(directory.at("web0.sock")),
    crash: async () => {
      const machine = await machineOn(directory.at("db0.sock"))
      machine.write("x")
      if (!machine.closed) await once(machine, "close")
    },
    leftovers: async () => {
      const options = sidecar.parseOptions(input(0))
      const paths = [...ownPaths(options), controlSocketOf(options), dnsSocketOf(options)]
      const locks = [...paths, `${options.directory}/network`].map((path) => `${path}.lock`)
      return [
        ...[...paths, ...locks].filter((path) => existsSync(path)),
        ...processesMentioning(controlSocketOf(options)),
      ]
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

const bundle = await bundleStandIn()
afterAll(() => bundle[Symbol.dispose]())

const sidecars: Readonly<Record<string, AnyNetwork>> = {
  "in process": standInOf(bundle.thread),
  spawned: standInProcess(bundle),
}

for (const [name, sidecar] of Object.entries(sidecars)) {
  sidecarContract({ name: `network ${name}`, open: () => fixture(sidecar) })
  networkContract({
    name: `network ${name}`,
    open: () =>
      loneNetwork((directory) => {
        const words = { directory: directory.at("net"), qemu: [`web=${directory.at("web.sock")}`] }
        return sidecar.start(sidecar.parseOptions(words), testContext())
      }),
  })
}
