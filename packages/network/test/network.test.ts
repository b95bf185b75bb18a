// What the sidecar does around its thread: links that come and go, files, names, refusals, the check of the subnet.

import { once } from "node:events"
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { chmod, mkdir, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { testContext } from "@skep/contract-tests"
import * as sys from "@skep/loop/sys"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { listenUnix } from "@skep/vhost-user"
import { afterAll, describe, expect, it } from "vitest"
import { parseSubnet } from "../src/addressing/subnet.ts"
import { keepLeases, type LeaseStoreOptions } from "../src/dhcp/lease-store.ts"
import { NOTHING_REMEMBERED } from "../src/dhcp/remembered.ts"
import { createNetwork } from "../src/network.ts"
import type { RunningNetwork } from "../src/running.ts"
import { type Engine, loopEngine } from "../src/thread/engine.ts"
import { machineNetwork } from "../src/verbs.ts"
import { bundleStandIn } from "./bundle.ts"
import { refuseNames } from "./refused-names.ts"
import { machineOn, standInOf } from "./stand-in.ts"

const bundle = await bundleStandIn()
afterAll(() => bundle[Symbol.dispose]())
const standIn = standInOf(bundle.thread)
const TCP = { transport: "tcp", hostAddress: "127.0.0.1", guestPort: 80 } as const

interface Rig extends AsyncDisposable {
  readonly network: RunningNetwork
  readonly directory: TemporaryDirectory
  readonly context: ReturnType<typeof testContext>
}

async function rig(more: object = {}): Promise<Rig> {
  const directory = await temporaryDirectory()
  const context = testContext()
  const input = {
    directory: directory.at("net"),
    qemu: [`web=${directory.at("web.sock")}`],
    policy: "loopback", // no test asks anybody outside
    ...more,
  }
  const network = await standIn.start(standIn.parseOptions(input), context)
  return {
    network,
    directory,
    context,
    [Symbol.asyncDispose]: async () => {
      await network[Symbol.asyncDispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}

describe("links", () => {
  it("come and go while the network runs, each with its socket, lock and forwards", async () => {
    await using it = await rig()
    const { network, directory } = it
    const socket = directory.at("more", "db.sock")
    expect(await network.addLink({ kind: "vhost-user", machine: "db", socket })).toEqual({ endpoint: socket })
    expect(network.endpoints).toContain(socket)
    expect(existsSync(`${socket}.lock`)).toBe(true)
    await network.forward({ ...TCP, hostPort: await freePort(), machine: "db" })
    expect((await network.links()).map(({ name, kind }) => [name, kind])).toEqual([
      ["web", "qemu"],
      ["db", "vhost-user"],
    ])
    await using _client = await machineOn(socket)
    await network.removeLink("db")
    expect(await network.forwards()).toEqual([])
    expect([socket, `${socket}.lock`].filter((path) => existsSync(path))).toEqual([])
    expect(network.endpoints).not.toContain(socket)
    expect(await network.addLink({ kind: "qemu", machine: "db", socket })).toEqual({ endpoint: socket })
  })

  it("are refused by name, by socket, by kind, and leave nothing", async () => {
    await using it = await rig()
    const { network, directory } = it
    const spec = { kind: "qemu", machine: "db", socket: directory.at("db.sock") } as const
    await expect(network.addLink({ ...spec, machine: "web" })).rejects.toMatchObject({ code: "exists" })
    expect(network.endpoints).toContain(directory.at("web.sock"))
    const locks = ["web.sock.lock", "db.sock.lock"].map((name) => existsSync(directory.at(name)))
    expect(locks).toEqual([true, false])
    await expect(network.addLink({ ...spec, socket: directory.at("web.sock") })).rejects.toMatchObject({
      code: "address-in-use",
    })
    await expect(network.addLink({ kind: "tap", machine: "db", interface: "tap0" })).rejects.toMatchObject({
      code: "unsupported",
    })
    await expect(network.addLink({ ...spec, machine: "Db" })).rejects.toMatchObject({ code: "bad-options" })
    await expect(network.removeLink("db")).rejects.toMatchObject({ code: "not-found" })
    const both = await Promise.allSettled([network.addLink(spec), network.addLink(spec)])
    expect(both.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"])
    expect((await network.links()).map(({ name }) => name)).toEqual(["web", "db"])
    await network[Symbol.asyncDispose]()
    expect(await directory.list()).toEqual(["net"])
  })

  it("leave the directory of a socket as it is, and refuse one where others could put theirs", async () => {
    await using it = await rig()
    const { network, directory } = it
    const socket = directory.at("shared/db.sock")
    await mkdir(directory.at("shared"))
    await chmod(directory.at("shared"), 0o755)
    const spec = { kind: "qemu", machine: "db", socket } as const
    await network.addLink(spec)
    expect(statSync(directory.at("shared")).mode & 0o777).toBe(0o755)
    await network.removeLink("db")
    await chmod(directory.at("shared"), 0o777)
    await expect(network.addLink(spec)).rejects.toMatchObject({ code: "permission-denied" })
    expect(await network.links()).toHaveLength(1)
    await chmod(directory.at("shared"), 0o755)
    await network.addLink(spec)
  })

  it("take the place of a socket that a killed sidecar left", async () => {
    const directory = await temporaryDirectory()
    sys.close(listenUnix(directory.at("web.sock")))
    const options = standIn.parseOptions({
      directory: directory.path,
      qemu: [`web=${directory.at("web.sock")}`],
    })
    const network = await standIn.start(options, testContext())
    await (await machineOn(directory.at("web.sock")))[Symbol.asyncDispose]()
    await network[Symbol.asyncDispose]()
    await directory[Symbol.asyncDispose]()
  })

  it("leave a file that is no socket", async () => {
    await using it = await rig()
    const file = it.directory.at("notes")
    writeFileSync(file, "mine")
    const link = { kind: "qemu", machine: "db", socket: file } as const
    await expect(it.network.addLink(link)).rejects.toMatchObject({ code: "exists" })
    expect([readFileSync(file, "utf8"), existsSync(`${file}.lock`)]).toEqual(["mine", false])
    expect((await it.network.links()).map(({ name }) => name)).toEqual(["web"])
  })
})

describe("forwards", () => {
  it("stay with who asked last", async () => {
    await using it = await rig()
    const { network } = it
    const rule = { ...TCP, hostPort: await freePort(), machine: "web" }
    const first = await network.forward({ ...rule, owner: "docker" })
    const second = await network.forward({ ...rule, owner: "user" })
    await first[Symbol.asyncDispose]()
    expect((await network.forwards()).map((entry) => entry.rule.owner)).toEqual(["user"])
    await second[Symbol.asyncDispose]()
    await second[Symbol.asyncDispose]()
    expect(await network.forwards()).toEqual([])
  })

  it("are removed by rule, but not another owner's", async () => {
    await using it = await rig()
    const { network } = it
    const rule = { ...TCP, hostPort: await freePort() }
    await network.forward({ ...rule, owner: "docker" })
    await expect(network.unforward({ ...rule, owner: "user" })).rejects.toMatchObject({ code: "not-found" })
    await network.unforward(rule)
    await expect(network.unforward(rule)).rejects.toMatchObject({ code: "not-found" })
  })

  it("that cannot be had at the start end it, and leave nothing", async () => {
    await using directory = await temporaryDirectory()
    const server = createServer().listen(0, "127.0.0.1")
    await once(server, "listening")
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    const options = standIn.parseOptions({
      directory: directory.at("net"),
      qemu: [`web=${directory.at("web.sock")}`],
      forward: [`${port}:80`],
    })
    await expect(standIn.start(options, testContext())).rejects.toMatchObject({ code: "address-in-use" })
    expect(await directory.list()).toEqual(["net"])
    server.close()
    await once(server, "close")
  })

  it("of one machine are all that its own view shows", async () => {
    await using it = await rig()
    const { network, directory } = it
    await network.addLink({ kind: "qemu", machine: "db", socket: directory.at("db.sock") })
    const web = machineNetwork(network, "web", "docker")
    const rule = { ...TCP, hostPort: await freePort() }
    await network.forward({ ...TCP, hostPort: await freePort(), machine: "web", owner: "user" })
    await network.forward({ ...TCP, hostPort: await freePort(), machine: "db", owner: "docker" })
    const forward = await web.forward(rule)
    expect(forward.rule).toEqual(rule)
    const status = await web.status()
    expect(status.forwards).toEqual([rule])
    expect(status.machines?.map(({ name }) => name)).toEqual(["web"])
    expect(await network.forwards({ machine: "web", owner: "docker" })).toHaveLength(1)
    await forward[Symbol.asyncDispose]()
    expect((await web.status()).forwards).toEqual([])
    expect(await network.forwards()).toHaveLength(2)
  })
})

describe("policy", () => {
  it("is the network's, or a machine's own; what it refuses is told, kept and counted", async () => {
    await using it = await rig({ policy: "loopback" })
    const { network, directory, context } = it
    await using machine = await machineOn(directory.at("web.sock"))
    machine.write("!")
    await expect.poll(() => network.refusals()).toHaveLength(1)
    const refused = {
      machine: "web",
      protocol: "tcp",
      destination: "10.0.0.1",
      port: 80,
      reason: "policy",
      count: 1,
    }
    expect(await network.refusals()).toEqual([expect.objectContaining(refused)])
    expect(context.events).toContainEqual({ type: "refused", ...refused })
    expect((await network.status()).counters).toMatchObject({ "refused-policy": 1, "refused-loopback": 0 })

    await network.setPolicy({ mode: "open", closedPorts: [] }, "web")
    expect((await network.links())[0]?.policy?.mode).toBe("open")
    await network.setPolicy(undefined, "web")
    expect((await network.links())[0]?.policy).toBeUndefined()
    await network.setPolicy({ mode: "nothing", closedPorts: [] })
    expect((await network.status()).policy.mode).toBe("nothing")
    await expect(network.setPolicy(undefined)).rejects.toMatchObject({ code: "bad-options" })
    await expect(network.setPolicy({ mode: "open", closedPorts: [] }, "db")).rejects.toMatchObject({
      code: "not-found",
    })
  })
})

describe("names", () => {
  it("follow the policy, the network's and each machine's own", async () => {
    await using directory = await temporaryDirectory()
    const told: unknown[] = []
    const network = await createNetwork({
      engines: { loop: loopEngine(bundle.thread) },
      openLeases: keepLeases,
      routes: () => [],
      startNames: async (options) => {
        told.push(options.policy)
        return { ...(await refuseNames(options)), setPolicy: (mode, machine) => told.push([mode, machine]) }
      },
    }).start(
      standIn.parseOptions({
        directory: directory.path,
        qemu: [`web=${directory.at("web.sock")}`],
        policy: "nothing",
      }),
      testContext(),
    )
    await network.setPolicy({ mode: "open", closedPorts: [] }, "web")
    await network.setPolicy({ mode: "loopback", closedPorts: [] })
    await expect(network.setPolicy({ mode: "open", closedPorts: [] }, "db")).rejects.toMatchObject({
      code: "not-found",
    })
    await network.removeLink("web")
    expect(told).toEqual(["nothing", ["open", "web"], ["loopback", undefined], [undefined, "web"]])
    await network[Symbol.asyncDispose]()
  })

  it("get the questions of machines, and the answers go back to who asked", async () => {
    await using directory = await temporaryDirectory()
    const asked: string[] = []
    let known: () => readonly unknown[] = () => []
    const network = await createNetwork({
      engines: { loop: loopEngine(bundle.thread) },
      openLeases: keepLeases,
      routes: () => [],
      startNames: async (options) => {
        known = options.names
        return {
          ...(await refuseNames(options)),
          answer: async (query, { machine }) => {
            const text = Buffer.from(query).toString()
            asked.push(`${machine} ${text}`)
            if (text === "fail") throw new Error("no such luck")
            return text === "drop" ? undefined : Buffer.from(`answer to ${text}`)
          },
        }
      },
    }).start(
      standIn.parseOptions({ directory: directory.path, qemu: [`web=${directory.at("web.sock")}`] }),
      testContext(),
    )
    const machine = await machineOn(directory.at("web.sock"))
    const answers: string[] = []
    machine.on("data", (data) => answers.push(data.toString()))
    machine.write("?drop")
    await expect.poll(() => asked).toEqual(["web drop"])
    machine.write("?fail")
    await expect.poll(() => asked).toHaveLength(2)
    machine.write("?one")
    await expect.poll(() => answers).toEqual(["answer to one"])
    machine.write("@192.168.64.7")
    await expect.poll(() => known()).toEqual([{ name: "web", addresses: ["192.168.64.7"] }])
    expect((await network.status()).counters).toMatchObject({ "dns-questions": 3, "dns-questions-failed": 1 })
    await machine[Symbol.asyncDispose]()
    await network[Symbol.asyncDispose]()
  })

  it("are refused, at once, where the policy lets none out", async () => {
    await using it = await rig()
    await using machine = await machineOn(it.directory.at("web.sock"))
    const question = Buffer.from("12340100000100000000000001780000010001", "hex")
    machine.write(Buffer.concat([Buffer.from("?"), question]))
    const [answer] = await once(machine, "data")
    expect({ id: answer.readUInt16BE(0), rcode: answer[3] & 0xf }).toEqual({ id: 0x1234, rcode: 5 })
  })
})

describe("the lease file", () => {
  it("is written whole when the leases change, private, and read at the next start", async () => {
    await using directory = await temporaryDirectory()
    const leaseFile = directory.at("leases")
    const options = standIn.parseOptions({
      directory: directory.at("net"),
      qemu: [`web=${directory.at("web.sock")}`],
      leaseFile,
    })
    const addresses = (): unknown =>
      existsSync(leaseFile) &&
      JSON.parse(readFileSync(leaseFile, "utf8")).leases.map(({ address }: { address: string }) => address)
    const first = await standIn.start(options, testContext())
    expect(existsSync(leaseFile)).toBe(false)
    const machine = await machineOn(directory.at("web.sock"))
    machine.write("@192.168.64.2")
    await expect.poll(addresses).toEqual(["192.168.64.2"])
    machine.write("@192.168.64.3")
    await expect.poll(addresses).toEqual(["192.168.64.3"])
    expect(statSync(leaseFile).mode & 0o777).toBe(0o600)
    const leases = await first.leases()
    await machine[Symbol.asyncDispose]()
    await first[Symbol.asyncDispose]()
    const second = await standIn.start(options, testContext())
    expect(await second.leases()).toEqual(leases)
    await second[Symbol.asyncDispose]()
  })

  it("of which only a part is left is no obstacle, nor is one that cannot be written any more", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("more/leases")
    await mkdir(directory.at("more"))
    writeFileSync(path, '{ "format": "skep-lea')
    await using it = await rig({ leaseFile: path })
    expect(await it.network.leases()).toEqual([])
    await rm(directory.at("more"), { recursive: true })
    await using machine = await machineOn(it.directory.at("web.sock"))
    machine.write("@192.168.64.2")
    await expect.poll(() => it.network.leases()).toHaveLength(1)
  })

  it("that is none of ours, or has no place, is refused before anything listens", async () => {
    await using directory = await temporaryDirectory()
    writeFileSync(directory.at("letter"), "192.168.64.2 is mine")
    for (const [leaseFile, code] of [
      [directory.at("letter"), "exists"],
      ["/proc/nobody/leases", "bad-options"],
    ] as const) {
      const options = standIn.parseOptions({ directory: directory.at("net"), leaseFile })
      await expect(standIn.start(options, testContext())).rejects.toMatchObject({ code })
    }
    expect(readFileSync(directory.at("letter"), "utf8")).toBe("192.168.64.2 is mine")
    expect(await directory.list()).toEqual(["letter", "net"])
  })

  it("may be changed by others, which reaches the thread", async () => {
    await using directory = await temporaryDirectory()
    const lease = { address: "192.168.64.9", mac: "02:00:5e:10:00:09", granted: 1, renewed: 1, expires: 2 }
    let onEdits: LeaseStoreOptions["onEdits"] = () => undefined
    const network = await createNetwork({
      engines: { loop: loopEngine(bundle.thread) },
      startNames: refuseNames,
      routes: () => [],
      openLeases: async (options) => {
        onEdits = options.onEdits
        return {
          found: [lease],
          remembered: NOTHING_REMEMBERED,
          save: async () => true,
          [Symbol.asyncDispose]: async () => undefined,
        }
      },
    }).start(standIn.parseOptions({ directory: directory.path }), testContext())
    expect(await network.leases()).toEqual([lease])
    const changed = { ...lease, address: "192.168.64.8" }
    onEdits({ removed: [lease], added: [changed] })
    expect(await network.leases()).toEqual([changed])
    await network[Symbol.asyncDispose]()
    onEdits({ removed: [changed], added: [] })
  })
})

describe("captures and faults", () => {
  it("make the file, one capture each, and stop by name", async () => {
    await using it = await rig()
    const { network, directory } = it
    const path = directory.at("all.pcapng")
    await network.startCapture({ path })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    await network.startCapture({ path: directory.at("web.pcapng"), machine: "web" })
    await expect(network.startCapture({ path })).rejects.toMatchObject({ code: "busy" })
    await expect(network.startCapture({ path: "all.pcapng" })).rejects.toMatchObject({ code: "bad-options" })
    await expect(network.startCapture({ path: "/proc/nobody/x" })).rejects.toBeInstanceOf(Error)
    expect(await network.stopCapture("web")).toMatchObject({ machine: "web" })
    expect(await network.stopCapture()).toMatchObject({ path })
    await expect(network.stopCapture()).rejects.toMatchObject({ code: "not-found" })
  })

  it("are checked before they reach the thread", async () => {
    await using it = await rig()
    const { network } = it
    await network.setFaults("web", { loss: 0.01, delayMs: 20 })
    expect((await network.links())[0]?.faults).toEqual({ loss: 0.01, delayMs: 20 })
    await expect(network.setFaults("web", { loss: 2 })).rejects.toMatchObject({ code: "bad-options" })
    await expect(network.setFaults("db", {})).rejects.toMatchObject({ code: "not-found" })
    await network.setFaults("web", undefined)
    expect((await network.links())[0]?.faults).toBeUndefined()
  })
})

describe("the subnet", () => {
  const starting = async (subnet: string, directory: string, tap: readonly string[] = []) => {
    const sidecar = createNetwork({
      engines: { loop: loopEngine(bundle.thread) },
      startNames: refuseNames,
      openLeases: keepLeases,
      routes: () => [
        {
          interface: "wg0",
          subnet: parseSubnet("192.168.64.0/22") ?? { address: new Uint8Array(4), length: 0 },
        },
      ],
    })
    return await sidecar.start(sidecar.parseOptions({ directory, subnet, tap }), testContext())
  }

  it("that the host has a route to is refused, with its interface", async () => {
    await using directory = await temporaryDirectory()
    await expect(starting("192.168.64.0/24", directory.at("net"))).rejects.toMatchObject({
      code: "address-in-use",
      message: 'Cannot use the subnet "192.168.64.0/24": this host has the route 192.168.64.0/22 by wg0',
    })
    expect(await directory.list()).toEqual(["net"])
  })

  it("is not in its own way", async () => {
    await using directory = await temporaryDirectory()
    // The stand-in opens no interfaces: it says so only after the check of the subnet.
    await expect(starting("192.168.64.0/24", directory.at("net"), ["wg0"])).rejects.toMatchObject({
      code: "unsupported",
    })
  })

  it("is found where it is left to us", async () => {
    await using directory = await temporaryDirectory()
    const network = await starting("auto", directory.at("net"))
    expect((await network.status()).plan).toMatchObject({
      subnet: "192.168.68.0/24",
      gateway: "192.168.68.1",
    })
    await network[Symbol.asyncDispose]()
  })

  it("that machines know from the last time is kept", async () => {
    await using directory = await temporaryDirectory()
    await mkdir(directory.at("net"), { mode: 0o700 })
    const file = { format: "skep-leases", version: 1, network: "192.168.90.0/24", leases: [] }
    await writeFile(directory.at("net/leases.json"), JSON.stringify(file))
    const network = await starting("auto", directory.at("net"))
    expect((await network.status()).plan.subnet).toBe("192.168.90.0/24")
    await network[Symbol.asyncDispose]()
  })
})

describe("the end", () => {
  it("comes by itself when nobody came for so long", async () => {
    await using directory = await temporaryDirectory()
    const context = testContext()
    const options = standIn.parseOptions({ directory: directory.at("net"), lonelyMs: 1 })
    const network = await standIn.start(options, context)
    await network.closed
    expect(context.events).toContainEqual({ type: "lonely", lonelyMs: 1 })
    expect(await directory.list()).toEqual(["net"])
  })

  it("does not come before the start is over, however short the time without machines may be", async () => {
    await using directory = await temporaryDirectory()
    const calls: string[] = []
    const sidecar = createNetwork({
      engines: {
        loop: async (options) => {
          const engine = await loopEngine(bundle.thread)(options)
          const call: Engine["call"] = (name, argument) => {
            calls.push(name)
            return engine.call(name, argument)
          }
          return {
            call,
            closed: engine.closed,
            [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
          }
        },
      },
      startNames: refuseNames,
      openLeases: keepLeases,
      routes: () => [],
    })
    const options = sidecar.parseOptions({
      directory: directory.at("net"),
      qemu: [`web=${directory.at("web.sock")}`, `db=${directory.at("db.sock")}`],
      lonelyMs: 1,
    })
    const network = await sidecar.start(options, testContext())
    expect(calls).toEqual(["addLink", "addLink", "started"])
    await network.closed
  })

  it("says that another one serves the directory", async () => {
    await using it = await rig()
    const options = standIn.parseOptions({ directory: it.directory.at("net") })
    await expect(standIn.start(options, testContext())).rejects.toMatchObject({ code: "address-in-use" })
  })

  it("answers every verb with not-running", async () => {
    const it = await rig()
    await it[Symbol.asyncDispose]()
    const { network } = it
    const rule = { ...TCP, hostPort: 1 }
    const spec = { kind: "qemu", machine: "a", socket: it.directory.at("a.sock") } as const
    for (const asked of [
      () => network.status(),
      () => network.addLink(spec),
      () => network.removeLink("web"),
      () => network.forward(rule),
      () => network.unforward(rule),
      () => network.leases(),
      () => network.flows(),
      () => network.refusals(),
      () => network.zones(),
      () => network.removeZone("x."),
      () => network.startCapture({ path: "/tmp/never" }),
    ])
      await expect(asked()).rejects.toMatchObject({ code: "not-running" })
    expect(existsSync("/tmp/never")).toBe(false)
  })

  it("has no driver of that name", async () => {
    await using directory = await temporaryDirectory()
    const options = standIn.parseOptions({ directory: directory.at("net"), driver: "node" })
    await expect(standIn.start(options, testContext())).rejects.toMatchObject({ code: "unsupported" })
  })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return typeof address === "object" && address !== null ? address.port : 0
}
