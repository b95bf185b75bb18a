/**
 * One connection with segments written by hand: RFC 9293 by section, RFC 5961 against blind segments, RFC 2018, RFC 6298.
 *
 * @module
 */
import { describe, expect, it } from "vitest"
import { ECONNREFUSED, EHOSTUNREACH } from "../../src/host/host.ts"
import { ACK, FIN, RST, SYN } from "../../src/tcp/connection.ts"
import { GuestByHand, type Said } from "../rig/guest-by-hand.ts"
import { noise } from "../rig/two-ends.ts"

const DATA = ACK
const MINUTE = 60_000
const HOUR = 60 * MINUTE

function bytes(length: number): Uint8Array {
  return noise(length, 3)
}

/** Flags, sequence, acknowledgement and length of what was heard. */
function lines(guest: GuestByHand): string[] {
  return guest
    .take()
    .map(
      ({ flags, sequence, acknowledgement, length }) => `${flags} ${sequence} ${acknowledgement} ${length}`,
    )
}

/** Ways to each state, from the gateway's side. */
const WAYS: Readonly<Record<string, (guest: GuestByHand) => void>> = {
  "syn-received": (guest) => guest.say({ flags: SYN, sequence: 0 }),
  established: (guest) => guest.handshake(),
  "fin-wait-1": (guest) => {
    guest.handshake()
    guest.stream.end()
    guest.pass(1)
  },
  "fin-wait-2": (guest) => {
    WAYS["fin-wait-1"]?.(guest)
    guest.say({ flags: ACK, acknowledgement: 2 })
  },
  "close-wait": (guest) => {
    guest.handshake()
    guest.say({ flags: FIN | ACK })
  },
  closing: (guest) => {
    WAYS["fin-wait-1"]?.(guest)
    guest.say({ flags: FIN | ACK })
  },
  "last-ack": (guest) => {
    WAYS["close-wait"]?.(guest)
    guest.stream.end()
    guest.pass(1)
  },
  "time-wait": (guest) => {
    WAYS["fin-wait-2"]?.(guest)
    guest.say({ flags: FIN | ACK, acknowledgement: 2 })
  },
}

function stateOf(guest: GuestByHand): string {
  return guest.flows.table.all()[0]?.connection?.state ?? "gone"
}

/** The guest's next sequence number in each state, and what it acknowledges. */
const NEXT: Readonly<Record<string, readonly [number, number]>> = {
  "syn-received": [1, 1],
  established: [1, 1],
  "fin-wait-1": [1, 1],
  "fin-wait-2": [1, 2],
  "close-wait": [2, 1],
  closing: [2, 1],
  "last-ack": [2, 1],
  "time-wait": [2, 2],
}
const STATES = Object.keys(WAYS)

type Row = readonly [
  state: string,
  what: string,
  said: Partial<Said> & { flags: number },
  after: string,
  heard: readonly string[],
]

