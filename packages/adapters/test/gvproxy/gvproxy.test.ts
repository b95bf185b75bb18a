// The adapter for gvproxy: against gvproxy itself where it is installed, and against skep-network under gvproxy's command line, which has the
// same service and framing.

import { mkdirSync, readFileSync, rmSync } from "node:fs"
import type { NetworkRunning, NetworkStatus, Sidecar } from "@skep/contract"
import {
  freeRule,
  loneNetwork,
  namespaceGuestUnavailable,
  networkContract,
  type SidecarFixture,
  sidecarContract,
  streamTraffic,
  testContext,
} from "@skep/contract-tests"
import { fromSource, leftoversOf, openClient, temporaryDirectory } from "@skep/testkit"
import { afterAll, describe, expect, it } from "vitest"
import { gvproxyApi, proxyOf, ruleOf } from "../../src/gvproxy/api.ts"
import { gvproxyProcess } from "../../src/gvproxy/client.ts"
import { GUEST, gvproxyArguments, HOST } from "../../src/gvproxy/command-line.ts"
import { gvproxy } from "../../src/gvproxy/gvproxy.ts"
import { type GvproxyOptions, parseGvproxyOptions } from "../../src/gvproxy/options.ts"
import { apiSocketOf, recordOf } from "../../src/gvproxy/program.ts"
import { installedGvproxy, standIn } from "./available.ts"

type GvproxySidecar = Sidecar<GvproxyOptions, NetworkStatus, NetworkRunning>

interface Variant {
  readonly name: string
  readonly sidecar: GvproxySidecar
  readonly program: string
  readonly unavailable?: string | undefined
}

const spawned: GvproxySidecar = gvproxyProcess({
  file: process.execPath,
  args: fromSource(import.meta.dirname, "../../src/gvproxy/main.ts"),
  endWithParent: true,
})
const installed = installedGvproxy()
const unavailable = installed === undefined ? "gvproxy is not installed" : undefined
const real = { program: installed ?? "gvproxy", unavailable }
const { program: substitute, [Symbol.dispose]: remove } = await standIn()
afterAll(remove)
const VARIANTS: readonly Variant[] = [
  { name: "gvproxy in process", sidecar: gvproxy, ...real },
  { name: "gvproxy spawned", sidecar: spawned, ...real },
  { name: "gvproxy in process, with a stand-in", sidecar: gvproxy, program: substitute },
]

function pidOf(socket: string): number {
  const { pid }: { readonly pid: number } = JSON.parse(readFileSync(recordOf(socket), "utf8"))
  return pid
}

