// The network's contract with a real machine behind it: Linux's driver over vhost-user, through the keeper, as Skep runs it.
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { createServer, type Server } from "node:net"
import type { NetworkRunning } from "@skep/contract"
import {
  type GuestOutcome,
  LEASE_LINE,
  type NetworkGuest,
  networkContract,
  parseLease,
  type TrafficFixture,
} from "@skep/contract-tests"
import {
  adoptNetwork,
  controlSocketOf,
  machineNetwork,
  parseNetworkOptions,
  type RemoteNetwork,
} from "@skep/network/client"
import { isAlive } from "@skep/runtime"
import { afterAll, beforeAll, expect } from "vitest"
import { homeFrom } from "../../apps/skep/src/home/paths.ts"
import { sharedSkep } from "./skep.ts"

const NAME = "judge"
const OWNER = "contract"
const INTERFACE = "eth0"
const ADOPT_MS = 30_000

const skep = sharedSkep()
const directory = homeFrom(skep.env).networkDirectory
const control = controlSocketOf(parseNetworkOptions({ directory }))
let sink: Server

beforeAll(async () => {
  await skep.run([
    "up",
    NAME,
    "--network",
    "skep,loopback",
    "--memory",
    "768m",
    "--cpus",
    "1",
    "--disk",
    "2g",
  ])
  sink = createServer((socket) => socket.on("error", () => socket.destroy()).resume()).listen(0, "127.0.0.1")
  await once(sink, "listening")
})

afterAll(async () => {
  sink.close()
  await skep.run(["rm", "--force", NAME], { check: false })
})

networkContract({
  name: "skep-network, for a machine over vhost-user",
  open: async () => {
    const network = await adopted()
    return { network: roleOf(network), [Symbol.asyncDispose]: async () => network.release() }
  },
  traffic: { open: openTraffic },
})

function adopted(): Promise<RemoteNetwork> {
  return adoptNetwork({ control, signal: AbortSignal.timeout(ADOPT_MS) })
}

/** The machine's part of it, which is not the suite's to stop. */
function roleOf(network: RemoteNetwork): NetworkRunning {
  return {
    endpoints: network.endpoints,
    closed: network.closed,
    ...machineNetwork(network, NAME, OWNER),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

async function openTraffic(): Promise<TrafficFixture> {
  let network = await adopted()
  const { plan } = await network.status()
  return {
    network: roleOf(network),
    guest,
    hostAddress: plan.gateway,
    names: { "host.docker.internal": plan.host, [`${NAME}.skep.internal`]: await addressIn(network) },
    restart: async () => {
      const { identity } = network
      const address = await addressIn(network)
      const loads = await Promise.all([load(plan.gateway), load(plan.gateway)])
      const before = await skep.json(["status", NAME])
      process.kill(identity.pid, "SIGKILL")
      const since = performance.now()
      while (isAlive(identity)) await new Promise((resolve) => setImmediate(resolve))
      network.release()
      await expect.poll(isBack, { timeout: ADOPT_MS, interval: 10 }).toBe(true)
      process.stdout.write(`the network is back after ${(performance.now() - since).toFixed(0)} ms\n`)
      network = await adopted()
      expect(await addressIn(network)).toBe(address)
      expect((await skep.json(["status", NAME])).vm.process).toEqual(before.vm.process)
      for (const each of loads) each.kill()
      return roleOf(network)
    },
    [Symbol.asyncDispose]: async () => network.release(),
  }
}

async function isBack(): Promise<boolean> {
  try {
    const network = await adopted()
    const there = (await network.links()).some(({ name, connected }) => name === NAME && connected)
    network.release()
    return there
  } catch {
    return false // the old one's socket, or none
  }
}

async function addressIn(network: RemoteNetwork): Promise<string> {
  const { machines } = await network.status()
  return machines.find(({ name }) => name === NAME)?.address ?? "no address"
}

/** A stream of the machine's to the host, under way when this resolves. */
async function load(host: string): Promise<ChildProcess> {
  const address = sink.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  const came = once(sink, "connection")
  const child = skep.start(["shell", NAME, "--", `yes | socat -u - TCP:${host}:${port}`])
  await came
  return child
}

const guest: NetworkGuest = {
  interface: INTERFACE,
  // The machine has a client of its own, which is the same to the server; this one takes the address as that does.
  lease: async () => {
    const line = LEASE_LINE.replaceAll("$INTERFACE", INTERFACE)
    const { stdout, stderr } = await inside(line)
    const lease = parseLease(stdout)
    if (lease === undefined) throw new Error(`No lease: ${stdout}${stderr}`)
    return lease
  },
  run: (line, input) => inside(line, input),
  serve: async (line, ready) => {
    const child = skep.start(["shell", NAME, "--", `echo pid=$$; exec ${line}`])
    let text = ""
    await new Promise<void>((resolve, reject) => {
      const look = (chunk: Buffer): void => {
        text += chunk.toString()
        if (text.includes(ready)) resolve()
      }
      child.stdout?.on("data", look)
      child.stderr?.on("data", look)
      child.once("close", () => reject(new Error(`"${line}" ended in the guest: ${text}`)))
    })
    const pid = /^pid=(\d+)$/m.exec(text)?.[1] ?? ""
    return {
      [Symbol.asyncDispose]: async () => {
        await inside(`kill -9 ${pid}`)
        if (child.exitCode === null) await once(child, "close")
      },
    }
  },
}

function inside(line: string, input?: Uint8Array): Promise<GuestOutcome> {
  const options = input === undefined ? {} : { input: Buffer.from(input) }
  return skep.run(["shell", NAME, "--", line], { check: false, ...options })
}