const ROWS: readonly Row[] = [
  // Section 3.10.7.4, the state's own way on.
  ["syn-received", "its acknowledgement", { flags: ACK }, "established", []],
  [
    "syn-received",
    "its acknowledgement with data",
    { flags: DATA, data: bytes(5) },
    "established",
    ["ack 1 6 0"],
  ],
  ["syn-received", "its acknowledgement with a FIN", { flags: FIN | ACK }, "close-wait", ["ack 1 2 0"]],
  ["syn-received", "the SYN again", { flags: SYN, sequence: 0 }, "syn-received", ["syn ack 0 1 0"]],
  [
    "syn-received",
    "an acknowledgement of nothing",
    { flags: ACK, acknowledgement: 0 },
    "syn-received",
    ["rst 0 0 0"],
  ],
  [
    "syn-received",
    "an acknowledgement of too much",
    { flags: ACK, acknowledgement: 2 },
    "syn-received",
    ["rst 2 0 0"],
  ],
  ["established", "a FIN", { flags: FIN | ACK }, "close-wait", ["ack 1 2 0"]],
  ["established", "data and a FIN", { flags: FIN | ACK, data: bytes(9) }, "close-wait", ["ack 1 11 0"]],
  [
    "established",
    "a FIN after what is missing",
    { flags: FIN | ACK, sequence: 5 },
    "established",
    ["ack 1 1 0"],
  ],
  ["fin-wait-1", "the acknowledgement of our FIN", { flags: ACK, acknowledgement: 2 }, "fin-wait-2", []],
  ["fin-wait-1", "a FIN", { flags: FIN | ACK }, "closing", ["ack 2 2 0"]],
  [
    "fin-wait-1",
    "a FIN that acknowledges ours",
    { flags: FIN | ACK, acknowledgement: 2 },
    "time-wait",
    ["ack 2 2 0"],
  ],
  ["fin-wait-2", "data", { flags: DATA, data: bytes(7) }, "fin-wait-2", ["ack 2 8 0"]],
  ["fin-wait-2", "a FIN", { flags: FIN | ACK }, "time-wait", ["ack 2 2 0"]],
  ["closing", "the acknowledgement of our FIN", { flags: ACK, acknowledgement: 2 }, "time-wait", []],
  ["last-ack", "the acknowledgement of our FIN", { flags: ACK, acknowledgement: 2 }, "gone", []],
  // RFC 9293, section 3.10.7.4: a FIN that comes again is acknowledged again.
  ...["close-wait", "closing", "last-ack", "time-wait"].map(
    (state): Row => [
      state,
      "its FIN again",
      { flags: FIN | ACK, sequence: 1 },
      state,
      [`ack ${ours(state)} 2 0`],
    ],
  ),
  // What has no ACK is dropped.
  ...STATES.map((state): Row => [state, "data without ACK", { flags: 0, data: bytes(3) }, state, []]),
  // RFC 5961, section 3.2.
  ...STATES.map((state): Row => [state, "a reset with the exact number", { flags: RST }, "gone", []]),
  ...STATES.filter((state) => state !== "time-wait").map(
    (state): Row => [
      state,
      "a reset within the window",
      { flags: RST, sequence: 100 },
      state,
      [`ack ${ours(state)} ${NEXT[state]?.[0]} 0`],
    ],
  ),
  ...STATES.map(
    (state): Row => [state, "a reset outside the window", { flags: RST, sequence: -100 }, state, []],
  ),
  // RFC 5961, section 4.2: a SYN is asked about.
  ...STATES.filter((state) => state !== "syn-received" && state !== "time-wait").map(
    (state): Row => [
      state,
      "a SYN within the window",
      { flags: SYN, sequence: 50 },
      state,
      [`ack ${ours(state)} ${NEXT[state]?.[0]} 0`],
    ],
  ),
  // RFC 5961, section 5: neither is an acknowledgement of what was never sent taken.
  ...STATES.filter((state) => state !== "syn-received").map(
    (state): Row => [
      state,
      "an acknowledgement of what was never sent",
      { flags: ACK, acknowledgement: 5000 },
      state,
      [`ack ${ours(state)} ${NEXT[state]?.[0]} 0`],
    ],
  ),
  // Section 3.10.7.4, first: outside the window.
  ...STATES.filter((state) => state !== "syn-received").map(
    (state): Row => [
      state,
      "data far outside",
      { flags: ACK, sequence: 3_000_000, data: bytes(10) },
      state,
      [`ack ${ours(state)} ${NEXT[state]?.[0]} 0`],
    ],
  ),
]

/** Our next sequence number. */
function ours(state: string): number {
  return ["established", "close-wait", "syn-received"].includes(state) ? 1 : 2
}

describe("in the state", () => {
  it.each(ROWS)("%s, %s", (state, _what, said, after, heard) => {
    const guest = new GuestByHand()
    WAYS[state]?.(guest)
    expect(stateOf(guest)).toBe(state)
    // Challenges are rare, and some ways here have one already.
    guest.pass(0)
    guest.take()
    const [sequence, acknowledgement] = NEXT[state] ?? [1, 1]
    guest.say({ sequence, acknowledgement, ...said })
    expect({ after: stateOf(guest), heard: lines(guest) }).toEqual({ after, heard: [...heard] })
    expect(guest.close()).toBe(0)
  })
})

