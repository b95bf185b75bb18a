// Machines that come and go, and what a broken one costs the others.

import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { hear, IPV4, icmp, packet } from "./packets.ts"
import { type Machine, PLAN, type Rig, rig } from "./rig.ts"

const GUEST = "192.168.64.5"

function answers(it: Rig, machine: Machine): number {
  machine.send(IPV4, icmp(GUEST, PLAN.gateway, 8, 1))
  it.settle()
  return machine
    .take()
    .map(hear)
    .filter(({ protocol }) => protocol === 1).length
}

const descriptors = (): number => readdirSync("/proc/self/fd").length

describe("a machine", () => {
  it("is refused by its name and its MAC address, and nothing is left of it", () => {
    using it = rig()
    it.machine("web", { mac: "02:00:00:00:00:01" })
    const before = descriptors()
    const socket = join(it.directory, "db.sock")
    const spec = { kind: "qemu", machine: "db", socket } as const
    expect(() => it.network.addLink({ ...spec, machine: "web" })).toThrow(
      expect.objectContaining({ code: "exists" }),
    )
    expect(() => it.network.addLink({ ...spec, mac: "02:00:00:00:00:01" })).toThrow(
      expect.objectContaining({ code: "exists" }),
    )
    expect(() => it.network.addLink({ ...spec, socket: join(it.directory, "no/db.sock") })).toThrow(
      expect.objectContaining({ code: "ENOENT" }),
    )
    expect([...it.network.machines].map(({ name }) => name)).toEqual(["web"])
    expect(existsSync(socket)).toBe(false)
    expect(descriptors()).toBe(before)
    expect(it.network.addLink(spec)).toEqual({ endpoint: socket })
  })

  it("takes all that is its own with it", () => {
    using it = rig()
    const before = descriptors()
    const used = it.network.memory.arena.heap.used
    for (let round = 0; round < 3; round++) {
      using machine = it.machine("web")
      expect(answers(it, machine)).toBe(1)
      it.network.setFaults({ delayMs: 1000 }, "web")
      expect(answers(it, machine)).toBe(0)
      it.network.removeLink("web")
    }
    expect(it.network.machines.size).toBe(0)
    expect(it.network.memory.arena.heap.used).toBe(used)
    expect(descriptors()).toBe(before)
    expect(it.told("machine-removed")).toHaveLength(3)
  })

  it("in whose frames an error of ours is found loses its link for a second, and no other one anything", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    const [web, db] = [it.machine("web"), it.machine("db")]
    it.network.setFaults({ duplicate: 1 }, "web")
    // An exception where none is expected: a frame that comes in fragments.
    it.network.reassembly.receive = () => {
      throw new Error("found by a guest")
    }
    web.send(IPV4, packet(GUEST, PLAN.gateway, 17, new Uint8Array(64), true))
    it.settle()
    expect(it.told("link-broken")).toMatchObject([{ machine: "web", reason: "Error: found by a guest" }])
    expect(answers(it, db)).toBe(1)
    now += 1000
    it.settle()
    using again = it.join("web")
    expect(answers(it, again)).toBe(4)
    expect(it.told("machine-removed")).toEqual([])
  })
})
