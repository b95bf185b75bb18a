/**
 * Associations of datagrams: who is let go, when, and what the guest is told.
 *
 * @module
 */
import { Frame, GSO_NONE, GSO_UDP, NO_OFFLOADS, type Offloads, type Outlet, Parts } from "@skep/link"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import { describe, expect, it } from "vitest"
import { DatagramFlows, type DatagramFlowsOptions } from "../../src/flow/datagram-flows.ts"
import { DatagramHeaders } from "../../src/flow/datagram-headers.ts"
import { type DatagramEvents, EACCES, EAGAIN, ECONNREFUSED } from "../../src/host/host.ts"
import { FlatMemory } from "../rig/flat-memory.ts"
import { impairedCable } from "../rig/impaired-cable.ts"
import { randomOf } from "../rig/two-ends.ts"
import { VirtualClock } from "../rig/virtual-clock.ts"

const HEADERS = ethernet.HEADER + 20 + 8

/** A host's socket that answers when it is told to. */
class Socket {
  readonly sent: number[] = []
  /** How many datagrams went by one call. */
  readonly batches: number[] = []
  readonly waiting: number[] = []
  closed = false
  readonly events: DatagramEvents
  constructor(events: DatagramEvents) {
    this.events = events
  }
  send(parts: Parts): number {
    this.sent.push(parts.bytes)
    return parts.bytes
  }
  sendEach(datagrams: Parts): number {
    this.sent.push(...datagrams.lengths.slice(0, datagrams.count))
    this.batches.push(datagrams.count)
    return 0
  }
  receive(_address: number, room: number): number {
    return Math.min(room, this.waiting.shift() ?? -EAGAIN)
  }
  close(): void {
    this.closed = true
  }
}

function rig({
  offloads = NO_OFFLOADS,
  ...more
}: Partial<DatagramFlowsOptions> & { readonly offloads?: Offloads } = {}) {
  const clock = new VirtualClock()
  const memory = new FlatMemory(8 << 20)
  const frames: number[] = []
  const links = [0, 1].map(
    () =>
      impairedCable({
        clock,
        memory,
        random: randomOf(1),
        mtu: 1500,
        offloads,
        onFrame: (_from, frame) => frames.push(frame.length),
      })[0],
  )
  const sockets: Socket[] = []
  const told: number[] = []
  const cut: number[] = []
  const later: (() => void)[] = []
  const open = (_to: unknown, events: DatagramEvents): Socket => {
    const socket = new Socket(events)
    sockets.push(socket)
    return socket
  }
  const flows = new DatagramFlows({
    host: { udp: open, echo: open },
    clock,
    memory,
    route: () => ({ address: Uint8Array.of(127, 0, 0, 1), port: 53 }),
    unreachable: (_link, _packet, errno) => told.push(errno),
    cut: (_link, _headers, _length, payload) => cut.push(payload.bytes),
    later: (callback) => later.push(callback),
    ...more,
  })
  const say = (port: number, of = 0, otherPort = 9999): void => {
    hear(port, of, otherPort)
    flows.settle()
  }
  /** The turn goes on. */
  const hear = (port: number, of = 0, otherPort = 9999): void => {
    const link = links[of] as Outlet
    const bytes = new Uint8Array(HEADERS + 10)
    ethernet.emit(bytes, 0, 1, 2, ethernet.TYPE_IPV4)
    ip.emit(bytes, ethernet.HEADER, {
      source: Uint8Array.of(192, 168, 64, 2),
      destination: Uint8Array.of(10, 0, 0, 1),
      protocol: ip.PROTOCOL_UDP,
      payloadLength: 18,
      hopLimit: 64,
    })
    bytes.set([port >> 8, port & 0xff, otherPort >> 8, otherPort & 0xff], ethernet.HEADER + 20)
    const frame = new Frame()
    frame.bytes = bytes
    frame.at = 0
    frame.head = bytes.length
    frame.length = bytes.length
    frame.parts.push(memory.allocate(1024), bytes.length)
    memory.free(frame.parts.addressAt(0), 1024)
    const view = ip.ipView()
    if (typeof ip.parse(bytes, ethernet.HEADER, bytes.length, bytes.length, view) === "string")
      throw new Error()
    flows.fromGuest(link, frame, view, {
      from: 2,
      to: 1,
      portsAt: ethernet.HEADER + 20,
      ports: 2,
      guestPort: port,
      otherPort,
      payloadAt: HEADERS,
      payloadEnd: bytes.length,
    })
  }
  const answer = (index: number, ...lengths: number[]): void => {
    sockets[index]?.waiting.push(...lengths)
    sockets[index]?.events.onReadable()
  }
  const pass = (ms: number): void => {
    const until = clock.now() + ms
    while (clock.step(until));
    clock.rest(until)
  }
  return { flows, sockets, told, cut, later, frames, say, hear, answer, pass, memory, links }
}