describe("a connection of the guest", () => {
  it("is answered when the host's side stands, and both streams go through with their ends (section 3.5)", () => {
    const guest = new GuestByHand({ says: bytes(3000), stays: false })
    guest.stream.connected = false
    guest.say({ flags: SYN, sequence: 0 })
    expect(lines(guest)).toEqual([])
    guest.stream.events?.onConnected()
    guest.pass(1)
    expect(lines(guest)).toEqual(["syn ack 0 1 0"])
    guest.say({ flags: ACK, data: bytes(10) })
    expect(lines(guest)).toEqual([
      "ack 1 11 1460",
      "ack 1461 11 1460",
      "psh ack 2921 11 80",
      "fin ack 3001 11 0",
    ])
    guest.say({ flags: FIN | ACK, sequence: 11, acknowledgement: 3002 })
    expect(guest.stream).toMatchObject({ gotBytes: 10, ended: true })
    expect(stateOf(guest)).toBe("time-wait")
    guest.pass(10_000)
    expect(stateOf(guest)).toBe("gone")
    expect([guest.stream.closed, guest.close()]).toEqual(["close", 0])
  })

  it.each([
    ["a refused port is a reset", ECONNREFUSED, ["rst ack 0 1 0"], []],
    ["an unreachable host is an ICMP error", EHOSTUNREACH, [], [EHOSTUNREACH]],
  ])("%s", (_name, errno, heard, unreachable) => {
    const guest = new GuestByHand()
    guest.stream.connected = false
    guest.say({ flags: SYN, sequence: 0 })
    guest.stream.events?.onFailed(errno)
    guest.pass(1)
    expect(
      guest.take().map(({ flags, sequence, acknowledgement }) => `${flags} ${sequence} ${acknowledgement} 0`),
    ).toEqual(heard)
    expect([guest.unreachable, stateOf(guest), guest.close()]).toEqual([unreachable, "gone", 0])
  })

  it("gets a reset for what belongs to nothing (section 3.10.7.1)", () => {
    const guest = new GuestByHand()
    guest.say({ flags: ACK, acknowledgement: 77 })
    guest.say({ flags: FIN, sequence: 3 })
    guest.say({ flags: RST })
    expect(lines(guest)).toEqual(["rst 77 0 0", expect.stringMatching(/^rst ack 0 /)])
    expect(guest.flows.counters).toMatchObject({ strays: 2, resetsSent: 2 })
  })

  it("may have too many that do not stand, and those do not stay (RFC 4987)", () => {
    const guest = new GuestByHand({ mostConnecting: 3 })
    for (let port = 1; port <= 5; port++) guest.say({ flags: SYN, sequence: 0, port })
    expect([guest.flows.table.size, guest.flows.counters.overLimit]).toEqual([3, 2])
    guest.say({ flags: ACK, port: 1 })
    guest.say({ flags: SYN, sequence: 0, port: 5 })
    expect([guest.flows.table.size, guest.flows.counters.overLimit]).toEqual([4, 2])
    guest.pass(3 * MINUTE)
    expect(guest.flows.table.size).toBe(1)
    expect(guest.close()).toBe(0)
  })

  it("has its share of what is kept, and none of it once its flows are over", () => {
    const guest = new GuestByHand({ mostKept: 8192 })
    const early = (port: number) => {
      guest.say({ flags: SYN, sequence: 0, port })
      guest.say({ flags: ACK, sequence: 1 + 100, port, data: new Uint8Array(1000) })
    }
    for (const port of [1, 2, 3]) early(port)
    expect(guest.flows.counters.noMemory).toBe(1)
    for (const port of [1, 2, 3]) guest.say({ flags: RST, sequence: 1, port })
    expect(guest.flows.table.size).toBe(0)
    for (const port of [4, 5]) early(port)
    expect(guest.flows.counters.noMemory).toBe(1)
    expect(guest.close()).toBe(0)
  })

  it("has its share of all flows", () => {
    const guest = new GuestByHand({ mostFlows: 8 })
    for (let port = 1; port <= 6; port++) guest.say({ flags: SYN, sequence: 0, port })
    expect([guest.flows.table.size, guest.flows.counters.overLimit]).toEqual([4, 2])
    guest.flows.detach(guest.link)
    expect(guest.flows.table.size).toBe(0)
    guest.say({ flags: SYN, sequence: 0, port: 9 })
    expect(guest.flows.table.size).toBe(1)
    expect(guest.close()).toBe(0)
  })

  it("rests without its socket, and without the place of another, until the oldest has to go (section 3.6)", () => {
    const guest = new GuestByHand({ mostFlows: 4, mostOfLink: 1 })
    const over = (port: number): void => {
      guest.say({ flags: SYN, sequence: 0, port })
      guest.say({ flags: ACK, port })
      guest.stream.end()
      guest.pass(1)
      guest.say({ flags: FIN | ACK, acknowledgement: 2, port })
      expect(guest.stream.closed).toBe("close")
      guest.take()
    }
    over(40_000)
    expect(stateOf(guest)).toBe("time-wait")
    // Its last segment again, which is acknowledged again.
    guest.pass(1000)
    guest.say({ flags: FIN | ACK, acknowledgement: 2 })
    expect(lines(guest)).toEqual(["ack 2 2 0"])
    over(40_001)
    expect(guest.flows.table.all().map(({ ends }) => ends.guestPort)).toEqual([40_001])
    expect(guest.flows.counters.overLimit).toBe(0)
    guest.pass(11_000)
    expect(guest.flows.table.size).toBe(0)
    expect(guest.close()).toBe(0)
  })

  it("may begin anew while the old one waits (RFC 6191)", () => {
    const guest = new GuestByHand()
    WAYS["time-wait"]?.(guest)
    guest.take()
    guest.say({ flags: SYN, sequence: 100 })
    expect(guest.take().map(({ flags, acknowledgement }) => [flags, acknowledgement])).toEqual([
      ["syn ack", 101],
    ])
    expect(stateOf(guest)).toBe("syn-received")
    expect(guest.close()).toBe(0)
  })
})

