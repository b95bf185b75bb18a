// A machine that sends whatever it likes, beside one that behaves: nothing throws, nothing is led anywhere, nobody else loses anything.

import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { statusOf } from "../../src/gateway/report.ts"
import { ACK, ARP, arp, datagram, FIN, hear, IPV4, IPV6, packet, RST, SYN, segment } from "./packets.ts"
import { GATEWAY_MAC, PLAN, rig } from "./rig.ts"
import { HostSocket } from "./sockets.ts"

const HONEST = "192.168.64.5"
const HOSTILE = "192.168.64.6"
const BROADCAST = 0xffff_ffff_ffff

const address4 = fc.constantFrom(
  HOSTILE,
  HONEST,
  PLAN.gateway,
  "0.0.0.0",
  "127.0.0.1",
  "255.255.255.255",
  "192.168.64.255",
  "224.0.0.1",
  "169.254.169.254",
  "203.0.113.9",
)
const address6 = fc.constantFrom(PLAN.gateway6, PLAN.host6, "::", "::1", "fe80::1", "ff02::1", "2001:db8::1")
const bytes = fc.uint8Array({ maxLength: 600 })
const port = fc.constantFrom(0, 7, 53, 67, 68, 1900, 40_000, 65_535)

/** A frame, and the type in its Ethernet header. */
const frames = fc.oneof(
  fc
    .record({
      from: address4,
      to: address4,
      fromPort: port,
      toPort: port,
      flags: fc.nat(63),
      sequence: fc.nat(),
    })
    .map(({ flags, sequence, ...ends }) => [IPV4, segment(ends, { flags, sequence })] as const),
  fc
    .record({ from: address4, to: address4, fromPort: port, toPort: port, payload: bytes })
    .map(({ payload, ...ends }) => [IPV4, datagram(ends, payload)] as const),
  fc
    .tuple(address4, address4, fc.nat(255), bytes, fc.boolean())
    .map(
      ([from, to, protocol, payload, more]) =>
        [IPV4, packet(from, to, protocol === 6 || protocol === 17 ? 1 : protocol, payload, more)] as const,
    ),
  fc
    .tuple(
      address6,
      address6,
      fc.constantFrom(0, 43, 44, 50, 58, 59, 60, 135),
      fc.uint8Array({ minLength: 8, maxLength: 200 }),
    )
    .map(([from, to, protocol, payload]) => [IPV6, packet(from, to, protocol, payload)] as const),
  fc
    .tuple(address4, address4, fc.constantFrom(1 as const, 2 as const))
    .map(([address, target, operation]) => [ARP, arp(operation, { mac: 2, address }, target)] as const),
  fc.tuple(fc.constantFrom(IPV4, IPV6, ARP, 0x88cc, 5), bytes),
)

/** The same with some bytes changed, and perhaps cut short. */
const mangled = fc
  .tuple(frames, fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 4 }), fc.option(fc.nat(60)))
  .map(([[type, payload], changes, cut]) => {
    const copy = payload.slice(0, cut ?? payload.length)
    for (const [at, value] of changes) if (at < copy.length) copy[at] = value
    return [type, copy] as const
  })

