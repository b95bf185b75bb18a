import { describe, expect, it } from "vitest"
import { DhcpServer, memoryStore } from "../../src/dhcp/index.ts"
import {
  bind,
  bytes,
  type Heard,
  MAC,
  message,
  NETWORK,
  NONE,
  NOW,
  type Said,
  SERVER,
  say,
  server,
} from "./client.ts"

const SECOND = 1000
const HOUR = 3600 * SECOND
const ALL = [1, 3, 6, 12, 15, 26, 28, 42, 51, 54, 58, 59, 119, 121]
const MINE = "192.168.64.18"

/** What came of it, in a word or two: the type, and the address where there is one. */
function verdict(heard: Heard | undefined): string {
  if (heard === undefined) return "silence"
  const { type, yourAddress } = heard.message
  return yourAddress === NONE ? `${type}` : `${type} ${yourAddress}`
}

describe("a server", () => {
  it("leads a client from DISCOVER to a lease with all it asks for", () => {
    const dhcp = server()
    const offer = say(dhcp, { type: "discover", wants: ALL }, { machine: "bee" })
    const address = offer?.message.yourAddress
    expect(offer?.message).toMatchObject({ op: "reply", type: "offer", transactionId: 0x1234abcd, mac: MAC })
    expect(dhcp.counts).toMatchObject({ leases: 0, offers: 1 })
    expect(dhcp.leases()).toEqual([])

    const ack = say(
      dhcp,
      { type: "request", wants: ALL, requested: address ?? "", server: SERVER },
      { machine: "bee" },
    )
    expect(verdict(ack)).toBe(`ack ${address}`)
    expect(ack?.options).toEqual({
      1: "255.255.255.0",
      3: [SERVER],
      6: [SERVER],
      12: "bee",
      15: "skep.internal",
      26: 65_520,
      28: "192.168.64.255",
      42: [SERVER],
      51: 3600,
      54: SERVER,
      58: 1800,
      59: 3150,
      119: ["skep.internal", "example.test"],
      121: [
        { destination: "0.0.0.0/0", router: SERVER },
        { destination: "10.88.0.0/16", router: "192.168.64.7" },
      ],
    })
    expect(dhcp.leases()).toEqual([
      { address, mac: "52:54:00:0a:0b:0c", machine: "bee", granted: NOW, renewed: NOW, expires: NOW + HOUR },
    ])
    expect(dhcp.counts).toMatchObject({ leases: 1, offers: 0 })
    expect(dhcp.counters).toEqual({ discover: 1, offer: 1, request: 1, ack: 1 })
  })

  it("tells the MTU of the client's link, where that is another than the network's", () => {
    const link = { machine: "bee", mtu: 1400 }
    expect(say(server(), { type: "discover", wants: [26] }, link)?.options[26]).toBe(1400)
    expect(say(server(), { type: "discover", wants: [26] }, { machine: "bee" })?.options[26]).toBe(65_520)
  })

  it("writes the mask before routes, and routes before routers, whatever the client's order", () => {
    const offer = say(server(), { type: "discover", wants: [3, 121, 6, 1] })
    expect([...(offer?.message.options.keys() ?? [])]).toEqual([54, 51, 58, 59, 1, 121, 3, 6])
  })

  it("gives the usual to a client that asks for nothing, and 249 to one that asks for it", () => {
    const usual = say(server(), { type: "discover" })
    expect(Object.keys(usual?.options ?? {}).map(Number)).toEqual([1, 3, 6, 15, 26, 28, 42, 51, 54, 58, 59])
    const other = say(server({ routes: [] }), { type: "discover", wants: [249] })
    expect(other?.options[249]).toEqual([{ destination: "0.0.0.0/0", router: SERVER }])
  })

  it("gives a client identifier and a relay's option back", () => {
    const relay = bytes("010408002301")
    const said: Said = {
      type: "discover",
      client: "ff0a0b0c0d",
      options: [[82, relay]],
      relay: "192.168.64.9",
    }
    const offer = say(server(), said)
    expect(offer?.message.options.get(61)).toEqual(bytes("ff0a0b0c0d"))
    expect([...(offer?.message.options ?? [])].at(-1)).toEqual([82, relay])
  })

  it("keeps to what the client can take", () => {
    const search = Array.from({ length: 60 }, (_, index) => `name-${index}.example.test`)
    const dhcp = server({ search, domain: "skep.internal" })
    const small = say(dhcp, { type: "discover", wants: ALL })
    expect(small?.reply.bytes.length).toBeLessThanOrEqual(548)
    expect(small?.options[119]).toBeUndefined()
    expect(small?.options[6]).toEqual([SERVER])
    const large = say(dhcp, { type: "discover", wants: ALL, size: 9000 })
    expect(large?.options[119]).toEqual(search)
    expect(say(dhcp, { type: "discover", wants: ALL, size: 0 })?.reply.bytes.length).toBeLessThanOrEqual(548)
    const narrow = server({ search, mtu: 1500 })
    expect(
      say(narrow, { type: "discover", wants: ALL, size: 65_535 })?.reply.bytes.length,
    ).toBeLessThanOrEqual(1472)
  })

  it("gives a shorter lease to who asks for one, a longer one to nobody", () => {
    const dhcp = server()
    for (const [asked, given] of [
      [600, 600],
      [1, 120],
      [0, 120],
      [86_400, 3600],
      [0xffff_ffff, 3600],
    ] as const) {
      const offer = say(dhcp, { type: "discover", lease: asked })
      expect(offer?.options).toMatchObject({
        51: given,
        58: Math.floor(given / 2),
        59: Math.floor((given * 7) / 8),
      })
    }
  })
})