describe("a host that does not read", () => {
  it("closes the window, which opens again, in half-close too", () => {
    for (const half of [false, true]) {
      const guest = new GuestByHand({ capacity: 8192, room: 0 })
      WAYS[half ? "fin-wait-2" : "established"]?.(guest)
      guest.take()
      const acknowledgement = half ? 2 : 1
      for (let at = 0; at < 8192; at += 1024)
        guest.say({ flags: ACK, sequence: 1 + at, acknowledgement, data: bytes(1024) })
      expect(guest.take().at(-1)).toMatchObject({ acknowledgement: 8193, window: 0 })
      expect(guest.flows.table.all()[0]?.keptBytes).toBe(8192)
      guest.stream.drain(8192)
      guest.pass(1)
      expect(guest.take()).toMatchObject([{ acknowledgement: 8193 }])
      expect(guest.stream.gotBytes).toBe(8192)
      expect(guest.close()).toBe(0)
    }
  })

  it("gets the last bytes of a connection that is closed", () => {
    const guest = new GuestByHand({ room: 0 })
    WAYS["fin-wait-2"]?.(guest)
    guest.say({ flags: FIN | ACK, acknowledgement: 2, data: bytes(5000) })
    guest.pass(MINUTE)
    expect(guest.stream).toMatchObject({ gotBytes: 0, ended: false, closed: "" })
    guest.stream.drain(10_000)
    guest.pass(1)
    expect(guest.stream).toMatchObject({ gotBytes: 5000, ended: true, closed: "close" })
    expect([stateOf(guest), guest.close()]).toEqual(["gone", 0])
  })

  it("costs no more memory than the window, however small the segments", () => {
    const guest = new GuestByHand({ capacity: 16_384, room: 0 })
    guest.handshake()
    const before = guest.memory.inUse
    for (let at = 1; at <= 16_384; at++) guest.say({ flags: ACK, sequence: at, data: Uint8Array.of(at) })
    expect(guest.flows.table.all()[0]?.keptBytes).toBe(16_384)
    expect(guest.memory.inUse - before).toBeLessThan(16_384 + 4096)
    expect(guest.close()).toBe(0)
  })
})

describe("what comes too early", () => {
  it("is told in blocks, the latest first, and counts when the rest comes (RFC 2018, section 4)", () => {
    const guest = new GuestByHand()
    guest.handshake()
    guest.say({ flags: ACK, sequence: 11, data: bytes(10) })
    guest.say({ flags: ACK, sequence: 41, data: bytes(10) })
    guest.say({ flags: ACK, sequence: 25, data: bytes(5) })
    expect(guest.take().map(({ sacks }) => sacks)).toEqual([
      [[11, 21]],
      [
        [41, 51],
        [11, 21],
      ],
      [
        [25, 30],
        [11, 21],
        [41, 51],
      ],
    ])
    guest.say({ flags: ACK, sequence: 1, data: bytes(50) })
    expect(guest.take()).toMatchObject([{ acknowledgement: 51, sacks: [] }])
    expect(guest.stream.gotBytes).toBe(50)
    expect(guest.close()).toBe(0)
  })

  it("is kept once, however often it comes, and never beyond its bound", () => {
    const guest = new GuestByHand({ capacity: 65_536 })
    guest.handshake()
    const before = guest.memory.inUse
    for (let round = 0; round < 500; round++) guest.say({ flags: ACK, sequence: 100, data: bytes(1000) })
    expect(guest.memory.inUse - before).toBe(2048)
    // Each overlaps the last by all but a byte.
    for (let at = 0; at < 2000; at++) guest.say({ flags: ACK, sequence: 2000 + at, data: bytes(1400) })
    expect(guest.memory.inUse - before).toBeLessThanOrEqual(2 * 65_536)
    expect(guest.flows.counters.noMemory).toBeGreaterThan(0)
    // What was not kept was not told either.
    const told = guest.take().at(-1)?.sacks.flat() ?? []
    expect(Math.max(...told)).toBeLessThan(2000 + 2000 + 1400)
    guest.say({ flags: ACK, sequence: 1, data: bytes(5500) })
    expect(guest.stream.gotBytes).toBe(5500)
    expect(guest.memory.inUse).toBe(before)
    expect(guest.close()).toBe(0)
  })
})