describe("a hostile machine", () => {
  it("harms neither the network nor the flow of another machine", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(mangled, fc.constantFrom(GATEWAY_MAC, BROADCAST, 2, 0)), {
          minLength: 50,
          maxLength: 150,
        }),
        (each) => {
          // What it may reach is nothing, so that no frame finds a socket of this host.
          using it = rig()
          using server = HostSocket.listen()
          const [honest, hostile] = [it.machine("honest"), it.machine("hostile")]
          it.network.setPolicy({ mode: "nothing", closedPorts: [] }, "hostile")
          const idle = it.network.memory.arena.heap.used
          const ends = { from: HONEST, to: PLAN.gateway, fromPort: 40_000, toPort: server.port }
          honest.send(IPV4, segment(ends, { flags: SYN, sequence: 100 }))
          it.settle()
          const [answer] = honest
            .take()
            .map(hear)
            .filter(({ flags }) => flags === (SYN | ACK))
          const acknowledgement = (answer?.sequence ?? 0) + 1
          honest.send(IPV4, segment(ends, { flags: ACK, sequence: 101, acknowledgement }))
          it.settle()
          using client = server.accept()
          for (const [[type, payload], to] of each) {
            hostile.send(type, payload, to)
            it.loop.step()
          }
          // In the honest one's name: its link tells them apart.
          for (const flags of [RST, RST | ACK, FIN | ACK])
            hostile.send(IPV4, segment(ends, { flags, sequence: 101, acknowledgement }))
          it.settle()
          const payload = Buffer.from("still here")
          honest.send(IPV4, segment(ends, { flags: ACK, sequence: 101, acknowledgement, payload }))
          it.settle()
          expect(client?.read()).toBe("still here")
          expect(it.told("link-broken")).toEqual([])
          expect(it.network.machines.size).toBe(2)
          const { machines, counters } = statusOf(it.network)
          expect(machines.map(({ flows }) => flows)).toEqual([1, 0])
          expect(counters["tcp-strays"]).toBeGreaterThanOrEqual(3)
          it.network.removeLink("hostile")
          it.network.removeLink("honest")
          expect(it.network.memory.arena.heap.used).toBe(idle)
        },
      ),
      { numRuns: 40 },
    )
  })

  it("gets nothing for datagrams with a wrong checksum, DHCP and DNS among them", () => {
    using it = rig()
    const machine = it.machine("web")
    for (const [from, to, toPort] of [
      ["0.0.0.0", "255.255.255.255", 67],
      [HONEST, PLAN.gateway, 53],
      [HONEST, PLAN.gateway, 9],
    ] as const) {
      const wrong = datagram({ from, to, fromPort: 68, toPort }, new Uint8Array(300))
      wrong[40] = 1
      machine.send(IPV4, wrong)
    }
    it.settle()
    expect(statusOf(it.network).counters).toMatchObject({ "service-bad-checksum": 2, "udp-bad-checksum": 1 })
    expect(it.told("dns-query")).toEqual([])
    expect(it.network.flows.datagrams.table.size).toBe(0)
  })

  it("speaks DHCP to the gateway, and to nobody beyond it", () => {
    using it = rig()
    const machine = it.machine("web")
    machine.send(
      IPV4,
      datagram({ from: HONEST, to: "203.0.113.9", fromPort: 68, toPort: 67 }, new Uint8Array(9)),
    )
    it.settle()
    expect(it.told("refused")).toMatchObject([{ destination: "203.0.113.9", port: 67 }])
  })

  it("that asks without end has so many questions, and no more", () => {
    using it = rig()
    const [web, db] = [it.machine("web"), it.machine("db")]
    const ends = { from: HOSTILE, to: PLAN.gateway, fromPort: 4000, toPort: 53 }
    for (let each = 0; each < 200; each++) {
      web.send(IPV4, datagram(ends, Uint8Array.of(each, 0, 1)))
      it.loop.step()
    }
    expect(it.told("dns-query")).toHaveLength(128)
    expect(statusOf(it.network).counters).toMatchObject({ "dns-dropped": 72 })
    db.send(IPV4, datagram({ ...ends, from: HONEST }, Uint8Array.of(1, 2, 3)))
    it.settle()
    const asked = it.told("dns-query").at(-1)
    expect(asked).toMatchObject({ machine: "db", bytes: Uint8Array.of(1, 2, 3) })
    db.take()
    it.network.services.answer(asked?.id ?? 0, Buffer.from("an answer"))
    it.settle()
    const [heard] = db
      .take()
      .map(hear)
      .filter(({ protocol }) => protocol === 17)
    expect(heard).toMatchObject({ from: PLAN.gateway, to: HONEST, fromPort: 53, toPort: 4000 })
    expect(Buffer.from(heard?.payload ?? []).toString()).toBe("an answer")
    // Whose machine has gone is forgotten.
    it.network.removeLink("web")
    it.machine("next").send(IPV4, datagram(ends, Uint8Array.of(9)))
    it.settle()
    expect(it.told("dns-query").at(-1)).toMatchObject({ machine: "next" })
  })
})
