// Addresses of machines as the backend gives them back and keeps them: with the real network sidecar, and while none runs.

import { mkdir, readFile, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import type { SidecarEvent } from "@skep/contract"
import { silentLog } from "@skep/runtime"
import { fromSource, temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { MachineLeases } from "../../../src/backend/leases/machine-leases.ts"
import { HomeNetwork } from "../../../src/backend/network/home-network.ts"
import { createHome, homeFrom } from "../../../src/home/paths.ts"

const PROGRAM = fromSource(join(import.meta.dirname, "../../../../../packages/network/src/main.ts"))
const SUBNET = "192.168.64.0/24"
const never = new AbortController().signal

/** An end that no test sees. */
const EXPIRES = "2100-01-01T00:00:00.000Z"

function entry(machine: string, last: number) {
  const past = "2026-11-21T13:00:00.000Z"
  const mac = `52:54:00:00:00:${last.toString(16).padStart(2, "0")}`
  return { address: `192.168.64.${last}`, mac, machine, granted: past, renewed: past, expires: EXPIRES }
}

async function place(machines: Readonly<Record<string, number>>) {
  const directory = await temporaryDirectory()
  const home = homeFrom({ SKEP_HOME: directory.at("h"), SKEP_RUN: directory.at("r") })
  await createHome(home)
  const path = home.networkLeases
  await mkdir(dirname(path), { mode: 0o700 })
  const leases = Object.entries(machines).map(([name, last]) => entry(name, last))
  await writeFile(path, JSON.stringify({ format: "skep-leases", version: 1, network: SUBNET, leases }))
  const events: SidecarEvent[] = []
  const emit = (event: SidecarEvent): void => void events.push(event)
  const network = new HomeNetwork({ home, log: silentLog, emit, program: PROGRAM })
  const member = (name: string) => ({
    name,
    mac: "52:54:00:00:00:77",
    socket: directory.at(`${name}.sock`),
    link: { kind: "qemu" as const },
    policy: "loopback" as const,
    forwards: [],
  })
  return {
    home,
    network,
    events: (type: string) => events.filter((event) => event.type === type),
    leases: new MachineLeases({ network, path, log: silentLog, emit }),
    join: (name: string) => network.join(member(name)),
    file: async (): Promise<{
      leases: { machine: string; address: string }[]
      reservations?: unknown
      former?: unknown
    }> => JSON.parse(await readFile(path, "utf8")),
    [Symbol.asyncDispose]: async () => {
      await network.release()
      await directory[Symbol.asyncDispose]()
    },
  }
}

const names = (file: { leases: readonly { machine: string }[] }) => file.leases.map(({ machine }) => machine)

describe("leases while no network runs", () => {
  it("are given back in their file, and told of", async () => {
    await using it = await place({ a: 2, b: 3 })
    expect(await it.leases.giveBack("a")).toEqual(["192.168.64.2"])
    expect(await it.leases.giveBack("a")).toEqual([])
    const file = await it.file()
    expect(names(file)).toEqual(["b"])
    expect(file.former).toEqual([{ machine: "a", address: "192.168.64.2" }])
    expect(it.events("lease-released")).toEqual([
      {
        type: "lease-released",
        address: "192.168.64.2",
        machine: "a",
        mac: "52:54:00:00:00:02",
        reason: "removed",
      },
    ])
  })

  it("are kept by their machine's name", async () => {
    await using it = await place({ a: 2 })
    expect(await it.leases.keep("a")).toBe("192.168.64.2")
    expect(await it.leases.keep("b")).toBeUndefined()
    expect((await it.file()).reservations).toEqual([{ machine: "a", address: "192.168.64.2" }])
    expect(it.events("lease-reserved")).toHaveLength(1)
  })

  it("of machines that are gone are swept", async () => {
    await using it = await place({ a: 2, b: 3, c: 4 })
    await it.leases.sweep((name) => name === "b", never)
    expect(names(await it.file())).toEqual(["b"])
    expect(it.events("lease-released").map(({ machine, reason }) => [machine, reason])).toEqual([
      ["a", "gone"],
      ["c", "gone"],
    ])
    expect(it.events("leases-swept")).toEqual([{ type: "leases-swept", removed: 2 }])
    await it.leases.sweep((name) => name === "b", never)
    expect(it.events("leases-swept")).toHaveLength(1)
  })

  it("that cannot be written are left for the next sweep, and the machine can be removed", async () => {
    await using it = await place({ a: 2 })
    await writeFile(it.home.networkLeases, "what is this")
    expect(await it.leases.giveBack("a")).toEqual([])
    expect(await it.leases.keep("a")).toBeUndefined()
    expect(await readFile(it.home.networkLeases, "utf8")).toBe("what is this")
  })
})

// Each starts a program from its source, the third two of them.
describe("leases while the network runs", { timeout: 60_000 }, () => {
  it("are given back by it at once, but for those of machines that are on it", async () => {
    await using it = await place({ a: 2, b: 3, c: 4 })
    const b = await it.join("b")
    expect(await it.leases.giveBack("a")).toEqual(["192.168.64.2"])
    expect(await it.leases.giveBack("b")).toEqual([])
    await it.leases.sweep(() => false, never)
    expect((await it.network.running?.leases())?.map(({ machine }) => machine)).toEqual(["b"])
    await b.leave()
    expect(names(await it.file())).toEqual(["b"])
  })

  it("are given back by one that runs though nobody here has started it", async () => {
    await using it = await place({ a: 2, b: 3 })
    const b = await it.join("b")
    const other = new HomeNetwork({
      home: it.home,
      log: silentLog,
      emit: () => undefined,
      program: ["/nowhere"],
    })
    const leases = new MachineLeases({
      network: other,
      path: it.home.networkLeases,
      log: silentLog,
      emit: () => undefined,
    })
    expect(await leases.giveBack("a")).toEqual(["192.168.64.2"])
    expect((await it.network.running?.leases())?.map(({ machine }) => machine)).toEqual(["b"])
    await b.leave()
  })

  it("can be reserved, also where it has to be started for that", async () => {
    await using it = await place({ a: 2, b: 3 })
    await it.leases.reserve({ machine: "web", address: "192.168.64.20" })
    expect(it.network.running).toBeUndefined()
    expect((await it.file()).reservations).toEqual([{ machine: "web", address: "192.168.64.20" }])
    const b = await it.join("b")
    await it.leases.reserve({ machine: "web", address: "192.168.64.21" })
    expect(await it.leases.view()).toMatchObject({
      leases: [{ machine: "a" }, { machine: "b" }],
      reservations: [{ machine: "web", address: "192.168.64.21" }],
    })
    expect(it.network.running).toBeDefined()
    expect(await it.leases.unreserve("web")).toBe("192.168.64.21")
    await expect(it.leases.unreserve("web")).rejects.toMatchObject({ code: "not-found" })
    expect(it.events("lease-reserved")).toHaveLength(2)
    expect(it.events("lease-unreserved")).toEqual([
      { type: "lease-unreserved", machine: "web", address: "192.168.64.21" },
    ])
    await b.leave()
  })

  it("are refused to be reserved where another has them, or the network has not", async () => {
    await using it = await place({ a: 2 })
    const b = await it.join("b")
    const reserve = (address: string) => it.leases.reserve({ machine: "web", address })
    await expect(reserve("192.168.64.2")).rejects.toMatchObject({
      code: "address-in-use",
      message: expect.stringContaining('"a" has it now'),
      next: expect.any(String),
    })
    await expect(reserve("192.168.64.1")).rejects.toMatchObject({ code: "bad-options" })
    await expect(reserve("10.0.0.1")).rejects.toMatchObject({ code: "bad-options" })
    await b.leave()
  })

  it("are kept by the address that their machine has there", async () => {
    await using it = await place({ a: 2, b: 3 })
    const b = await it.join("b")
    expect(await it.leases.keep("a")).toBe("192.168.64.2")
    expect(await it.leases.keep("a")).toBe("192.168.64.2")
    expect(await it.leases.giveBack("a")).toEqual(["192.168.64.2"])
    expect(await it.network.running?.reservations()).toEqual([{ machine: "a", address: "192.168.64.2" }])
    await b.leave()
  })
})
