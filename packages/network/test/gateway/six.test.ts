// Which IPv6 address a machine is reached by: seen when it looks whether it is free, when it says so, and when it uses it.

import * as address from "@skep/wire/address"
import * as ndp from "@skep/wire/ndp"
import { describe, expect, it } from "vitest"
import { statusOf } from "../../src/gateway/report.ts"
import { addressOf, advertisement, datagram, hear, IPV4, IPV6, solicitation } from "./packets.ts"
import { type Machine, PLAN, type Rig, rig } from "./rig.ts"

const ALL_NODES = 0x3333_0000_0001
/** An address of the network's /64. */
function within(...identifier: readonly number[]): string {
  const bytes = addressOf(PLAN.gateway6)
  for (const [index, group] of identifier.entries()) {
    bytes[8 + 2 * index] = group >> 8
    bytes[9 + 2 * index] = group & 0xff
  }
  return address.format(bytes)
}
const RANDOM = within(0xa1, 0xb2, 0xc3, 0xd4)
const OTHER = within(0x1111, 0x2222, 0x3333, 0x4444)
/** Made of 02:00:00:00:00:01, the MAC address of the first machine. */
const OF_MAC = within(0, 0xff, 0xfe00, 1)
const BARE = within(0, 0, 0, 0x77)

const lease = (machine: string, address: string, mac: string) => ({
  address,
  mac,
  machine,
  granted: Date.now(),
  renewed: Date.now(),
  expires: Date.now() + 3_600_000,
})

const address6 = (it: Rig, name: string) =>
  statusOf(it.network).machines.find((machine) => machine.name === name)?.address6

function uses(it: Rig, machine: Machine, from: string): void {
  machine.send(IPV6, datagram({ from, to: PLAN.gateway6, fromPort: 9, toPort: 9 }, Uint8Array.of(1)))
  it.settle()
}

describe("the IPv6 address of a machine", () => {
  it("is asked for when the machine has found it to be free, by its own link only", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    const [web, db] = [it.machine("web"), it.machine("db")]
    web.send(IPV6, solicitation("::", RANDOM, web.mac), ALL_NODES)
    it.settle()
    expect(address6(it, "web")).toBeUndefined()
    for (const machine of [web, db]) machine.take()
    now += 1100
    it.settle()
    const asked = (machine: Machine) =>
      machine
        .take()
        .map(hear)
        .filter(({ payload }) => payload[0] === ndp.SOLICITATION)
    expect(asked(web)).toMatchObject([{ from: PLAN.gateway6 }])
    expect(asked(db)).toEqual([])
    web.send(IPV6, advertisement(RANDOM, RANDOM, web.mac, PLAN.gateway6))
    it.settle()
    expect(address6(it, "web")).toBe(RANDOM)
    now += 5000
    it.settle()
    expect(asked(web)).toEqual([])
  })

  it("is nobody's who finds it taken", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    const [web, db] = [it.machine("web"), it.machine("db")]
    db.send(IPV6, solicitation("::", RANDOM, db.mac), ALL_NODES)
    it.settle()
    web.send(IPV6, advertisement(RANDOM, RANDOM, web.mac), ALL_NODES)
    it.settle()
    db.take()
    for (let second = 0; second < 5; second++) {
      now += 1100
      it.settle()
    }
    expect(
      db
        .take()
        .map(hear)
        .filter(({ payload }) => payload[0] === ndp.SOLICITATION),
    ).toEqual([])
    expect([address6(it, "web"), address6(it, "db")]).toEqual([RANDOM, undefined])
  })

  it("is the one made of its MAC address before others, else the first; never that of the link alone", () => {
    using it = rig()
    const web = it.machine("web")
    uses(it, web, "fe80::1234")
    expect(address6(it, "web")).toBeUndefined()
    uses(it, web, RANDOM)
    uses(it, web, OTHER)
    expect(address6(it, "web")).toBe(RANDOM)
    uses(it, web, OF_MAC)
    expect(address6(it, "web")).toBe(OF_MAC)
  })

  it("is asked for again when its link comes back, and forgotten where nobody says that it is theirs", () => {
    let now = 1000
    using it = rig({}, { now: () => now })
    const web = it.machine("web")
    for (const each of [RANDOM, OTHER]) uses(it, web, each)
    web[Symbol.dispose]()
    it.until(() => it.network.machines.get("web")?.port.carrier === false)
    expect(address6(it, "web")).toBe(RANDOM)
    const again = it.join("web")
    for (let second = 0; second < 5; second++) {
      now += 1100
      it.settle()
      again.send(IPV6, advertisement(OTHER, OTHER, web.mac, PLAN.gateway6), undefined, web.mac)
      it.settle()
      expect(address6(it, "web")).toBe(second < 3 ? RANDOM : OTHER)
    }
    // It is believed all the same when it speaks up later.
    again.send(
      IPV6,
      datagram({ from: RANDOM, to: PLAN.gateway6, fromPort: 9, toPort: 9 }, Uint8Array.of(1)),
      undefined,
      web.mac,
    )
    it.settle()
    expect(it.network.neighbours.holderOf(addressOf(RANDOM), 0, 16)).not.toBe(-1)
  })

  it("stays with who had it first, until that one's link is down", () => {
    using it = rig()
    const [web, db] = [it.machine("web"), it.machine("db")]
    uses(it, web, RANDOM)
    uses(it, db, RANDOM)
    expect([address6(it, "web"), address6(it, "db")]).toEqual([RANDOM, undefined])
    web[Symbol.dispose]()
    it.until(() => it.network.machines.get("web")?.port.carrier === false)
    db.send(IPV6, solicitation(RANDOM, PLAN.gateway6, db.mac))
    it.settle()
    expect([address6(it, "web"), address6(it, "db")]).toEqual([undefined, RANDOM])
  })

  it("is bounded: who has too many keeps what was heard of last, and nobody else loses anything", () => {
    using it = rig()
    const [web, db] = [it.machine("web"), it.machine("db")]
    uses(it, web, RANDOM)
    for (let index = 0; index < 200; index++) uses(it, db, within(9, 9, 9, index))
    expect(address6(it, "web")).toBe(RANDOM)
    expect(address6(it, "db")).toBe(within(9, 9, 9, 200 - 64))
  })

  it("is told with its names, beside that of its lease; and without a lease too", () => {
    let now = 1000
    const leases = [
      lease("web", "192.168.64.5", "02:00:00:00:00:01"),
      lease("db", "192.168.64.6", "02:00:00:00:00:99"),
    ]
    using it = rig({ leases }, { now: () => now })
    const [web, db, bare] = [it.machine("web"), it.machine("db"), it.machine("Bare")]
    uses(it, web, RANDOM)
    uses(it, db, OTHER)
    uses(it, bare, BARE)
    bare.send(
      IPV4,
      datagram({ from: "192.168.64.77", to: PLAN.gateway, fromPort: 9, toPort: 9 }, Uint8Array.of(1)),
    )
    it.settle()
    now += 100
    it.settle()
    expect(it.told("names").at(-1)?.names).toEqual([
      { name: "web", addresses: ["192.168.64.5", RANDOM] },
      // What has the lease is not what has the address: something behind the same link.
      { name: "db", addresses: ["192.168.64.6"] },
      { name: "bare", addresses: ["192.168.64.77", BARE] },
    ])
    it.network.removeLink("Bare")
    now += 100
    it.settle()
    expect(
      it
        .told("names")
        .at(-1)
        ?.names.map(({ name }) => name),
    ).toEqual(["web", "db"])
  })
})