describe("where a reply goes (RFC 2131, section 4.1)", () => {
  const broadcast = {
    kind: "broadcast",
    address: Uint8Array.of(255, 255, 255, 255),
    mac: 2 ** 48 - 1,
    port: 68,
  }
  const to = (text: string): Uint8Array => Uint8Array.from(text.split(".").map(Number))
  const cases: readonly [string, Said, object][] = [
    [
      "to the address it gives",
      { type: "discover", requested: MINE },
      { kind: "unicast", address: to(MINE), mac: MAC, port: 68 },
    ],
    ["to all if the client says so", { type: "discover", broadcast: true }, broadcast],
    [
      "to the client's own address",
      { type: "request", own: MINE },
      { kind: "unicast", address: to(MINE), mac: MAC, port: 68 },
    ],
    [
      "there, though the client says so",
      { type: "request", own: MINE, broadcast: true },
      { kind: "unicast", address: to(MINE), mac: MAC, port: 68 },
    ],
    ["a NAK to all", { type: "request", own: "10.0.0.9" }, broadcast],
    [
      "an INFORM's to who asks",
      { type: "inform", own: MINE },
      { kind: "unicast", address: to(MINE), mac: MAC, port: 68 },
    ],
    [
      "by the relay",
      { type: "discover", relay: "192.168.64.9" },
      { kind: "relay", address: to("192.168.64.9"), mac: undefined, port: 67 },
    ],
    [
      "a NAK by the relay",
      { type: "request", requested: "10.0.0.9", relay: "192.168.64.9" },
      { kind: "relay", address: to("192.168.64.9"), mac: undefined, port: 67 },
    ],
  ]
  it.each(cases)("%s", (_what, said, expected) => {
    const heard = say(server(), said)
    expect(heard?.reply).toMatchObject(expected)
  })

  it("has the broadcast bit in a NAK by a relay, and the relay's address", () => {
    const nak = say(server(), { type: "request", requested: "10.0.0.9", relay: "192.168.64.9" })
    expect(nak?.message).toMatchObject({ type: "nak", broadcast: true, relayAddress: "192.168.64.9" })
  })
})