describe("an association", () => {
  it("ends when it was silent: unanswered after 30 s, answered after 5 minutes, DNS after 10 s", () => {
    const { flows, say, answer, pass } = rig()
    say(1)
    say(2)
    say(3, 0, 53)
    answer(1, 5)
    answer(2, 5)
    expect(flows.table.size).toBe(3)
    pass(12_000)
    expect(
      flows.table
        .all()
        .map(({ ends }) => ends.guestPort)
        .toSorted((a, b) => a - b),
    ).toEqual([1, 2])
    pass(20_000)
    expect(flows.table.all().map(({ ends }) => ends.guestPort)).toEqual([2])
    pass(260_000)
    say(2) // it is used
    pass(290_000)
    expect(flows.table.size).toBe(1)
    pass(20_000)
    expect([flows.table.size, flows.counters.expired]).toEqual([0, 3])
  })

  it("makes room for others: unanswered ones first, of the machine that has most", () => {
    const { flows, sockets, say, answer } = rig({ most: 10, mostOfLink: 6 })
    for (let port = 1; port <= 6; port++) say(port)
    answer(0, 4)
    say(7)
    expect([flows.table.size, flows.counters.evicted]).toEqual([6, 1])
    expect(sockets.map(({ closed }) => closed)).toEqual([false, true, false, false, false, false, false])
    for (let port = 101; port <= 104; port++) say(port, 1)
    expect(flows.counters.evicted).toBe(1)
    say(105, 1)
    expect([flows.table.size, flows.counters.evicted]).toEqual([10, 2])
    expect(sockets.map(({ closed }, index) => (closed ? index : -1)).filter((index) => index >= 0)).toEqual([
      1, 2,
    ])
  })

  it("gives way to others that nobody answers, once there are many", () => {
    const { flows, sockets, say, answer } = rig({ mostUnanswered: 4 })
    say(1)
    answer(0, 4)
    for (let port = 2; port <= 9; port++) say(port)
    expect([flows.table.size, flows.counters.evicted]).toEqual([5, 4])
    expect(sockets.map(({ closed }) => closed).slice(0, 6)).toEqual([false, true, true, true, true, false])
    answer(8, 4)
    say(10)
    expect([flows.table.size, flows.counters.evicted]).toEqual([6, 4])
  })

  it("is of one machine only", () => {
    const { flows, sockets, say } = rig()
    say(1)
    say(1, 1)
    expect([sockets.length, flows.counters.strays, sockets[0]?.sent.length]).toEqual([1, 1, 1])
  })

  it("is refused by the policy, and by the host", () => {
    const { flows, told, say } = rig({ route: () => EACCES })
    say(1)
    expect([told, flows.counters.refused, flows.table.size]).toEqual([[EACCES], 1, 0])
    const none = rig({ host: { udp: () => -24, echo: () => -24 } })
    none.say(1)
    expect([none.told, none.flows.counters.unreachable, none.flows.table.size]).toEqual([[24], 1, 0])
  })

  it("tells what the host says of its datagrams, and goes on", () => {
    const { flows, told, say, answer } = rig()
    say(1)
    answer(0, -ECONNREFUSED, 7)
    expect([told, flows.counters.hostErrors, flows.counters.toGuest]).toEqual([[ECONNREFUSED], 1, 1])
  })

  it("sends what a turn brought by one call, of 64 datagrams at most", () => {
    const { flows, sockets, hear } = rig()
    for (let count = 0; count < 3; count++) for (const port of [1, 2]) hear(port)
    expect(sockets.map(({ sent }) => sent.length)).toEqual([0, 0])
    flows.settle()
    flows.settle()
    expect(sockets.map(({ sent, batches }) => [sent.length, batches])).toEqual([
      [3, [3]],
      [3, [3]],
    ])
    for (let count = 0; count < 70; count++) hear(1)
    flows.settle()
    expect(sockets[0]?.batches).toEqual([3, 64, 6])
  })

  it("sends what it has before it gives way, and nothing of a link that has gone", () => {
    const { flows, sockets, hear, links } = rig({ mostOfLink: 1 })
    hear(1)
    hear(2)
    flows.detach(links[0] as Outlet)
    flows.settle()
    expect(sockets.map(({ sent, closed }) => [sent.length, closed])).toEqual([
      [1, true],
      [0, true],
    ])
  })

  it("that a client of the host began is answered once the guest says something", () => {
    const { flows, hear, pass, links } = rig()
    const ends = (guestPort: number) => ({
      guestMac: 2,
      gatewayMac: 1,
      guest: Uint8Array.of(192, 168, 64, 2),
      guestPort,
      other: Uint8Array.of(10, 0, 0, 1),
      otherPort: 9999,
    })
    const called = [1, 2].map((guestPort) =>
      flows.call(links[0] as Outlet, ends(guestPort), new Socket({ onReadable: () => undefined })),
    )
    for (const flow of called) flow?.deliver(5)
    expect(called.map((flow) => flow?.answered)).toEqual([false, false])
    hear(1)
    expect(called.map((flow) => flow?.answered)).toEqual([true, false])
    pass(32_000)
    expect(flows.table.all().map(({ ends: { guestPort } }) => guestPort)).toEqual([1])
    pass(300_000)
    expect(flows.table.size).toBe(0)
  })

  it("has its turn, and others theirs", () => {
    const { flows, say, answer, later } = rig()
    say(1)
    answer(0, ...Array.from({ length: 100 }, () => 3))
    expect([flows.counters.toGuest, later.length]).toEqual([64, 1])
    later[0]?.()
    expect([flows.counters.toGuest, later.length]).toEqual([100, 1])
  })

  it("has datagrams that are too long cut", () => {
    const { say, answer, cut, frames } = rig()
    say(1)
    answer(0, 1472, 1473, 65_507)
    expect([frames, cut]).toEqual([[1514], [1473, 65_507]])
  })

  it("gives a link that cuts UDP those of one size as one frame", () => {
    const offloads = { checksum: true, tcp4: true, tcp6: true, udp: true }
    const { flows, say, answer, cut, frames } = rig({ offloads })
    say(1)
    const lengths = [3, 3, 3, 2, 5, 5, 0, 5, 1472, 1472, 1473, 8]
    answer(0, ...lengths)
    expect([frames.map((length) => length - HEADERS), cut]).toEqual([[11, 10, 0, 5, 2944, 8], [1473]])
    expect(flows.counters.toGuest).toBe(lengths.length)
    expect(flows.table.all().map(({ received, bytesIn }) => [received, bytesIn])).toEqual([
      [lengths.length, lengths.reduce((sum, length) => sum + length)],
    ])
    frames.length = 0
    answer(0, ...Array.from({ length: 100 }, () => 1400))
    // No frame is longer than IP allows, and 64 are a turn.
    expect(frames.map((length) => (length - HEADERS) / 1400)).toEqual([46, 18])
  })

  it("gives a link one that is cut with all that the kernel wants to know", () => {
    const headers = new DatagramHeaders(
      {
        guestMac: 2,
        gatewayMac: 1,
        guest: Uint8Array.of(192, 168, 64, 2),
        guestPort: 1,
        other: Uint8Array.of(10, 0, 0, 1),
        otherPort: 2,
      },
      ip.PROTOCOL_UDP,
    )
    const [link] = rig({ offloads: { checksum: true, tcp4: true, tcp6: true, udp: true } }).links
    const identification = (bytes: number, segmentSize: number): number => {
      const payload = new Parts()
      payload.push(1, bytes)
      headers.finish(link as Outlet, payload, false, segmentSize)
      return (headers.bytes[18] ?? 0) * 256 + (headers.bytes[19] ?? 0)
    }
    const first = identification(250, 100)
    expect(headers.offload).toEqual({
      checksumStart: 34,
      checksumOffset: 6,
      gso: GSO_UDP,
      segmentSize: 100,
      headerLength: 42,
    })
    // RFC 6864: each of the three has its own.
    expect(identification(50, 0)).toBe(first + 3)
    expect(headers.offload).toMatchObject({ gso: GSO_NONE, segmentSize: 0, headerLength: 0 })
  })

  it("goes with its machine, and gives everything back", () => {
    const { flows, sockets, say, memory, links } = rig()
    say(1)
    say(2)
    say(3, 1)
    flows.detach(links[0] as Outlet)
    expect(sockets.map(({ closed }) => closed)).toEqual([true, true, false])
    flows.stop()
    for (const link of links) {
      const other = link.other
      link[Symbol.dispose]()
      other?.[Symbol.dispose]()
    }
    expect([sockets[2]?.closed, memory.inUse]).toEqual([true, 0])
  })

  it("ends an association in which something throws, and no other", () => {
    const faults: unknown[] = []
    const { flows, say, sockets, answer } = rig({ onFault: (_link, error) => faults.push(error) })
    say(1000)
    say(1001)
    say(1002)
    const bug = (what: string) => (): never => {
      throw new Error(what)
    }
    Object.assign(sockets[0] ?? {}, { send: bug("sending") })
    Object.assign(sockets[1] ?? {}, { receive: bug("receiving"), close: bug("closing") })
    say(1000)
    answer(1, 5)
    expect(faults).toEqual([new Error("sending"), new Error("receiving")])
    expect(flows.counters.faults).toBe(2)
    expect(flows.table.size).toBe(1)
    expect(sockets[0]?.closed).toBe(true)
    say(1002)
    answer(2, 7)
    expect(flows.counters).toMatchObject({ fromGuest: 5, toGuest: 1 })
    // The machine begins anew where it was.
    say(1000)
    expect(flows.table.size).toBe(2)
  })

  it("throws on what nobody wants to hear of", () => {
    const { say, sockets } = rig()
    say(1000)
    Object.assign(sockets[0] ?? {}, {
      send: () => {
        throw new Error("sending")
      },
    })
    expect(() => say(1000)).toThrow("sending")
  })
})