describe("a guest that does not read", () => {
  it("is asked for its window, ever more rarely, and is never given up while it answers (section 3.8.6.1)", () => {
    const guest = new GuestByHand({ says: bytes(5000) })
    guest.handshake(0)
    const probes: number[] = []
    while (guest.clock.now() < 10 * MINUTE) {
      guest.pass(100)
      for (const { atMs, length, sequence } of guest.take()) {
        if (length === 0) continue
        expect([sequence, length]).toEqual([1, 1])
        probes.push(atMs)
        guest.say({ flags: ACK, window: 0 })
      }
    }
    const gaps = probes.slice(1).map((at, index) => at - (probes[index] ?? 0))
    expect(probes.length).toBeLessThan(25)
    expect(gaps.at(-1)).toBeGreaterThan(50_000)
    expect(stateOf(guest)).toBe("established")
    guest.take()
    guest.say({ flags: ACK, window: 65_535 })
    guest.pass(10)
    const said = guest.take().map(({ sequence, length }) => [sequence, length])
    expect(said.reduce((most, [at = 0, length = 0]) => Math.max(most, at + length), 0)).toBe(5001)
    guest.say({ flags: ACK, acknowledgement: 5001 })
    guest.pass(MINUTE)
    expect(guest.take().filter(({ length }) => length > 0)).toEqual([])
    expect(guest.close()).toBe(0)
  })

  it("gets no crumbs of a window (section 3.8.6.2.1)", () => {
    const guest = new GuestByHand({ says: bytes(20_000) })
    guest.handshake(2000)
    guest.pass(1)
    let acknowledgement = 1
    for (let round = 0; round < 5; round++) {
      acknowledgement += 100
      guest.say({ flags: ACK, acknowledgement, window: 2000 })
    }
    expect(guest.take().filter(({ length }) => length > 0 && length < 100)).toEqual([])
    expect(guest.close()).toBe(0)
  })
})

describe("a guest that is silent", () => {
  it("gets the SYN of a forward again, doubling the time, and is given up (RFC 6298, section 5.7)", () => {
    const guest = new GuestByHand()
    const ends = {
      guestMac: 2,
      gatewayMac: 1,
      guest: Uint8Array.of(192, 168, 64, 2),
      guestPort: 80,
      other: Uint8Array.of(192, 168, 64, 254),
      otherPort: 5000,
    }
    guest.flows.call(guest.link, ends, () => guest.stream)
    guest.pass(5 * MINUTE)
    const times = guest.take().map(({ flags, atMs }) => `${flags} ${Math.round(atMs / 1000)}`)
    expect(times).toEqual(["syn 0", "syn 1", "syn 3", "syn 7", "syn 15", "syn 31"])
    expect([stateOf(guest), guest.stream.closed, guest.close()]).toEqual(["gone", "abort", 0])
  })

  it("gets its data again, doubling the time, and is given up after two minutes", () => {
    const guest = new GuestByHand({ says: bytes(100) })
    guest.handshake()
    guest.pass(10 * MINUTE)
    const heard = guest.take()
    const gaps = heard.slice(1).map(({ atMs }, index) => atMs - (heard[index]?.atMs ?? 0))
    for (const [index, gap] of gaps.slice(1, -1).entries())
      expect(gap / (gaps[index] ?? 1)).toBeGreaterThan(1.4)
    expect(heard.at(-1)?.flags).toBe("rst ack")
    expect(guest.flows.counters.givenUp).toBe(1)
    expect([stateOf(guest), guest.stream.closed, guest.close()]).toEqual(["gone", "abort", 0])
  })

  it("is asked whether it lives after two hours, and given up when it does not say (section 3.8.4)", () => {
    const guest = new GuestByHand()
    guest.handshake()
    guest.pass(2 * HOUR + 1000)
    expect(lines(guest)).toEqual(["ack 0 1 0"])
    guest.say({ flags: ACK })
    guest.pass(2 * HOUR - 2000)
    expect(lines(guest)).toEqual([])
    guest.pass(HOUR)
    expect(guest.take().filter(({ sequence }) => sequence === 0).length).toBe(9)
    expect(stateOf(guest)).toBe("gone")
    expect(guest.close()).toBe(0)
  })
})