describe("a REQUEST", () => {
  const other = 0x5254000a0b0d
  /** MAC has MINE leased for an hour; `other` has .20 offered. */
  function occupied(): DhcpServer {
    const dhcp = server()
    expect(bind(dhcp, { requested: MINE })).toBe(MINE)
    expect(verdict(say(dhcp, { type: "discover", mac: other, requested: "192.168.64.20" }))).toBe(
      "offer 192.168.64.20",
    )
    return dhcp
  }

  const states: readonly [string, Omit<Said, "type">, string][] = [
    [
      "SELECTING: what was offered",
      { mac: other, requested: "192.168.64.20", server: SERVER },
      "ack 192.168.64.20",
    ],
    [
      "SELECTING: another free address",
      { mac: other, requested: "192.168.64.21", server: SERVER },
      "ack 192.168.64.21",
    ],
    [
      "SELECTING: without any offer",
      { mac: 7, requested: "192.168.64.30", server: SERVER },
      "ack 192.168.64.30",
    ],
    ["SELECTING: what is offered to another", { requested: "192.168.64.20", server: SERVER }, "nak"],
    ["SELECTING: what is leased to another", { mac: other, requested: MINE, server: SERVER }, "nak"],
    [
      "SELECTING: another server",
      { mac: other, requested: "192.168.64.20", server: "192.168.64.2" },
      "silence",
    ],
    ["SELECTING: the gateway's address", { mac: other, requested: SERVER, server: SERVER }, "nak"],
    ["SELECTING: the broadcast address", { mac: other, requested: "192.168.64.255", server: SERVER }, "nak"],
    ["SELECTING: no address", { mac: other, server: SERVER }, "silence"],
    ["INIT-REBOOT: its own", { requested: MINE }, `ack ${MINE}`],
    ["INIT-REBOOT: another than its own", { requested: "192.168.64.19" }, "nak"],
    ["INIT-REBOOT: what is another's", { mac: 7, requested: MINE }, "nak"],
    [
      "INIT-REBOOT: free, from an unknown client",
      { mac: 7, requested: "192.168.64.19" },
      "ack 192.168.64.19",
    ],
    ["INIT-REBOOT: of another network", { mac: 7, requested: "192.168.65.19" }, "nak"],
    ["INIT-REBOOT: of another network, from a known client", { requested: "10.0.2.15" }, "nak"],
    ["RENEWING or REBINDING: its own", { own: MINE }, `ack ${MINE}`],
    ["RENEWING or REBINDING: its own, said twice", { own: MINE, requested: MINE }, `ack ${MINE}`],
    ["RENEWING or REBINDING: another's", { mac: 7, own: MINE }, "nak"],
    [
      "RENEWING or REBINDING: free, from an unknown client",
      { mac: 7, own: "192.168.64.19" },
      "ack 192.168.64.19",
    ],
    ["RENEWING or REBINDING: of another network", { own: "192.168.65.19" }, "nak"],
    ["nothing at all", {}, "silence"],
  ]
  it.each(states)("%s", (_state, said, expected) => {
    expect(verdict(say(occupied(), { ...said, type: "request" }))).toBe(expected)
  })

  it("that is ACKed makes the lease longer, and keeps when it was granted", () => {
    const dhcp = occupied()
    const later = NOW + HOUR / 2
    expect(verdict(say(dhcp, { type: "request", own: MINE }, { now: later }))).toBe(`ack ${MINE}`)
    expect(dhcp.leases()).toMatchObject([{ granted: NOW, renewed: later, expires: later + HOUR }])
  })

  it("that is NAKed says why, and nothing of a network", () => {
    const nak = say(occupied(), { type: "request", own: "10.0.2.15", client: "0102", wants: ALL })
    expect(nak?.options).toEqual({ 54: SERVER, 56: "wrong network", 61: bytes("0102") })
    expect(nak?.message).toMatchObject({ clientAddress: NONE, yourAddress: NONE })
  })

  it("for another server gives back what was offered here", () => {
    const dhcp = occupied()
    say(dhcp, { type: "request", mac: other, requested: "192.168.64.20", server: "192.168.64.2" })
    expect(dhcp.counts.offers).toBe(0)
    expect(dhcp.counters).toMatchObject({ elsewhere: 1 })
  })

  it("after the lease is over gets it again, as long as nobody else has it", () => {
    const dhcp = occupied()
    const late = NOW + 2 * HOUR
    expect(verdict(say(dhcp, { type: "request", own: MINE }, { now: late }))).toBe(`ack ${MINE}`)
    const taken = occupied()
    expect(
      verdict(say(taken, { type: "request", mac: 7, requested: MINE, server: SERVER }, { now: late })),
    ).toBe(`ack ${MINE}`)
    expect(verdict(say(taken, { type: "request", own: MINE }, { now: late }))).toBe("nak")
  })
})