async function fixture({
  sidecar,
  program,
}: Variant): Promise<SidecarFixture<GvproxyOptions, NetworkStatus, NetworkRunning>> {
  const directory = await temporaryDirectory()
  mkdirSync(directory.at("s"), { mode: 0o700 })
  const input = (index: number): unknown => ({ socket: directory.at("s", `${index}.sock`), program })
  return {
    sidecar,
    input,
    bad: [
      undefined,
      {},
      { socket: "net.sock" },
      { socket: "/x", mtu: 70_000 },
      { socket: "/x", policy: "loopback" },
      { socket: "/x", forwards: [{ transport: "sctp" }] },
    ],
    // A client of the service: the machine's end of the stream would end gvproxy with it.
    hold: (running) => openClient(apiSocketOf(running.endpoints[0] ?? "")),
    crash: async () => void process.kill(pidOf(directory.at("s", "0.sock")), "SIGKILL"),
    leftovers: async () => {
      // What stands in for it has a directory of its own.
      rmSync(directory.at("s", "0.sock.d"), { recursive: true, force: true })
      const left = await leftoversOf(directory.at("s", "0.sock"))
      return left.filter((line) => !line.endsWith(".lock"))
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

/** Of gvproxy itself as its documents tell, and not run here: whoever has it finds the ones that are wrong. */
const GAPS = {
  "forwards to another address of the guest": "the adapter leads to the guest's own address",
  "announces an IPv6 network, and answers for its router": "gvproxy has IPv4 only",
}
const GAPS_OF_STAND_IN = {
  "forwards to another address of the guest": "the adapter leads to the guest's own address",
}

for (const variant of VARIANTS) {
  const { name, sidecar, program } = variant
  const start = async (socket: string): Promise<NetworkRunning> =>
    await sidecar.start(sidecar.parseOptions({ socket, program }), testContext())
  sidecarContract({ name, unavailable: variant.unavailable, open: () => fixture(variant) })
  networkContract({
    name,
    unavailable: variant.unavailable,
    gaps: program === substitute ? GAPS_OF_STAND_IN : GAPS,
    open: () => loneNetwork((directory) => start(directory.at("net.sock"))),
    traffic: {
      unavailable: namespaceGuestUnavailable(),
      open: () =>
        streamTraffic({
          start,
          pidOf,
          mac: GUEST.mac,
          hostAddress: HOST,
          names: async () => ({ "host.docker.internal": HOST, "host.containers.internal": HOST }),
        }),
    },
  })
}

describe("gvproxyArguments()", () => {
  it("writes this command line", () => {
    const { socket, mtu } = parseGvproxyOptions({ socket: "/r/net.sock" })
    expect(gvproxyArguments({ socket, mtu }, "/r/api").join(" ")).toBe(
      "-listen unix:///r/api -listen-qemu unix:///r/net.sock -mtu 65520 -ssh-port -1",
    )
  })
})

describe("proxyOf() and ruleOf()", () => {
  it.each([
    [{ transport: "tcp", hostAddress: "127.0.0.1", hostPort: 8080, guestPort: 80 }, "127.0.0.1:8080"],
    [{ transport: "udp", hostAddress: "::1", hostPort: 53, guestPort: 5353 }, "[::1]:53"],
  ] as const)("write %j in gvproxy's words, and read it", (rule, local) => {
    const remote = `192.168.127.2:${rule.guestPort}`
    expect(proxyOf(rule)).toEqual({ local, remote, protocol: rule.transport })
    expect(proxyOf({ ...rule, guestAddress: "192.168.127.2" })).toEqual(proxyOf(rule))
    expect(ruleOf(proxyOf(rule))).toEqual(rule)
  })
  it("refuse what leads elsewhere", () => {
    const rule = { transport: "tcp", hostAddress: "127.0.0.1", hostPort: 1, guestPort: 1 } as const
    expect(() => proxyOf({ ...rule, guestAddress: "127.0.0.1" })).toThrow(
      expect.objectContaining({ code: "unsupported" }),
    )
  })
  it("pass over what is no forward to the guest", () => {
    const there = { local: ":2222", remote: "192.168.127.2:22", protocol: "tcp" }
    expect(ruleOf(there)).toMatchObject({ hostAddress: "0.0.0.0", hostPort: 2222 })
    for (const change of [
      { protocol: "unix", local: "/tmp/x.sock" },
      { remote: "192.168.127.3:22" },
      { remote: "vm:22" },
      { local: "localhost:2222" },
      { local: "2222" },
    ])
      expect(ruleOf({ ...there, ...change })).toBeUndefined()
  })
})

describe("the adapter", () => {
  it("says host-program-missing where there is none, and what to do", async () => {
    await using directory = await temporaryDirectory()
    const options = gvproxy.parseOptions({ socket: directory.at("s"), program: "no-such-gvproxy" })
    await expect(gvproxy.start(options, testContext())).rejects.toMatchObject({
      code: "host-program-missing",
      message: 'Cannot start "no-such-gvproxy": there is no such program on this host',
      next: expect.stringContaining("SKEP_GVPROXY"),
    })
    expect((await leftoversOf(directory.at("s"))).filter((line) => !line.endsWith(".lock"))).toEqual([])
  })

  it("tells the last words of one that will not start", async () => {
    await using directory = await temporaryDirectory()
    const options = gvproxy.parseOptions({ socket: directory.at("s"), program: "false" })
    await expect(gvproxy.start(options, testContext())).rejects.toMatchObject({ code: "crashed" })
  })

  it("has the forwards of its options from the start, and what others asked of gvproxy in its status", async () => {
    await using directory = await temporaryDirectory()
    const [first, second] = [await freeRule("tcp"), await freeRule("udp")]
    const socket = directory.at("s")
    const options = gvproxy.parseOptions({ socket, program: substitute, forwards: [first] })
    await using running = await gvproxy.start(options, testContext())
    expect((await running.status()).forwards).toEqual([first])
    const api = gvproxyApi(apiSocketOf(socket))
    const { signal } = new AbortController()
    await api.expose(proxyOf(second), signal)
    expect(new Set((await running.status()).forwards)).toEqual(new Set([first, second]))
    await expect(api.expose(proxyOf(second), signal)).rejects.toMatchObject({
      code: "address-in-use",
      message: expect.stringContaining("proxy already running"),
    })
    const foreign = { ...proxyOf(second), local: "192.0.2.1:80" }
    await expect(api.expose(foreign, signal)).rejects.toMatchObject({ code: "permission-denied" })
    await expect(api.expose({ ...foreign, remote: "nobody" }, signal)).rejects.toMatchObject({
      code: "unsupported",
    })
    for (let round = 0; round < 2; round++) await api.unexpose(proxyOf(second), signal)
    expect((await running.status()).forwards).toEqual([first])
  })

  it("ends the gvproxy of an adapter that was killed, whose ports are free again", async () => {
    await using directory = await temporaryDirectory()
    const options = spawned.parseOptions({ socket: directory.at("s"), program: substitute })
    const first = await spawned.start(options, testContext())
    const rule = await freeRule("tcp")
    await first.forward(rule)
    const { identity } = first as NetworkRunning & { readonly identity: { readonly pid: number } }
    process.kill(identity.pid, "SIGKILL")
    await expect(first.closed).rejects.toMatchObject({ code: "crashed" })
    await using second = await gvproxy.start(options, testContext())
    expect((await second.status()).forwards).toEqual([])
    await using _forward = await second.forward(rule)
    expect((await second.status()).forwards).toEqual([rule])
  })

  it("ends by itself when no machine comes", async () => {
    await using directory = await temporaryDirectory()
    const options = gvproxy.parseOptions({ socket: directory.at("s"), program: substitute, lonelyMs: 40 })
    const running = await gvproxy.start(options, testContext())
    await running.closed
    await expect(running.status()).rejects.toMatchObject({ code: "not-running" })
  })
})
