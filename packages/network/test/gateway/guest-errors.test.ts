// ICMP errors of guests about what they got: what ends a flow, what makes its segments smaller, and what is believed of nobody.

import * as sys from "@skep/loop/sys"
import { sum } from "@skep/wire/checksum"
import * as ip from "@skep/wire/ip"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { statusOf } from "../../src/gateway/report.ts"
import { ACK, ARP, arp, type Heard, hear, IPV4, IPV6, packet, SYN, segment } from "./packets.ts"
import { type Machine, PLAN, type Rig, rig } from "./rig.ts"
import { closedPort, HostSocket } from "./sockets.ts"

const GUEST = "192.168.64.5"
const GUEST6 = PLAN.gateway6.replace(/1$/, "5")
const BROADCAST = 0xffff_ffff_ffff
const UNREACHABLE = 3
const [HOST, PORT, TOO_BIG] = [1, 3, 4]

/** An error of the guest's about a frame that it got. */
function complaint(code: number, frame: Uint8Array, rest = 0, type = UNREACHABLE): Uint8Array {
  const bytes = new Uint8Array(8 + 28)
  bytes.set([type, code])
  new DataView(bytes.buffer).setUint32(4, rest)
  bytes.set(frame.subarray(14, 14 + 28), 8)
  new DataView(bytes.buffer).setUint16(2, ~sum(bytes, 0, bytes.length) & 0xffff)
  return packet(GUEST, PLAN.gateway, ip.PROTOCOL_ICMP, bytes)
}

function complaint6(type: number, frame: Uint8Array, rest: number): Uint8Array {
  const bytes = new Uint8Array(8 + 60)
  bytes[0] = type
  new DataView(bytes.buffer).setUint32(4, rest)
  bytes.set(frame.subarray(14, 14 + 60), 8)
  return packet(GUEST6, PLAN.gateway6, ip.PROTOCOL_ICMPV6, bytes)
}

const errors = (it: Rig) =>
  Object.fromEntries(
    Object.entries(statusOf(it.network).counters)
      .filter(([name, count]) => name.startsWith("guest-error-") && count > 0)
      .map(([name, count]) => [name.replace("guest-error-", ""), count]),
  )

/** A forward to the machine, which says who it is. */
function forwarded(it: Rig, transport: "tcp" | "udp"): { readonly machine: Machine; readonly port: number } {
  const machine = it.machine("web")
  machine.send(ARP, arp(1, { mac: machine.mac, address: GUEST }, PLAN.gateway), BROADCAST)
  it.settle()
  machine.take()
  const port = closedPort()
  const to = { guestAddress: GUEST, guestPort: 80 }
  it.network.forwards.add({ transport, hostAddress: "127.0.0.1", hostPort: port, ...to })
  return { machine, port }
}

const framesOf = (machine: Machine, protocol: number): readonly Uint8Array[] =>
  machine.take().filter((frame) => hear(frame).protocol === protocol)

/** A connection of the guest's to a socket of the host's loopback. */
function connected(it: Rig, machine: Machine, server: HostSocket, [from, to]: readonly [string, string]) {
  const type = from === GUEST ? IPV4 : IPV6
  const ends = { from, to, fromPort: 4000, toPort: server.port }
  machine.send(type, segment(ends, { flags: SYN, sequence: 100 }))
  it.settle()
  const [answer] = framesOf(machine, ip.PROTOCOL_TCP).map(hear)
  let acknowledgement = (answer?.sequence ?? 0) + 1
  const acknowledge = (): void => {
    machine.send(type, segment(ends, { flags: ACK, sequence: 101, acknowledgement }))
    it.settle()
  }
  acknowledge()
  return {
    socket: server.accept(),
    /** What is in the frames was got. */
    acknowledge: (frames: readonly Heard[]) => {
      for (const { sequence, payload } of frames)
        acknowledgement = Math.max(acknowledgement, sequence + payload.length)
      acknowledge()
    },
  }
}