describe("other messages", () => {
  it("INFORM gets the options and no lease", () => {
    const dhcp = server()
    const ack = say(dhcp, { type: "inform", own: "192.168.64.200", wants: [6, 15, 51, 58] })
    expect(ack?.message).toMatchObject({ type: "ack", yourAddress: NONE, clientAddress: "192.168.64.200" })
    expect(ack?.options).toEqual({ 1: "255.255.255.0", 6: [SERVER], 15: "skep.internal", 54: SERVER })
    expect(dhcp.counts).toMatchObject({ leases: 0, offers: 0 })
  })

  it("RELEASE ends the lease, and the client gets the address again if it comes back", () => {
    const dhcp = server()
    const address = bind(dhcp) ?? ""
    expect(say(dhcp, { type: "release", own: address, server: SERVER }, { now: NOW + 5 })).toBeUndefined()
    expect(dhcp.leases()).toMatchObject([{ address, expires: NOW + 5 }])
    expect(dhcp.names(NOW + 6)).toEqual([])
    expect(bind(dhcp, {}, { now: NOW + HOUR })).toBe(address)
  })

  it("DECLINE keeps the address from everybody for ten minutes", () => {
    const dhcp = server({ range: { first: MINE, last: "192.168.64.19" } })
    const address = bind(dhcp, { requested: MINE })
    expect(say(dhcp, { type: "decline", requested: address ?? "", server: SERVER })).toBeUndefined()
    expect(dhcp.leases()).toEqual([])
    expect(dhcp.counts).toMatchObject({ declined: 1, leases: 0 })
    expect(bind(dhcp, { requested: MINE })).toBe("192.168.64.19")
    expect(bind(dhcp, { mac: 7, requested: MINE })).toBeUndefined()
    expect(verdict(say(dhcp, { type: "request", mac: 7, requested: MINE, server: SERVER }))).toBe("nak")
    expect(bind(dhcp, { mac: 7, requested: MINE }, { now: NOW + 600 * SECOND })).toBe(MINE)
  })

  it("DECLINE of what was only offered does so too", () => {
    const dhcp = server()
    const offer = say(dhcp, { type: "discover" })?.message.yourAddress ?? ""
    say(dhcp, { type: "decline", requested: offer, server: SERVER })
    expect(dhcp.counts).toMatchObject({ declined: 1, offers: 0 })
    expect(say(dhcp, { type: "discover", requested: offer })?.message.yourAddress).not.toBe(offer)
  })

  /** A server that sees who uses which address. */
  function seeing(used: Readonly<Record<string, string>>, network: object = {}): DhcpServer {
    const usedBy = (at: number): string | undefined =>
      used[[24, 16, 8, 0].map((shift) => (at >>> shift) & 0xff).join(".")]
    return new DhcpServer({ network: { ...NETWORK, ...network }, store: memoryStore(), usedBy })
  }

  it("an address that a machine took by itself is offered to no other", () => {
    const dhcp = seeing({ [MINE]: "wasp" }, { range: { first: MINE, last: "192.168.64.19" } })
    expect(bind(dhcp, { requested: MINE, mac: 1 }, { machine: "bee" })).toBe("192.168.64.19")
    expect(dhcp.counts).toMatchObject({ declined: 1, unused: 0, leases: 1 })
    expect(dhcp.counters).toMatchObject({ "in-use": 1 })
    expect(say(dhcp, { type: "discover", mac: 2 }, { machine: "ant" })).toBeUndefined()
    // After a while it is looked at again.
    expect(say(dhcp, { type: "discover", mac: 2 }, { machine: "ant", now: NOW + HOUR / 2 })).toBeUndefined()
    expect(dhcp.counters).toMatchObject({ "in-use": 2, "pool-exhausted": 2 })
  })

  it("an address that a machine uses is its own to ask for, with the lease lost or not", () => {
    const dhcp = seeing({ [MINE]: "wasp" })
    const asked = { type: "request", requested: MINE } as const
    expect(verdict(say(dhcp, asked, { machine: "bee" }))).toBe("nak")
    expect(verdict(say(dhcp, asked, { machine: "wasp" }))).toBe(`ack ${MINE}`)
    expect(bind(dhcp, {}, { machine: "wasp" })).toBe(MINE)
    expect(dhcp.counters["in-use"]).toBeUndefined()
  })

  it("an address that is leased stays its client's, whoever uses it too; and so does a reserved one", () => {
    const used: Record<string, string> = {}
    const reserved = "192.168.64.50"
    const dhcp = seeing(used, { reservations: [{ address: reserved, machine: "ant" }] })
    const leased = bind(dhcp, { mac: 1 }, { machine: "bee" }) ?? ""
    used[leased] = "wasp"
    used[reserved] = "wasp"
    expect(bind(dhcp, { mac: 1 }, { machine: "bee" })).toBe(leased)
    expect(verdict(say(dhcp, { type: "request", own: leased, mac: 1 }, { machine: "bee" }))).toBe(
      `ack ${leased}`,
    )
    expect(bind(dhcp, { mac: 3 }, { machine: "ant" })).toBe(reserved)
    expect(dhcp.counts).toMatchObject({ declined: 0, leases: 2 })
  })

  it("a machine that uses every address keeps nobody from having one", () => {
    const usedBy = (): string => "wasp"
    const dhcp = new DhcpServer({ network: NETWORK, store: memoryStore(), usedBy })
    const got = Array.from({ length: 100 }, (_, mac) =>
      bind(dhcp, { mac: 100 + mac }, { machine: `bee-${mac}` }),
    )
    expect(new Set(got).size).toBe(100)
    expect(got).not.toContain(undefined)
    expect(dhcp.counts.declined).toBe(8)
  })

  const ignored: readonly [string, Said, string][] = [
    ["BOOTP", { type: undefined }, "bootp"],
    ["an OFFER", { type: "offer" }, "not-a-request"],
    ["an ACK", { type: "ack" }, "not-a-request"],
    ["a NAK", { type: "nak" }, "not-a-request"],
    ["a relay of another network", { type: "discover", relay: "10.0.0.1" }, "foreign-relay"],
    ["an INFORM without address", { type: "inform" }, "no-address"],
    ["an INFORM of another network", { type: "inform", own: "10.0.0.1" }, "foreign-address"],
    ["a RELEASE without address", { type: "release", server: SERVER }, "no-address"],
    ["a RELEASE for another server", { type: "release", own: MINE, server: "10.0.0.1" }, "other-server"],
    [
      "a RELEASE of what it has not",
      { type: "release", own: "192.168.64.77", server: SERVER },
      "not-its-address",
    ],
    ["a RELEASE of another's", { type: "release", own: MINE, mac: 7, server: SERVER }, "not-its-address"],
    ["a DECLINE without address", { type: "decline", server: SERVER }, "no-address"],
    [
      "a DECLINE for another server",
      { type: "decline", requested: MINE, server: "10.0.0.1" },
      "other-server",
    ],
    [
      "a DECLINE of another's",
      { type: "decline", requested: MINE, mac: 7, server: SERVER },
      "not-its-address",
    ],
  ]
  it.each(ignored)("%s gets silence, and is counted", (_what, said, counter) => {
    const dhcp = server()
    expect(bind(dhcp, { requested: MINE })).toBe(MINE)
    expect(say(dhcp, said)).toBeUndefined()
    expect(dhcp.counters).toMatchObject({ [counter]: 1 })
    expect(dhcp.leases()).toMatchObject([{ address: MINE, expires: NOW + HOUR }])
  })

  it("a client's message in a reply's clothes is none", () => {
    const dhcp = server()
    expect(dhcp.receive(message({ type: "discover" }).with(0, 2), { now: NOW })).toBeUndefined()
    expect(dhcp.counters).toEqual({ "not-a-request": 1 })
  })

  it("what is no message is counted by its reason", () => {
    const dhcp = server()
    expect(dhcp.receive(new Uint8Array(20), { now: NOW })).toBeUndefined()
    expect(dhcp.receive(new Uint8Array(300), { now: NOW })).toBeUndefined()
    expect(dhcp.counters).toEqual({ truncated: 1, "bad-op": 1 })
  })
})

