// What a hostile machine tells its neighbour: nothing of it arrives, all of it is counted, and what both say of themselves does arrive.

import { sum } from "@skep/wire/checksum"
import * as mac from "@skep/wire/mac"
import { describe, expect, it } from "vitest"
import { statusOf } from "../../src/gateway/report.ts"
import { ARP, advertisement, arp, datagram, hear, IPV4, IPV6, icmp, packet, solicitation } from "./packets.ts"
import { GATEWAY_MAC, type Machine, PLAN, type Rig, rig } from "./rig.ts"

const VICTIM = "192.168.64.5"
const HOSTILE = "192.168.64.6"
const BROADCAST = 0xffff_ffff_ffff
const ALL_NODES = 0x3333_0000_0001
const VICTIM6 = PLAN.gateway6.replace(/1$/, "5")

const lease = (machine: string, address: string, station: number) => ({
  address,
  mac: mac.format(station),
  machine,
  granted: Date.now(),
  renewed: Date.now(),
  expires: Date.now() + 3_600_000,
})

interface Neighbours {
  readonly it: Rig
  readonly victim: Machine
  readonly hostile: Machine
}

/** Two machines, whom the switch and the gateway know. */
function neighbours(it: Rig): Neighbours {
  const [victim, hostile] = [it.machine("victim"), it.machine("hostile")]
  victim.send(ARP, arp(1, { mac: victim.mac, address: VICTIM }, PLAN.gateway), BROADCAST)
  victim.send(IPV6, advertisement(VICTIM6, VICTIM6, victim.mac), ALL_NODES)
  hostile.send(ARP, arp(1, { mac: hostile.mac, address: HOSTILE }, PLAN.gateway), BROADCAST)
  it.settle()
  for (const machine of [victim, hostile]) machine.take()
  return { it, victim, hostile }
}

const leases = [lease("victim", VICTIM, 0x0200_0000_0001), lease("hostile", HOSTILE, 0x0200_0000_0002)]

/** What a machine has heard that did not come from the gateway. */
const heardOf = (machine: Machine) =>
  machine.take().filter((frame) => Buffer.from(frame).readUIntBE(6, 6) !== GATEWAY_MAC)

const guarded = (it: Rig) =>
  Object.fromEntries(
    Object.entries(statusOf(it.network).counters).filter(
      ([name, count]) => name.startsWith("guard-") && count > 0,
    ),
  )

describe("a hostile neighbour", () => {
  it("cannot say that it is the gateway, a neighbour, a router or a DHCP server", () => {
    using it = rig({ leases })
    const { victim, hostile } = neighbours(it)
    const claims: readonly (readonly [number, Uint8Array])[] = [
      ...[PLAN.gateway, PLAN.host, VICTIM].map(
        (address) => [ARP, arp(2, { mac: hostile.mac, address }, VICTIM)] as const,
      ),
      ...[PLAN.gateway6, VICTIM6].map(
        (address) => [IPV6, advertisement(address, address, hostile.mac)] as const,
      ),
      [IPV6, solicitation(VICTIM6, VICTIM6, hostile.mac)],
      [IPV4, datagram({ from: HOSTILE, to: VICTIM, fromPort: 67, toPort: 68 }, new Uint8Array(240))],
      [IPV4, datagram({ from: PLAN.gateway, to: VICTIM, fromPort: 53, toPort: 999 }, new Uint8Array(12))],
    ]
    for (const [type, payload] of claims)
      for (const to of [BROADCAST, victim.mac]) {
        hostile.send(type, payload, to)
        it.settle()
      }
    expect(heardOf(victim)).toEqual([])
    expect(guarded(it)).toEqual({
      "guard-claims-gateway": 2 * 4,
      "guard-claims-neighbour": 2 * 3,
      "guard-dhcp-server": 2,
    })
    expect(it.network.machines.get("hostile")?.port.counters.guarded).toBe(2 * claims.length)
    // Nor does the gateway believe it.
    expect(statusOf(it.network).machines).toMatchObject([
      { name: "victim", address: VICTIM, address6: VICTIM6 },
      { name: "hostile", address: HOSTILE },
    ])
  })

  it("can say who it is, and what it likes to ask", () => {
    using it = rig({ leases })
    const { victim, hostile } = neighbours(it)
    const own6 = PLAN.gateway6.replace(/1$/, "6")
    const frames = [
      [ARP, arp(1, { mac: hostile.mac, address: HOSTILE }, VICTIM)],
      [ARP, arp(2, { mac: hostile.mac, address: HOSTILE }, VICTIM)],
      [IPV6, solicitation(own6, VICTIM6, hostile.mac)],
      [IPV6, advertisement(own6, own6, hostile.mac, VICTIM6)],
      [IPV4, icmp(HOSTILE, VICTIM, 8, 1)],
    ] as const
    for (const [type, payload] of frames) hostile.send(type, payload, victim.mac)
    it.settle()
    expect(heardOf(victim)).toHaveLength(frames.length)
    expect(guarded(it)).toEqual({})
  })

  it("cannot take the place of a machine by its MAC address", () => {
    using it = rig({ leases })
    const { victim, hostile } = neighbours(it)
    hostile.send(ARP, arp(1, { mac: victim.mac, address: VICTIM }, PLAN.gateway), BROADCAST, victim.mac)
    hostile.send(IPV4, icmp(HOSTILE, PLAN.gateway, 8, 1), GATEWAY_MAC, victim.mac)
    it.settle()
    expect(hostile.take().map(hear)).toEqual([])
    expect(it.network.machines.get("hostile")?.port.counters.taken).toBe(2)
    victim.send(IPV4, icmp(VICTIM, PLAN.gateway, 8, 1))
    it.settle()
    expect(victim.take().map(hear)).toMatchObject([{ from: PLAN.gateway, to: VICTIM }])
  })

  it("may have the address of a machine that is gone", () => {
    using it = rig({ leases })
    const { victim, hostile } = neighbours(it)
    const other = it.machine("other")
    it.network.removeLink("victim")
    victim[Symbol.dispose]()
    hostile.send(ARP, arp(1, { mac: hostile.mac, address: VICTIM }, HOSTILE), BROADCAST)
    hostile.send(IPV6, advertisement(VICTIM6, VICTIM6, hostile.mac), ALL_NODES)
    it.settle()
    expect(heardOf(other)).toHaveLength(2)
    expect(guarded(it)).toEqual({})
  })
})

