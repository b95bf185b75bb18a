import { readFileSync } from "node:fs"
import { join } from "node:path"
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
import { describe, expect, it } from "vitest"
import { passtProcess } from "../../src/passt/client.ts"
import { passtArguments } from "../../src/passt/command-line.ts"
import { isConnected, isListening } from "../../src/passt/company.ts"
import { arpRequest } from "../../src/passt/introduce.ts"
import { leakingInterfaces } from "../../src/passt/localnet.ts"
import { type PasstOptions, parsePasstOptions } from "../../src/passt/options.ts"
import { passt } from "../../src/passt/passt.ts"
import { recordOf } from "../../src/passt/program.ts"
import { passtUnavailable } from "./available.ts"

type PasstSidecar = Sidecar<PasstOptions, NetworkStatus, NetworkRunning>

const MAC = "52:54:00:00:00:07"
const unavailable = passtUnavailable()
const spawned: PasstSidecar = passtProcess({
  file: process.execPath,
  args: fromSource(import.meta.dirname, "../../src/passt/main.ts"),
  endWithParent: true,
})

function pidOf(socket: string): number {
  const { pid }: { readonly pid: number } = JSON.parse(readFileSync(recordOf(socket), "utf8"))
  return pid
}

async function fixture(
  sidecar: PasstSidecar,
): Promise<SidecarFixture<PasstOptions, NetworkStatus, NetworkRunning>> {
  const directory = await temporaryDirectory()
  const input = (index: number): unknown => ({ socket: directory.at(`${index}.sock`), policy: "loopback" })
  return {
    sidecar,
    input,
    bad: [
      undefined,
      {},
      { socket: "net.sock" },
      { socket: "/x", policy: "closed" },
      { socket: "/x", address: "10.0.0.1", gateway: "10.0.0.1" },
      { socket: "/x", mtu: 70_000 },
      { socket: "/x", forwards: [{ transport: "sctp" }] },
    ],
    // The machine: it joins, and stays to the end.
    hold: (running) => openClient(running.endpoints[0] ?? ""),
    crash: async () => void process.kill(pidOf(directory.at("0.sock")), "SIGKILL"),
    leftovers: async () => {
      const left = await leftoversOf(directory.at("0.sock"))
      return left.filter((line) => !line.endsWith(".lock"))
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

/** As Debian 12 has it, of 2023-03-09. */
const GAPS = {
  "forwards to another address of the guest": "passt leads to the guest's own address",
  "forwards from an IPv6 address of the host": "the adapter gives it IPv4 only",
  "announces an IPv6 network, and answers for its router": "the adapter gives it IPv4 only",
  "resolves its own names": "passt has none",
  "keeps a stream half open whose guest has ended": "passt does not pass on the host's end after the guest's",
  "keeps a stream through a forward half open whose host's end has ended":
    "an end that comes with the first data is lost",
  "carries what the guest says first":
    "passt lets the guest wait for its acknowledgement until the host's end says something",
  "refuses the guest a port where nobody listens":
    "passt's reset lacks the acknowledgement, so that the guest ignores it",
  "keeps open connections while forwards come and go":
    "passt takes its ports at its start, so that each change is another passt",
}

for (const [name, sidecar] of Object.entries({ "in process": passt, spawned })) {
  const start = async (socket: string): Promise<NetworkRunning> =>
    await sidecar.start(sidecar.parseOptions({ socket, policy: "loopback", mac: MAC }), testContext())
  sidecarContract({ name: `passt ${name}`, unavailable, open: () => fixture(sidecar) })
  networkContract({
    name: `passt ${name}`,
    unavailable,
    gaps: GAPS,
    open: () => loneNetwork((directory) => start(directory.at("net.sock"))),
    traffic: {
      unavailable: namespaceGuestUnavailable(),
      open: () =>
        streamTraffic({
          start,
          pidOf,
          mac: MAC,
        }),
    },
  })
}

describe.skipIf(unavailable !== undefined)("passt", () => {
  it("has the forwards of its options from the start, and tells them", async () => {
    await using directory = await temporaryDirectory()
    const rule = { ...(await freeRule("tcp")), guestPort: 22 }
    const options = passt.parseOptions({ socket: directory.at("s"), policy: "loopback", forwards: [rule] })
    await using running = await passt.start(options, testContext())
    expect((await running.status()).forwards).toEqual([rule])
    const second = passt.parseOptions({ socket: directory.at("t"), policy: "loopback", forwards: [rule] })
    await expect(passt.start(second, testContext())).rejects.toMatchObject({ code: "address-in-use" })
  })

  it("makes many changes with few restarts", async () => {
    await using directory = await temporaryDirectory()
    const options = passt.parseOptions({ socket: directory.at("s"), policy: "loopback" })
    await using running = await passt.start(options, testContext())
    const rules = await Promise.all(Array.from({ length: 8 }, () => freeRule("tcp")))
    const forwards = await Promise.all(rules.map((rule) => running.forward(rule)))
    const { forwards: there, counters } = await running.status()
    expect(new Set(there)).toEqual(new Set(rules))
    expect(counters).toMatchObject({ forwardsAdded: 8 })
    expect(counters["restarts"]).toBeLessThan(8)
    await Promise.all(forwards.map((forward) => forward[Symbol.asyncDispose]()))
    expect((await running.status()).forwards).toEqual([])
  })

  it("refuses a socket that another adapter has", async () => {
    await using directory = await temporaryDirectory()
    const options = passt.parseOptions({ socket: directory.at("s"), policy: "loopback" })
    await using _running = await passt.start(options, testContext())
    await expect(passt.start(options, testContext())).rejects.toMatchObject({ code: "address-in-use" })
  })

  it("says host-program-missing where there is none", async () => {
    await using directory = await temporaryDirectory()
    const options = passt.parseOptions({ socket: directory.at("s"), program: "no-such-passt" })
    await expect(passt.start(options, testContext())).rejects.toMatchObject({ code: "host-program-missing" })
  })

  it("ends the passt of an adapter that was killed, whose ports are free again", async () => {
    await using directory = await temporaryDirectory()
    const options = spawned.parseOptions({ socket: directory.at("s"), policy: "loopback" })
    const first = await spawned.start(options, testContext())
    const rule = await freeRule("tcp")
    await first.forward(rule)
    const { identity } = first as NetworkRunning & {
      readonly identity: { readonly pid: number; readonly startTime: string }
    }
    process.kill(identity.pid, "SIGKILL")
    await expect(first.closed).rejects.toMatchObject({ code: "crashed" })
    await using second = await passt.start(options, testContext())
    expect((await second.status()).forwards).toEqual([])
    await using _forward = await second.forward(rule)
    expect((await second.status()).forwards).toEqual([rule])
  })

  it("ends by itself when no machine comes", async () => {
    await using directory = await temporaryDirectory()
    const options = passt.parseOptions({ socket: directory.at("s"), policy: "loopback", lonelyMs: 40 })
    const running = await passt.start(options, testContext())
    await running.closed
    await expect(running.status()).rejects.toMatchObject({ code: "not-running" })
  })
})

describe("passtArguments()", () => {
  const options = parsePasstOptions({ socket: "/r/net.sock", policy: "loopback" })
  const rule = { transport: "udp", hostAddress: "127.0.0.1", hostPort: 5353, guestPort: 53 } as const
  const line = (change: Partial<PasstOptions>, uid = 1000): string =>
    passtArguments({
      options: { ...options, ...change },
      bound: "/r/net.sock",
      logFile: "/r/log",
      forwards: [rule],
      user: { uid, gid: uid },
    }).join(" ")

  it("writes this command line", () => {
    expect(line({ policy: "open" })).toBe(
      "--foreground --log-file /r/log --socket /r/net.sock --ipv4-only --address 192.168.64.2 --netmask 24 --gateway 192.168.64.1" +
        " --mac-addr 02:00:00:00:00:01 --mtu 65520 --udp-ports 127.0.0.1/5353:53",
    )
  })
  it("binds what goes out to the loopback where the policy says so", () => {
    const added = "--interface lo --outbound 127.0.0.1 --no-icmp --dns none --search none"
    expect(line({})).toBe(line({ policy: "open" }).replace("--udp-ports", `${added} --udp-ports`))
  })
  it("keeps root's passt from becoming nobody, who may not make the socket", () => {
    expect(line({}, 0)).toContain("--runas 0:0")
  })
  it("refuses what passt cannot forward", () => {
    const args = (more: object): unknown =>
      passtArguments({
        options,
        bound: "/r/net.sock",
        logFile: "/r/log",
        forwards: [{ ...rule, ...more }],
        user: { uid: 1, gid: 1 },
      })
    for (const more of [{ hostAddress: "::1" }, { guestAddress: "127.0.0.1" }])
      expect(() => args(more)).toThrow(expect.objectContaining({ code: "unsupported" }))
    expect(args({ guestAddress: "192.168.64.2" })).toContain("127.0.0.1/5353:53")
  })
})

describe("arpRequest()", () => {
  it("asks for the gateway in the guest's name, as scapy writes it", () => {
    const guest = { mac: "52:54:00:12:34:56", address: "192.168.64.2", gateway: "192.168.64.1" }
    // Ether(src=mac, dst="ff:ff:ff:ff:ff:ff")/ARP(hwsrc=mac, psrc=address, pdst=gateway)
    const frame = "ffffffffffff5254001234560806000108000604000152540012345" + "6c0a84002000000000000c0a84001"
    expect(Buffer.from(arpRequest(guest)).toString("hex")).toBe(`0000002a${frame}`)
  })
})

describe("the table of Unix sockets", () => {
  const table = [
    "Num       RefCount Protocol Flags    Type St Inode Path",
    "0000000000000000: 00000002 00000000 00010000 0001 01 12344 /run/a b.sock",
    "0000000000000000: 00000003 00000000 00000000 0001 03 12345 /run/net.sock",
    "0000000000000000: 00000002 00000000 00000000 0001 01 12347 /run/bound.sock",
    "0000000000000000: 00000003 00000000 00000000 0001 03 12346",
  ].join("\n")
  it("tells a connection from a listener", () => {
    expect(isConnected(table, "/run/net.sock")).toBe(true)
    expect(isConnected(table, "/run/a b.sock")).toBe(false)
    expect(isConnected(table, "/run/net")).toBe(false)
  })

  it("tells a listener from what is only bound", () => {
    expect(isListening(table, "/run/a b.sock")).toBe(true)
    expect(isListening(table, "/run/bound.sock")).toBe(false)
    expect(isListening(table, "/run/net.sock")).toBe(false)
  })
})

describe("leakingInterfaces()", () => {
  it("finds those that let the loopback's packets out", async () => {
    await using directory = await temporaryDirectory()
    const { mkdir, writeFile } = await import("node:fs/promises")
    for (const [name, value] of Object.entries({ all: "0", eth0: "0", docker0: "1", lo: "1" })) {
      await mkdir(directory.at(name))
      await writeFile(join(directory.at(name), "route_localnet"), `${value}\n`)
    }
    expect(leakingInterfaces(directory.at("."))).toEqual(["docker0"])
  })
})