describe("who a client is", () => {
  it("is its identifier, then its MAC address", () => {
    const dhcp = server()
    const first = bind(dhcp, { client: "01aa" })
    expect(bind(dhcp, { client: "01aa", mac: 7 })).toBe(first)
    expect(bind(dhcp, { client: "01ab" })).not.toBe(first)
    const plain = bind(dhcp)
    expect(plain).not.toBe(first)
    expect(bind(dhcp)).toBe(plain)
  })

  it("is on its machine: two of one image with one identifier are two", () => {
    const dhcp = server()
    const bee = bind(dhcp, { client: "ff01" }, { machine: "bee" })
    const wasp = bind(dhcp, { client: "ff01" }, { machine: "wasp" })
    expect(wasp).not.toBe(bee)
    say(dhcp, { type: "release", client: "ff01", own: bee ?? "", server: SERVER }, { machine: "wasp" })
    expect(dhcp.counters).toMatchObject({ "not-its-address": 1 })
    expect(bind(dhcp, { client: "ff01" }, { machine: "bee" })).toBe(bee)
  })

  it("is the machine alone if so configured, whatever its card and its identifier", () => {
    const dhcp = server({ identity: "machine" })
    const first = bind(dhcp, { client: "01525400" }, { machine: "bee" })
    expect(bind(dhcp, { mac: 7, client: "ff01" }, { machine: "bee" })).toBe(first)
    expect(bind(dhcp, { mac: 8 }, { machine: "bee" })).toBe(first)
    expect(dhcp.leases()).toMatchObject([{ machine: "bee", mac: "00:00:00:00:00:08" }])
    expect(bind(dhcp, { mac: 8 }, { machine: "wasp" })).not.toBe(first)
    expect(bind(dhcp, { mac: 8 })).toBeDefined()
  })
})