describe("a packet that may go no further", () => {
  it.each([
    ["UDP", 4, datagram({ from: VICTIM, to: "203.0.113.9", fromPort: 5, toPort: 33_434 }, new Uint8Array(8))],
    ["an echo", 4, icmp(VICTIM, "203.0.113.9", 8, 1)],
    [
      "UDP over IPv6",
      6,
      datagram({ from: VICTIM6, to: "2001:db8::9", fromPort: 5, toPort: 33_434 }, new Uint8Array(8)),
    ],
    ["anything over IPv6", 6, packet(VICTIM6, "2001:db8::9", 99, new Uint8Array(8))],
  ] as const)("is told of by the gateway, and goes nowhere: %s", (_, version, bytes) => {
    using it = rig()
    const { victim } = neighbours(it)
    for (const hopLimit of [0, 1]) {
      const spent = Uint8Array.from(bytes)
      spent[version === 4 ? 8 : 7] = hopLimit
      if (version === 4) sealHeader(spent)
      victim.send(version === 4 ? IPV4 : IPV6, spent)
      it.settle()
      const [told, ...more] = victim.take().map(hear)
      expect(more).toEqual([])
      expect(told).toMatchObject({
        from: version === 4 ? PLAN.gateway : PLAN.gateway6,
        to: version === 4 ? VICTIM : VICTIM6,
      })
      // Type and code: time exceeded in transit.
      expect([...(told?.payload.subarray(0, 2) ?? [])]).toEqual([version === 4 ? 11 : 3, 0])
    }
    const { counters, flows, refusals } = statusOf(it.network)
    expect(counters).toMatchObject({ "dropped-hops-exceeded": 2, "icmp-sent": 2 })
    expect([flows.udp + flows.icmp, Object.values(refusals).every((count) => count === 0)]).toEqual([0, true])
  })

  it("is heard all the same by the gateway, which is no further", () => {
    using it = rig()
    const { victim } = neighbours(it)
    const bytes = Uint8Array.from(icmp(VICTIM, PLAN.gateway, 8, 1))
    bytes[8] = 1
    victim.send(IPV4, sealHeader(bytes))
    it.settle()
    expect(victim.take().map(hear)).toMatchObject([{ from: PLAN.gateway, protocol: 1 }])
    expect(statusOf(it.network).counters["dropped-hops-exceeded"]).toBeUndefined()
  })
})

/** Puts the checksum of an IPv4 header. */
function sealHeader(bytes: Uint8Array): Uint8Array {
  bytes[10] = 0
  bytes[11] = 0
  const total = ~sum(bytes, 0, 20) & 0xffff
  bytes[10] = total >> 8
  bytes[11] = total & 0xff
  return bytes
}
