// The network on Node's own sockets: as a sidecar, for a guest, and in what it says of its driver.

import { once } from "node:events"
import { existsSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import type { Sidecar } from "@skep/contract"
import {
  freeRule,
  loneNetwork,
  namespaceGuestUnavailable,
  networkContract,
  sidecarContract,
  streamTraffic,
  testContext,
} from "@skep/contract-tests"
import { available } from "@skep/loop"
import { processesMentioning, type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { afterAll, describe, expect, it } from "vitest"
import { networkProcess, type RemoteNetwork } from "../../src/client.ts"
import { keepLeases } from "../../src/dhcp/lease-store.ts"
import { serveNames } from "../../src/names/host-names.ts"
import { createNetwork } from "../../src/network.ts"
import { controlSocketOf, dnsSocketOf, type NetworkOptions, ownPaths } from "../../src/options.ts"
import type { SkepNetworkStatus } from "../../src/status.ts"
import { nodeEngine } from "../../src/thread/node-engine.ts"
import type { SkepNetwork } from "../../src/verbs.ts"
import { bundleNodeNetwork } from "../bundle.ts"
import { ownNames } from "../own-names.ts"
import { machineOn } from "../stand-in.ts"

type AnyNetwork = Sidecar<NetworkOptions, SkepNetworkStatus, SkepNetwork>

const bundle = await bundleNodeNetwork()
afterAll(() => bundle[Symbol.dispose]())

/** In this process, without a loop: the driver is chosen. */
const inProcess = createNetwork({
  engines: { node: nodeEngine(bundle.thread) },
  startNames: serveNames,
  openLeases: keepLeases,
  routes: () => [],
})
const spawned = networkProcess({ file: process.execPath, args: [bundle.file], endWithParent: true })
const kinds: Readonly<Record<string, AnyNetwork>> = { "in process": inProcess, spawned }

for (const [name, sidecar] of Object.entries(kinds)) {
  sidecarContract({
    name: `network on Node's sockets, ${name}`,
    open: async () => {
      const directory = await temporaryDirectory()
      const { hostPort } = await freeRule("tcp")
      const input = (index: 0 | 1) => ({
        directory: directory.at(String(index)),
        name: `net${index}`,
        driver: "node",
        policy: "loopback",
        qemu: [`web=${directory.at(`web${index}.sock`)}`],
        ...(index === 0 ? { forward: [`web=${hostPort}:80`] } : {}),
      })
      const options = sidecar.parseOptions(input(0))
      return {
        sidecar,
        input,
        bad: [undefined, { ...input(0), driver: "dpdk" }],
        hold: () => machineOn(directory.at("web0.sock")),
        crash: async (running) => {
          // One in this process is asked to by its thread's own way.
          if (isRemote(running)) process.kill(running.identity.pid, "SIGKILL")
          else writeFileSync(directory.at("0/crash"), "")
        },
        leftovers: async () => {
          const paths = [...ownPaths(options), controlSocketOf(options), dnsSocketOf(options)]
          const locks = [...paths, `${options.directory}/network`].map((path) => `${path}.lock`)
          return [
            ...[...paths, ...locks].filter((path) => existsSync(path)),
            ...processesMentioning(controlSocketOf(options)),
          ]
        },
        [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
      }
    },
  })
}

function isRemote(network: SkepNetwork): network is RemoteNetwork {
  return "identity" in network
}

networkContract({
  name: "network on Node's sockets, spawned",
  open: () => loneNetwork((directory) => start(directory.at("web.sock"), directory)),
  traffic: {
    unavailable: namespaceGuestUnavailable(),
    open: () =>
      streamTraffic({
        start,
        pidOf: (_socket, { identity }) => identity.pid,
        mac: "52:54:00:00:00:11",
        names: ownNames,
      }),
  },
})

function start(socket: string, directory: TemporaryDirectory): Promise<RemoteNetwork> {
  const words = {
    directory: directory.at("net"),
    driver: "node",
    qemu: [`web=${socket}`],
    policy: "loopback",
  }
  return spawned.start(spawned.parseOptions(words), testContext())
}

describe("the driver", () => {
  it("is chosen and told, with the reason", async () => {
    await using directory = await temporaryDirectory()
    const lines: unknown[] = []
    const context = testContext()
    const log = { ...context.log, info: (_event: string, fields: unknown) => void lines.push(fields) }
    const options = inProcess.parseOptions({ directory: directory.at("net"), policy: "loopback" })
    expect(options.driver).toBeUndefined()
    await using network = await inProcess.start(options, { ...context, log })
    expect((await network.status()).driver).toBe("node")
    const support = available()
    const why = support.available ? "there is no loop" : support.reason
    expect(lines).toContainEqual({ driver: "node", why })
  })

  it("has no TAP and no vhost-user, and says so", async () => {
    await using directory = await temporaryDirectory()
    const options = inProcess.parseOptions({ directory: directory.at("net"), policy: "loopback" })
    await using network = await inProcess.start(options, testContext())
    const socket = directory.at("x.sock")
    const links = [
      { kind: "vhost-user", machine: "db", socket },
      { kind: "tap", machine: "db", interface: "tap0" },
    ] as const
    for (const link of links) {
      await expect(network.addLink(link)).rejects.toMatchObject({
        code: "unsupported",
        message: `Cannot add a link for "db": the driver "node" has no ${link.kind}`,
      })
    }
    expect(await network.addLink({ kind: "qemu", machine: "db", socket })).toEqual({ endpoint: socket })
    await network.removeLink("db")
    expect(existsSync(socket)).toBe(false)
  })

  it("refuses a forward whose port is taken, and forgets it", async () => {
    await using directory = await temporaryDirectory()
    const options = inProcess.parseOptions({ directory: directory.at("net"), policy: "loopback" })
    await using network = await inProcess.start(options, testContext())
    const taken = createServer().listen(0, "127.0.0.1")
    await once(taken, "listening")
    const address = taken.address()
    if (typeof address !== "object" || address === null) throw new Error("no port")
    const rule = {
      transport: "tcp",
      hostAddress: "127.0.0.1",
      hostPort: address.port,
      guestPort: 80,
    } as const
    await expect(network.forward(rule)).rejects.toMatchObject({ code: "address-in-use" })
    expect(await network.forwards()).toEqual([])
    taken.close()
    await once(taken, "close")
    // Two who ask at one time have one listener.
    const both = await Promise.all([network.forward(rule), network.forward(rule)])
    expect((await network.forwards()).length).toBe(1)
    for (const forward of both) await forward[Symbol.asyncDispose]()
    expect(await network.forwards()).toEqual([])
  })
})