describe("reservations", () => {
  const reservations = [
    { address: "192.168.64.100", machine: "bee", hostName: "queen" },
    { address: "192.168.64.101", clientId: "FF:01:02" },
    { address: "192.168.64.102", mac: "52:54:00:0A:0B:0C" },
  ]

  it("are found by machine, then identifier, then MAC address", () => {
    const dhcp = server({ reservations })
    expect(bind(dhcp, { client: "ff0102" }, { machine: "bee" })).toBe("192.168.64.100")
    expect(bind(dhcp, { client: "ff0102" })).toBe("192.168.64.101")
    expect(bind(dhcp)).toBe("192.168.64.102")
    expect(dhcp.names(NOW)).toMatchObject([{ name: "queen", lease: { address: "192.168.64.100" } }])
  })

  it("are for nobody else", () => {
    const dhcp = server({ reservations })
    expect(bind(dhcp, { mac: 7, requested: "192.168.64.100" })).not.toBe("192.168.64.100")
    expect(verdict(say(dhcp, { type: "request", mac: 7, requested: "192.168.64.101", server: SERVER }))).toBe(
      "nak",
    )
  })

  it("may lie outside of the range", () => {
    const range = { first: "192.168.64.10", last: "192.168.64.20" }
    expect(bind(server({ reservations, range }), {}, { machine: "bee" })).toBe("192.168.64.100")
  })

  it("make a client that has another address come for it", () => {
    const before = memoryStore()
    const old = new DhcpServer({ network: NETWORK, store: before })
    const address = bind(old) ?? ""
    old.flush()
    const dhcp = new DhcpServer({ network: { ...NETWORK, reservations }, store: memoryStore(before.saved) })
    expect(verdict(say(dhcp, { type: "request", own: address }))).toBe("nak")
    expect(bind(dhcp)).toBe("192.168.64.102")
  })

  it("pass from an initial RAM disk to the system of the same machine", () => {
    const dhcp = server({ reservations })
    expect(bind(dhcp, { client: "01525400" }, { machine: "bee" })).toBe("192.168.64.100")
    expect(bind(dhcp, { client: "ff00aa" }, { machine: "bee" })).toBe("192.168.64.100")
    expect(dhcp.leases()).toHaveLength(1)
  })

  it("of an address that was declined wait, and the client has another meanwhile", () => {
    const dhcp = server({ reservations })
    bind(dhcp)
    say(dhcp, { type: "decline", requested: "192.168.64.102", server: SERVER })
    const other = bind(dhcp) ?? ""
    expect(other).not.toBe("192.168.64.102")
    const later = { now: NOW + 600 * SECOND }
    expect(verdict(say(dhcp, { type: "request", own: other }, later))).toBe("nak")
    expect(bind(dhcp, {}, later)).toBe("192.168.64.102")
  })
})