describe("storms", () => {
  it.each([
    ["resets", { flags: RST, sequence: 500 }],
    ["SYNs", { flags: SYN, sequence: 500 }],
    ["acknowledgements of what was never sent", { flags: ACK, acknowledgement: 9999 }],
    ["empty segments outside", { flags: ACK, sequence: 4_000_000 }],
  ])("of %s are answered twice a second at most (RFC 5961, section 7)", (_name, said) => {
    const guest = new GuestByHand()
    guest.handshake()
    for (let count = 0; count < 1000; count++) guest.say(said)
    expect(guest.take().length).toBeLessThanOrEqual(5)
    expect(stateOf(guest)).toBe("established")
    expect(guest.close()).toBe(0)
  })

  it("of FINs change nothing after the first", () => {
    const guest = new GuestByHand()
    guest.handshake()
    for (let sequence = 1; sequence < 300; sequence++) guest.say({ flags: FIN | ACK, sequence })
    expect(stateOf(guest)).toBe("close-wait")
    guest.say({ flags: ACK, sequence: 2, data: bytes(10) })
    expect(guest.stream.gotBytes).toBe(0)
    expect(guest.close()).toBe(0)
  })
})

describe("what is lost", () => {
  it("goes out again when three segments after it have arrived (RFC 6675), and only that", () => {
    const guest = new GuestByHand({ says: bytes(10 * 1460) })
    expect(guest.handshake().length).toBe(10)
    const at = (segment: number) => 1 + segment * 1460
    for (const end of [3, 4, 5])
      guest.say({ flags: ACK, acknowledgement: at(1), sacks: [{ start: at(2), end: at(end) }] })
    expect(lines(guest)).toEqual([`psh ack ${at(1)} 1 1460`])
    guest.say({ flags: ACK, acknowledgement: at(10) })
    guest.pass(MINUTE)
    expect(lines(guest)).toEqual([])
    expect(guest.close()).toBe(0)
  })

  it("is not told by a guest that takes back what it said it had (RFC 2018, section 8)", () => {
    const guest = new GuestByHand({ says: bytes(5 * 1460) })
    guest.handshake()
    guest.pass(1)
    guest.take()
    const at = (segment: number) => 1 + segment * 1460
    guest.say({ flags: ACK, acknowledgement: at(0), sacks: [{ start: at(1), end: at(5) }] })
    guest.pass(MINUTE)
    // It has the first now, and says that nothing else is there.
    guest.say({ flags: ACK, acknowledgement: at(1) })
    const heard = new Set<number>()
    for (let round = 0; round < 100; round++) {
      guest.pass(1000)
      for (const { sequence, length } of guest.take()) if (length > 0) heard.add(sequence)
    }
    expect(heard.has(at(1))).toBe(true)
    guest.say({ flags: ACK, acknowledgement: at(5) })
    expect(guest.close()).toBe(0)
  })

  it("goes out again segment by segment to a guest without SACK (RFC 6582)", () => {
    const guest = new GuestByHand({ says: bytes(10 * 1460) })
    guest.handshake()
    guest.pass(1)
    guest.take()
    const at = (segment: number) => 1 + segment * 1460
    const connection = guest.flows.table.all()[0]?.connection
    if (connection !== undefined) connection.send.sackPermitted = false
    for (let count = 0; count < 4; count++) guest.say({ flags: ACK, acknowledgement: at(1) })
    expect(lines(guest)).toEqual([`psh ack ${at(1)} 1 1460`])
    guest.say({ flags: ACK, acknowledgement: at(4) })
    expect(lines(guest)).toEqual([`psh ack ${at(4)} 1 1460`])
    guest.say({ flags: ACK, acknowledgement: at(10) })
    guest.pass(MINUTE)
    expect(lines(guest)).toEqual([])
    expect(guest.close()).toBe(0)
  })
})