describe("a guest's ICMP error", () => {
  it("ends the association of a datagram that nobody took; the next one begins another", () => {
    using it = rig()
    const { machine, port } = forwarded(it, "udp")
    using client = HostSocket.connected(sys.SOCK_DGRAM, port)
    const sources: number[] = []
    for (const round of [1, 2]) {
      client.write("is anybody there?")
      it.settle()
      const [frame] = framesOf(machine, ip.PROTOCOL_UDP)
      if (frame === undefined) throw new Error("no datagram came")
      sources.push(hear(frame).fromPort)
      expect(statusOf(it.network).flows.udp).toBe(1)
      machine.send(IPV4, complaint(HOST, frame))
      it.settle()
      expect(statusOf(it.network).flows.udp).toBe(1)
      machine.send(IPV4, complaint(PORT, frame))
      machine.send(IPV4, complaint(PORT, frame))
      it.settle()
      expect(statusOf(it.network).flows.udp).toBe(0)
      expect(errors(it)).toEqual({ ended: round, soft: round, "unknown-flow": round })
    }
    expect(new Set(sources).size).toBe(2)
  })

  it.each([HOST, PORT, 13])(
    "ends a connection that does not stand yet, and its client hears of it: %i",
    (code) => {
      using it = rig()
      const { machine, port } = forwarded(it, "tcp")
      using client = HostSocket.connected(sys.SOCK_STREAM, port)
      it.settle()
      const [syn] = framesOf(machine, ip.PROTOCOL_TCP)
      if (syn === undefined) throw new Error("no connection was tried")
      // Of another segment than that which is on its way.
      const forged = Uint8Array.from(syn)
      forged[14 + 20 + 7] = (forged[14 + 20 + 7] ?? 0) ^ 1
      machine.send(IPV4, complaint(code, forged))
      it.settle()
      expect(client.read()).toBeUndefined()
      machine.send(IPV4, complaint(code, syn))
      it.settle()
      expect(client.read()).toBe("ECONNRESET")
      expect(errors(it)).toEqual({ unproved: 1, ended: 1 })
      expect(statusOf(it.network).flows.tcp).toBe(0)
    },
  )

  it.each([
    [4, 1000, 960],
    [4, 100, 536],
    [4, 0, 536],
    [6, 1400, 1340],
    [6, 600, 1220],
  ] as const)(
    "makes the segments of IPv%i smaller for a path of %i, as far as may be",
    (version, mtu, most) => {
      using it = rig()
      using server = HostSocket.listen()
      const machine = it.machine("web")
      const other = it.machine("other")
      const ends = version === 4 ? ([GUEST, PLAN.gateway] as const) : ([GUEST6, PLAN.gateway6] as const)
      const { socket, acknowledge } = connected(it, machine, server, ends)
      using client = socket
      const text = "abcdefghij".repeat(2000)
      client?.write(text)
      it.settle()
      const [first, ...rest] = framesOf(machine, ip.PROTOCOL_TCP)
      if (first === undefined) throw new Error("nothing came")
      const full = hear(first).payload.length
      expect(full).toBeGreaterThan(most)
      const [type, said] =
        version === 4 ? [IPV4, complaint(TOO_BIG, first, mtu)] : [IPV6, complaint6(2, first, mtu)]
      other.send(type, said)
      it.settle()
      expect(framesOf(machine, ip.PROTOCOL_TCP)).toEqual([])
      machine.send(type, said)
      it.settle()
      let heard = framesOf(machine, ip.PROTOCOL_TCP).map(hear)
      expect(heard.length).toBeGreaterThan(rest.length)
      // And all of it arrives.
      const got = new Map<number, Uint8Array>()
      for (let round = 0; round < 50 && heard.length > 0; round++) {
        for (const { sequence, payload } of heard) {
          expect(payload.length).toBeLessThanOrEqual(most)
          got.set(sequence, payload)
        }
        acknowledge(heard)
        heard = framesOf(machine, ip.PROTOCOL_TCP)
          .map(hear)
          .filter(({ payload }) => payload.length > 0)
      }
      const start = hear(first).sequence
      const bytes = Buffer.alloc(text.length)
      for (const [sequence, payload] of got) bytes.set(payload, sequence - start)
      expect(bytes.toString()).toBe(text)
      machine.send(type, said)
      it.settle()
      expect(errors(it)).toEqual({ "unknown-flow": 1, shrunk: 1, unproved: 1 })
    },
  )

  it("ends no connection that stands", () => {
    using it = rig()
    using server = HostSocket.listen()
    const machine = it.machine("web")
    const { socket, acknowledge } = connected(it, machine, server, [GUEST, PLAN.gateway])
    using client = socket
    client?.write("one")
    it.settle()
    const [frame] = framesOf(machine, ip.PROTOCOL_TCP)
    if (frame === undefined) throw new Error("nothing came")
    for (const code of [0, HOST, 2, PORT, 13]) machine.send(IPV4, complaint(code, frame))
    machine.send(IPV4, complaint(0, frame, 0, 11))
    it.settle()
    expect(errors(it)).toEqual({ soft: 6 })
    acknowledge([hear(frame)])
    client?.write("two")
    it.settle()
    expect(
      framesOf(machine, ip.PROTOCOL_TCP).map((each) => Buffer.from(hear(each).payload).toString()),
    ).toEqual(["two"])
  })

  it("is not believed with a wrong checksum, nor where it quotes nothing", () => {
    using it = rig()
    const { machine, port } = forwarded(it, "udp")
    using client = HostSocket.connected(sys.SOCK_DGRAM, port)
    client.write("hello")
    it.settle()
    const [frame] = framesOf(machine, ip.PROTOCOL_UDP)
    if (frame === undefined) throw new Error("no datagram came")
    const damaged = complaint(PORT, frame)
    damaged[40] = (damaged[40] ?? 0) ^ 1
    machine.send(IPV4, damaged)
    machine.send(IPV4, complaint(PORT, new Uint8Array(42)))
    it.settle()
    expect(errors(it)).toEqual({ checksum: 1, "quote-bad-version": 1 })
    expect(statusOf(it.network).flows.udp).toBe(1)
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 28, maxLength: 28 }),
        fc.nat(255),
        fc.nat(20),
        (rest, type, code) => {
          machine.send(IPV4, complaint(code, Uint8Array.from([...new Uint8Array(14), ...rest]), 0, type))
          it.settle()
        },
      ),
    )
    expect(statusOf(it.network).flows.udp).toBe(1)
  })
})