describe("names", () => {
  it("are those of machines, then those that clients say, made fit for DNS", () => {
    const dhcp = server()
    const bee = bind(dhcp, { hostName: "wasp" }, { machine: "Bee_1" })
    const wasp = bind(dhcp, { mac: 7, hostName: "My Laptop.local" }, { machine: "wasp" })
    const free = bind(dhcp, { mac: 8, hostName: "-ant-" })
    const names = Object.fromEntries(dhcp.names(NOW).map(({ name, lease }) => [name, lease.address]))
    expect(names).toEqual({ ant: free, "bee-1": bee, "my-laptop": wasp, wasp })
    expect(dhcp.names(NOW + 2 * HOUR)).toEqual([])
  })

  it("are nobody's if they are those of a machine that is attached", () => {
    const dhcp = server()
    bind(dhcp, { hostName: "wasp" }, { machine: "bee" })
    expect(dhcp.names(NOW).map(({ name }) => name)).toContain("wasp")
    dhcp.attach("wasp")
    expect(dhcp.names(NOW).map(({ name }) => name)).toEqual(["bee"])
  })

  it("of one machine lead to what it renewed last, of two clients to the first", () => {
    const dhcp = server()
    bind(dhcp, { client: "0101" }, { machine: "bee" })
    const second = bind(dhcp, { client: "0102" }, { machine: "bee", now: NOW + 1 })
    expect(dhcp.names(NOW + 2)).toMatchObject([{ name: "bee", lease: { address: second } }])
    const first = bind(dhcp, { mac: 7, hostName: "ant" })
    bind(dhcp, { mac: 8, hostName: "ant" }, { now: NOW + 1 })
    expect(dhcp.names(NOW + 2).find(({ name }) => name === "ant")?.lease.address).toBe(first)
  })

  it("are taken from option 81 too, plain or in labels", () => {
    const dhcp = server()
    bind(dhcp, { mac: 1, options: [[81, Uint8Array.of(0, 0, 0, ...Buffer.from("plain.example"))]] })
    bind(dhcp, { mac: 2, options: [[81, Uint8Array.of(4, 0, 0, 6, ...Buffer.from("labels"), 1, 97, 0)]] })
    bind(dhcp, { mac: 3, options: [[81, Uint8Array.of(4, 0, 0, 4, ...Buffer.from("part"))]] })
    bind(dhcp, { mac: 4, options: [[81, Uint8Array.of(4, 0, 0, 60, 97)]] })
    bind(dhcp, { mac: 5, options: [[81, Uint8Array.of(4)]] })
    expect(
      dhcp
        .names(NOW)
        .map(({ name }) => name)
        .toSorted(),
    ).toEqual(["labels", "part", "plain"])
  })
})

describe("options of a network", () => {
  it.each([
    { subnet: "192.168.64.0/31" },
    { subnet: "192.168.64.0/7" },
    { subnet: "192.168.64.1/24" },
    { subnet: "192.168.64.0" },
    { gateway: "192.168.65.1" },
    { gateway: "192.168.64.0" },
    { gateway: "192.168.64.255" },
    { range: { first: "192.168.64.20", last: "192.168.64.10" } },
    { range: { first: "192.168.64.20", last: "192.168.65.10" } },
    { exclude: ["10.0.0.1"] },
    { nameServers: ["dns.example"] },
    { timeServers: ["::1"] },
    { domain: "a..b" },
    { search: [""] },
    { mtu: 100 },
    { mtu: 70_000 },
    { leaseSeconds: 60 },
    { leaseSeconds: Number.NaN },
    { routes: [{ destination: "10.0.0.0", router: SERVER }] },
    { reservations: [{ address: "192.168.64.9" }] },
    { reservations: [{ address: "192.168.64.9", machine: "a", mac: "52:54:00:0a:0b:0c" }] },
    { reservations: [{ address: "192.168.64.9", mac: "52:54:0:a:b:c" }] },
    { reservations: [{ address: "192.168.64.9", clientId: "xyz" }] },
    { reservations: [{ address: "192.168.64.9", machine: "a", hostName: "A b" }] },
    { reservations: [{ address: SERVER, machine: "a" }] },
    {
      reservations: [
        { address: "192.168.64.9", machine: "a" },
        { address: "192.168.64.9", machine: "b" },
      ],
    },
    {
      reservations: [
        { address: "192.168.64.9", machine: "a" },
        { address: "192.168.64.8", machine: "a" },
      ],
    },
  ])("are refused: %j", (network) => {
    expect(() => server(network)).toThrow(expect.objectContaining({ code: "bad-options" }))
  })
})
