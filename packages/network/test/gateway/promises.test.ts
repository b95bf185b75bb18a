// A machine is told of its address when that is on the disk.

import { parse } from "@skep/wire/dhcp"
import { describe, expect, it } from "vitest"
import { Promises } from "../../src/gateway/promises.ts"
import { statusOf } from "../../src/gateway/report.ts"
import { message } from "../dhcp/client.ts"
import { datagram, hear, IPV4, icmp } from "./packets.ts"
import { type Machine, PLAN, type Rig, rig } from "./rig.ts"

const WANTED = "192.168.64.7"
const EVERYBODY = { from: "0.0.0.0", to: "255.255.255.255", fromPort: 68, toPort: 67 }

function request(it: Rig, machine: Machine, requested = WANTED): void {
  const said = message({ type: "request", mac: machine.mac, requested, server: PLAN.gateway })
  machine.send(IPV4, datagram(EVERYBODY, said))
  it.settle()
}

/** The types of the DHCP messages that have come. */
function answers(machine: Machine): readonly (string | undefined)[] {
  return machine
    .take()
    .map(hear)
    .filter(({ fromPort }) => fromPort === 67)
    .map(({ payload }) => {
      const read = parse(payload, 0, payload.length)
      return typeof read === "string" ? read : read.type
    })
}

describe("an acknowledgement", () => {
  it("waits until its lease is on the disk, and nobody else waits", () => {
    using it = rig()
    const [web, db] = [it.machine("web"), it.machine("db")]
    request(it, web)
    const [first] = it.told("leases")
    expect(first?.leases).toMatchObject([{ address: WANTED, machine: "web" }])
    expect(answers(web)).toEqual([])
    // What gives no address does not wait, nor does any other packet.
    request(it, db, "10.0.0.1")
    expect(answers(db)).toEqual(["nak"])
    db.send(IPV4, icmp("192.168.64.9", PLAN.gateway, 8, 1))
    it.settle()
    expect(
      db
        .take()
        .map(hear)
        .filter(({ protocol }) => protocol === 1),
    ).toHaveLength(1)
    it.network.promises.saved((first?.save ?? 0) - 1, true)
    expect(answers(web)).toEqual([])
    it.network.promises.saved(first?.save ?? 0, true)
    it.settle()
    expect(answers(web)).toEqual(["ack"])
    expect(statusOf(it.network).counters).toMatchObject({ "dhcp-unsaved": 0 })
  })

  it("goes without it where the disk says no, or nothing for half a second, and is counted", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    const [web, db] = [it.machine("web"), it.machine("db")]
    request(it, web)
    it.network.promises.saved(it.told("leases")[0]?.save ?? 0, false)
    it.settle()
    expect(answers(web)).toEqual(["ack"])
    now += 100
    request(it, db, "192.168.64.8")
    now += 499
    it.settle()
    expect(answers(db)).toEqual([])
    now += 1
    it.settle()
    expect(answers(db)).toEqual(["ack"])
    expect(statusOf(it.network).counters).toMatchObject({ "dhcp-unsaved": 2 })
  })

  it("makes no more work for the disk than ten writes a second, whatever a machine asks for", () => {
    let now = 1000
    using it = rig()
    it.machine("web")
    const port = it.network.machines.get("web")?.port
    if (port === undefined) throw new Error("the machine is not there")
    const sent: number[] = []
    const promises = new Promises({
      now: () => now,
      timer: () => ({ deadline: 0, at: () => undefined, after: () => undefined, cancel: () => undefined }),
    })
    const wait = (number: number): void => promises.wait(port, () => sent.push(number))
    expect(promises.due).toBe(false)
    wait(1)
    expect(promises.due).toBe(true)
    promises.given(1)
    wait(2)
    now += 99
    wait(3)
    expect(promises.due).toBe(false)
    now += 1
    expect(promises.due).toBe(true)
    promises.saved(1, true)
    promises.given(2)
    expect([sent, promises.due]).toEqual([[1], false])
    promises.saved(2, true)
    expect(sent).toEqual([1, 2, 3])
  })

  it("is forgotten with its machine", () => {
    using it = rig()
    const web = it.machine("web")
    request(it, web)
    it.network.removeLink("web")
    it.network.promises.saved(1, true)
    it.settle()
    expect(it.network.promises.unsaved).toBe(0)
  })
})
