import type { NetworkRunning, NetworkStatus, Sidecar } from "@skep/contract"
import {
  freeRule,
  namespaceGuest,
  namespaceGuestUnavailable,
  networkContract,
  type SidecarFixture,
  sidecarContract,
  type TrafficFixture,
  testContext,
} from "@skep/contract-tests"
import { networkClient, parseNetworkStatus, spawn } from "@skep/runtime"
import { fromSource, openClient, processesMentioning, temporaryDirectory } from "@skep/testkit"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type QemuUserOptions, qemuUser } from "../src/qemu-user/qemu-user.ts"
import { addLine, parseForwards, removeLine } from "../src/qemu-user/usernet.ts"
import { startQemu } from "./qemu.ts"

type QemuUserSidecar = Sidecar<QemuUserOptions, NetworkStatus, NetworkRunning>

const spawned: QemuUserSidecar = spawn<QemuUserOptions, NetworkStatus, NetworkRunning>(
  {
    name: "qemu-user",
    file: process.execPath,
    args: fromSource(import.meta.dirname, "../src/qemu-user/main.ts"),
    control: (options) => `${options.qmp}.control`,
    parseOptions: (input) => qemuUser.parseOptions(input),
    parseStatus: parseNetworkStatus,
    endWithParent: true,
  },
  networkClient,
)

async function fixture(
  sidecar: QemuUserSidecar,
): Promise<SidecarFixture<QemuUserOptions, NetworkStatus, NetworkRunning>> {
  const directory = await temporaryDirectory()
  const machines = await Promise.all([0, 1].map((index) => startQemu(directory.at(`${index}.qmp`))))
  return {
    sidecar,
    input: (index) => ({ qmp: directory.at(`${index}.qmp`) }),
    bad: [undefined, {}, { qmp: "" }, { qmp: "/x", netdev: "a b" }, { qmp: "/x", guest: "nobody" }],
    // What a network's client holds is a forward, with somebody connected to it.
    hold: async (running) => {
      const rule = await freeRule("tcp")
      await running.forward(rule)
      return await openClient({ port: rule.hostPort, host: rule.hostAddress })
    },
    crash: async () => {
      machines[0]?.process.kill("SIGKILL")
    },
    leftovers: async () => processesMentioning(`${directory.at("0.qmp")}.control`),
    [Symbol.asyncDispose]: async () => {
      for (const machine of machines) await machine[Symbol.asyncDispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}

sidecarContract({ name: "qemu-user in process", open: () => fixture(qemuUser) })
sidecarContract({ name: "qemu-user spawned", open: () => fixture(spawned) })

for (const [name, sidecar] of Object.entries({ "in process": qemuUser, spawned })) {
  networkContract({
    name: `qemu-user ${name}`,
    gaps: {
      "forwards from an IPv6 address of the host": "QEMU 7.2 parses no IPv6 address in hostfwd_add",
      "resolves its own names": "libslirp has none",
      "is back under the running guest after it was killed": "it is the machine's own process",
    },
    traffic: { unavailable: namespaceGuestUnavailable(), open: () => openTraffic(sidecar) },
    open: async () => {
      const directory = await temporaryDirectory()
      const machine = await startQemu(directory.at("0.qmp"))
      const network = await sidecar.start(sidecar.parseOptions({ qmp: directory.at("0.qmp") }), testContext())
      return {
        network,
        [Symbol.asyncDispose]: async () => {
          await network[Symbol.asyncDispose]()
          await machine[Symbol.asyncDispose]()
          await directory[Symbol.asyncDispose]()
        },
      }
    },
  })
}

async function openTraffic(sidecar: QemuUserSidecar): Promise<TrafficFixture> {
  const directory = await temporaryDirectory()
  const machine = await startQemu(directory.at("0.qmp"), directory.at("net.sock"))
  const guest = await namespaceGuest({ socket: directory.at("net.sock") })
  const network = await sidecar.start(sidecar.parseOptions({ qmp: directory.at("0.qmp") }), testContext())
  return {
    network,
    guest,
    names: {},
    restart: () => Promise.reject(new Error("it would take the machine with it")),
    [Symbol.asyncDispose]: async () => {
      await network[Symbol.asyncDispose]()
      await guest[Symbol.asyncDispose]()
      await machine[Symbol.asyncDispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}

describe("qemuUser", () => {
  it("says unsupported for IPv6 on the host side", async () => {
    await using directory = await temporaryDirectory()
    await using _machine = await startQemu(directory.at("0.qmp"))
    const network = await qemuUser.start(qemuUser.parseOptions({ qmp: directory.at("0.qmp") }), testContext())
    const rule = { ...(await freeRule("tcp")), hostAddress: "::1" }
    await expect(network.forward(rule)).rejects.toMatchObject({ code: "unsupported" })
    await network[Symbol.asyncDispose]()
  })
  it("finds the forwards of an adapter that was killed", async () => {
    await using directory = await temporaryDirectory()
    await using _machine = await startQemu(directory.at("0.qmp"))
    const options = qemuUser.parseOptions({ qmp: directory.at("0.qmp") })
    const first = await spawned.start(options, testContext())
    const rule = await freeRule("tcp")
    await first.forward(rule)
    const { identity } = first as NetworkRunning & { identity: { pid: number } }
    process.kill(identity.pid, "SIGKILL")
    await expect(first.closed).rejects.toMatchObject({ code: "crashed" })
    const second = await qemuUser.start(options, testContext())
    expect((await second.status()).forwards).toEqual([rule])
    await (await second.forward(rule))[Symbol.asyncDispose]()
    expect((await second.status()).forwards).toEqual([])
    await second[Symbol.asyncDispose]()
  })
})

describe("parseForwards()", () => {
  it("reads the table of QEMU 7.2", () => {
    const text = [
      "Hub -1 (net0):",
      "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ",
      "  TCP[HOST_FORWARD]  13       127.0.0.1  2222       10.0.2.15    22     0     0",
      "  TCP[ESTABLISHED]   14       127.0.0.1 51234       10.0.2.15    22     0     0",
      "  UDP[HOST_FORWARD]  15               *  5353       127.0.0.1    53     0     0",
    ].join("\r\n")
    expect(parseForwards(text, "10.0.2.15")).toEqual([
      { transport: "tcp", hostAddress: "127.0.0.1", hostPort: 2222, guestPort: 22 },
      { transport: "udp", hostAddress: "0.0.0.0", hostPort: 5353, guestAddress: "127.0.0.1", guestPort: 53 },
    ])
  })
  it("reads any text without throwing", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        parseForwards(text, "10.0.2.15")
      }),
    )
  })
})

describe("addLine() and removeLine()", () => {
  it("name the host side alike", () => {
    const rule = { transport: "udp", hostAddress: "0.0.0.0", hostPort: 53, guestPort: 5353 } as const
    expect(addLine("net0", rule, "10.0.2.15")).toBe("hostfwd_add net0 udp:0.0.0.0:53-10.0.2.15:5353")
    expect(removeLine("net0", rule)).toBe("hostfwd_remove net0 udp:0.0.0.0:53")
  })
})
