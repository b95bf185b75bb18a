// What a network says of itself.

import * as sys from "@skep/loop/sys"
import { describe, expect, it } from "vitest"
import { flowPage, statusOf } from "../../src/gateway/report.ts"
import { parseFlows } from "../../src/status.ts"
import { ACK, datagram, hear, IPV4, RST, SYN, segment } from "./packets.ts"
import { type Machine, PLAN, type Rig, rig } from "./rig.ts"
import { HostSocket } from "./sockets.ts"

const GUEST = "192.168.64.5"

/** Associations of a machine, one after the other. */
function speak(it: Rig, machine: Machine, toPort: number, count: number): void {
  for (let each = 0; each < count; each++) {
    const ends = { from: GUEST, to: PLAN.gateway, fromPort: 5000 + each, toPort }
    machine.send(IPV4, datagram(ends, Buffer.from("hi")))
    it.settle()
  }
}

describe("flowPage()", () => {
  it("has the oldest first, a page at a time, of one machine or of all", () => {
    using it = rig()
    using server = HostSocket.bound(sys.SOCK_DGRAM)
    using listener = HostSocket.listen()
    const [web, db] = [it.machine("web"), it.machine("db")]
    speak(it, web, server.port, 3)
    db.send(
      IPV4,
      segment(
        { from: "192.168.64.6", to: PLAN.gateway, fromPort: 9, toPort: listener.port },
        { flags: SYN, sequence: 1 },
      ),
    )
    it.settle()
    speak(it, web, listener.port, 2)
    const all = flowPage(it.network, {})
    expect(parseFlows(structuredClone(all))).toEqual(all)
    expect(all.flows.map(({ machine, protocol }) => `${machine} ${protocol}`)).toEqual([
      "web udp",
      "web udp",
      "web udp",
      "db tcp",
      "web udp",
      "web udp",
    ])
    const ids = all.flows.map(({ id }) => id)
    expect(ids).toEqual(ids.toSorted((one, other) => one - other))
    expect(all.flows[3]).toMatchObject({
      guest: "192.168.64.6:9",
      remote: `${PLAN.gateway}:${listener.port}`,
      state: "syn-received",
      direction: "out",
    })
    const first = flowPage(it.network, { machine: "web", limit: 2 })
    expect([first.total, first.flows.length]).toEqual([5, 2])
    const rest = flowPage(it.network, { machine: "web", after: first.flows[1]?.id ?? 0 })
    expect(rest.flows.map(({ id }) => id)).toEqual([ids[2], ids[4], ids[5]])
    expect(flowPage(it.network, { machine: "no" })).toEqual({ flows: [], total: 0 })
  })
})

describe("statusOf()", () => {
  it("counts flows by protocol and machine, and has the newest address of each", () => {
    const lease = { mac: "02:00:00:00:00:01", machine: "web", granted: 1, expires: Date.now() + 3_600_000 }
    using it = rig({
      leases: [
        { ...lease, address: "192.168.64.9", clientId: "01", renewed: 3 },
        { ...lease, address: GUEST, machine: "db", renewed: 2 },
      ],
    })
    using server = HostSocket.bound(sys.SOCK_DGRAM)
    const web = it.machine("web")
    it.machine("db")
    speak(it, web, server.port, 3)
    const status = statusOf(it.network)
    expect(status.flows).toEqual({ tcp: 0, udp: 3, icmp: 0 })
    expect(status.machines.map(({ name, address, flows }) => [name, address, flows])).toEqual([
      ["web", "192.168.64.9", 3],
      ["db", GUEST, 0],
    ])
    expect(status.machines[0]).toMatchObject({ connected: true, kind: "qemu", mac: "02:00:00:00:00:01" })
    expect(status.memory.heldBytes).toBeGreaterThan(0)
    expect(status.memory.heldBytes).toBeLessThanOrEqual(status.memory.maxHeldBytes)
    expect(Object.values(status.counters).every((count) => Number.isSafeInteger(count))).toBe(true)
  })

  it("tells what is kept of a machine's streams, until they are over", () => {
    using it = rig()
    using listener = HostSocket.listen()
    const [web] = [it.machine("web"), it.machine("db")]
    const ends = { from: GUEST, to: PLAN.gateway, fromPort: 9, toPort: listener.port }
    web.send(IPV4, segment(ends, { flags: SYN, sequence: 0 }))
    it.settle()
    const [answer] = web.take().map(hear)
    const acknowledgement = (answer?.sequence ?? 0) + 1
    web.send(IPV4, segment(ends, { flags: ACK, sequence: 1, acknowledgement }))
    // Before it, 100 bytes are missing.
    const payload = new Uint8Array(1000)
    web.send(IPV4, segment(ends, { flags: ACK, sequence: 101, acknowledgement, payload }))
    it.settle()
    const { memory, machines } = statusOf(it.network)
    expect(memory.keptBytes).toBeGreaterThanOrEqual(1000)
    expect(memory.keptBytes).toBeLessThan(memory.maxKeptBytes)
    expect(machines.map(({ keptBytes }) => keptBytes)).toEqual([memory.keptBytes, 0])
    web.send(IPV4, segment(ends, { flags: RST, sequence: 1 }))
    it.settle()
    const after = statusOf(it.network)
    expect([after.memory.keptBytes, after.machines[0]?.keptBytes]).toEqual([0, 0])
  })
})
