// The janitor as a program beside our own network, which is one too: as both run on a host, in Skep's own places.
import { execFile } from "node:child_process"
import { appendFileSync, mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { type LeaseClient, type LeasesFixture, leasesContract, testContext } from "@skep/contract-tests"
import { Cleanup, type Remote, spawn } from "@skep/runtime"
import { temporaryDirectory } from "@skep/testkit"
import { type Bundle, bundle } from "@skep/testkit/bundle"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { leasesSidecar } from "../../src/janitor/leases.ts"
import { leasesClient, parseLeasesStatus } from "../../src/janitor/serve.ts"
import { boot } from "./dhcp-client.ts"
import { toolsIn } from "./tools.ts"

const PACKAGES = fileURLToPath(new URL("../../../", import.meta.url))
const ENTRIES = {
  leases: "leases/src/main.ts",
  network: "network/src/main.ts",
  "network-thread": "network/src/thread.ts",
  "network-node-thread": "network/src/node-thread.ts",
}
const ONE: LeaseClient = { name: "one", mac: "52:54:00:0a:0b:01" }
const TWO: LeaseClient = { name: "two", mac: "52:54:00:0a:0b:02" }
const TEST_MS = 60_000
const execute = promisify(execFile)

let programs: Bundle
beforeAll(async () => {
  programs = await bundle(ENTRIES, { from: PACKAGES })
}, TEST_MS)
afterAll(() => programs[Symbol.dispose]())

leasesContract({
  name: "skep-network",
  open,
  gaps: {
    "changes nothing where it does not understand everything":
      "while it runs it is asked, and the file not changed by us: what somebody wrote into it, it sets aside itself; below is the same of one that does not run",
  },
})

describe("the janitor beside skep-network", () => {
  it(
    "leaves the address of a machine that is on the network, whatever else is known of it",
    async () => {
      await using fixture = await open()
      const { running, lease, attach, has } = fixture
      const addresses = [await lease(ONE), await lease(TWO)]
      await attach(ONE)
      const refused = running.giveBack({ mac: ONE.mac })
      await expect(refused).rejects.toMatchObject({
        code: "busy",
        message: 'Cannot give the address of "one" back: its link is on the network',
      })
      const { removed, kept } = await running.sweep({ stale: true })
      expect([removed.map(({ address }) => address), kept]).toEqual([addresses.slice(1), 1])
      await expect(fixture.prune("--all-stale", "--yes")).rejects.toMatchObject({
        code: 4,
        stderr: expect.stringContaining('Cannot give the address of "one" back: its link is on the network'),
      })
      expect(await Promise.all(addresses.map(has))).toEqual([true, false])
    },
    TEST_MS,
  )
  it(
    "changes the file of one that does not run, so that it starts without the lease, but not a file that it does not understand",
    async () => {
      await using fixture = await open()
      const { running, lease, has, file } = fixture
      const addresses = [await lease(ONE), await lease(TWO)]
      await fixture.stop()
      expect(await running.status()).toMatchObject({ server: "skep", serving: false, leases: 2 })
      const [, second = ""] = addresses
      expect(await running.giveBack({ address: second })).toMatchObject([{ address: second }])
      await fixture.start()
      expect(await running.status()).toMatchObject({ serving: true, leases: 1 })
      expect(await Promise.all(addresses.map(has))).toEqual([true, false])
      await fixture.stop()
      appendFileSync(file, "what nobody knows\n")
      const damaged = readFileSync(file, "utf8")
      await expect(running.giveBack({ mac: ONE.mac })).rejects.toMatchObject({ code: "corrupt-file" })
      expect(readFileSync(file, "utf8")).toBe(damaged)
    },
    TEST_MS,
  )
})

interface NetworkFixture extends LeasesFixture {
  readonly file: string
  /** The command, with the file. Resolves with what it says beside its result. */
  readonly prune: (...words: readonly string[]) => Promise<string>
  /** The machine's link is on the network, whether or not somebody is at its other end. */
  readonly attach: (client: LeaseClient) => Promise<unknown>
  readonly stop: () => Promise<void>
  readonly start: () => Promise<void>
}

async function open(): Promise<NetworkFixture> {
  await using cleanup = new Cleanup()
  const directory = cleanup.use(await temporaryDirectory())
  const home = directory.at("home/.skep")
  const file = join(home, "network/leases.json")
  const place = join(home, "run/network")
  for (const each of [join(home, "network"), place]) mkdirSync(each, { recursive: true, mode: 0o700 })
  let network: Remote<unknown> | undefined
  const start = async (): Promise<void> => {
    network = await startNetwork(place, file)
  }
  const stop = async (): Promise<void> => await network?.[Symbol.asyncDispose]()
  cleanup.defer(stop)
  await start()
  const ask = async (method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<unknown> =>
    await network?.request(method, path, body)
  const socketOf = ({ name }: LeaseClient): string => join(place, `${name}.sock`)
  const attach = (client: LeaseClient): Promise<unknown> =>
    ask("POST", "/links", { kind: "qemu", machine: client.name, mac: client.mac, socket: socketOf(client) })
  const running = cleanup.use(await startJanitor(directory.at("leases.sock"), file, home))
  const owned = cleanup.move()
  return {
    running,
    file,
    prune: async (...words) => {
      const line = [programs.at("leases.js"), "prune", ...words, "--file", file]
      return (await execute(process.execPath, line, { env: environment(home) })).stderr
    },
    attach,
    stop,
    start,
    lease: async (client) => {
      await attach(client)
      const address = await boot(socketOf(client), client)
      await ask("DELETE", `/links/${client.name}`)
      return address
    },
    machine: toolsIn(directory.path).machine,
    has: async (address) => JSON.stringify(await ask("GET", "/leases")).includes(`"${address}"`),
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

interface NetworkWords {
  readonly directory: string
  readonly leaseFile: string
  readonly policy: "loopback"
}

async function startNetwork(directory: string, leaseFile: string): Promise<Remote<unknown>> {
  const sidecar = spawn<NetworkWords, unknown, Remote<unknown>>(
    {
      name: "network",
      file: process.execPath,
      args: [programs.at("network.js")],
      control: () => join(directory, "control.sock"),
      parseOptions: () => ({ directory, leaseFile, policy: "loopback" }),
      parseStatus: (value) => value,
      endWithParent: true,
    },
    (remote) => remote,
  )
  return await sidecar.start(sidecar.parseOptions({}), testContext())
}

/** Where the machines are is known from there alone. */
function environment(home: string): Readonly<Record<string, string>> {
  return { HOME: home, SKEP_HOME: home }
}

async function startJanitor(
  control: string,
  path: string,
  home: string,
): Promise<ReturnType<typeof leasesClient>> {
  const sidecar = spawn(
    {
      name: "leases",
      file: process.execPath,
      args: [programs.at("leases.js"), "serve"],
      env: environment(home),
      control: () => control,
      parseOptions: (input) => leasesSidecar().parseOptions(input),
      parseStatus: parseLeasesStatus,
      endWithParent: true,
    },
    leasesClient,
  )
  const options = sidecar.parseOptions({ path, everyMs: 0, homes: [] })
  return await sidecar.start(options, testContext())
}
