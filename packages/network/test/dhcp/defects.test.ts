/**
 * The thirteen defects of the package dhcp 0.2.20 as a server. Those of its codec (7, 8, 9, 11) are told on the wire in packages/wire/test/dhcp;
 * here the server shows that it has none of them.
 *
 * @module
 */
import { describe, expect, it } from "vitest"
import { DhcpServer, memoryStore } from "../../src/dhcp/index.ts"
import { bind, bytes, message, NETWORK, NONE, NOW, SERVER, say, server } from "./client.ts"

const EVERY_OPTION = Array.from({ length: 255 }, (_, index) => index)
const TWO = { range: { first: "192.168.64.18", last: "192.168.64.19" } }
const HOUR = 3_600_000

describe("none of the defects of dhcp 0.2.20:", () => {
  it("1: a full pool is silence; the lease that expired first goes to the next client, a live one never", () => {
    const dhcp = server(TWO)
    const first = bind(dhcp, { mac: 1 })
    expect(bind(dhcp, { mac: 2 }, { now: NOW + 1 })).toBeDefined()
    expect(say(dhcp, { type: "discover", mac: 3 }, { now: NOW + 2 })).toBeUndefined()
    expect(dhcp.counters).toMatchObject({ "pool-exhausted": 1 })
    expect(bind(dhcp, { mac: 3 }, { now: NOW + HOUR - 1 })).toBeUndefined()
    expect(bind(dhcp, { mac: 3 }, { now: NOW + HOUR })).toBe(first)
    expect(bind(dhcp, { mac: 1 }, { now: NOW + HOUR })).toBeUndefined()
  })

  it("2, 3: a client may ask for any option, also such as nobody knows", () => {
    const offer = say(server(), { type: "discover", wants: EVERY_OPTION })
    expect(offer?.message.type).toBe("offer")
    expect(offer?.options).toMatchObject({ 1: "255.255.255.0", 26: 65_520 })
    expect(
      say(server(), { type: "discover", wants: [50, 55, 60, 61, 80, 108, 114, 120] })?.message.type,
    ).toBe("offer")
  })

  it("4: a wrong address is NAKed, another server's client left alone", () => {
    const dhcp = server()
    bind(dhcp)
    expect(say(dhcp, { type: "request", requested: "10.1.2.3" })?.message.type).toBe("nak")
    expect(say(dhcp, { type: "request", requested: "192.168.64.18", server: "192.168.64.3" })).toBeUndefined()
  })

  it("5: DECLINE, RELEASE and INFORM are understood", () => {
    const dhcp = server()
    const address = bind(dhcp) ?? ""
    expect(say(dhcp, { type: "inform", own: address })?.message).toMatchObject({
      type: "ack",
      yourAddress: NONE,
    })
    say(dhcp, { type: "release", own: address, server: SERVER })
    expect(dhcp.leases()[0]?.expires).toBe(NOW)
    bind(dhcp)
    say(dhcp, { type: "decline", requested: address, server: SERVER })
    expect(dhcp.counts).toMatchObject({ leases: 0, declined: 1 })
  })

  it("6: a relay gets the answer", () => {
    const relay = "192.168.64.9"
    const heard = say(server(), { type: "discover", relay })
    expect(heard?.reply).toMatchObject({ kind: "relay", address: Uint8Array.of(192, 168, 64, 9), port: 67 })
    expect(heard?.message.relayAddress).toBe(relay)
  })

  it("7: pads before options change nothing", () => {
    const plain = message({ type: "request", requested: "192.168.64.18", server: SERVER })
    const padded = Uint8Array.from([...plain.subarray(0, 240), 0, 0, 0, ...plain.subarray(240)])
    const dhcp = server()
    dhcp.receive(padded, { now: NOW })
    expect(dhcp.leases()).toMatchObject([{ address: "192.168.64.18" }])
  })

  it("8: a client identifier is bytes and makes the client", () => {
    const dhcp = server()
    expect(bind(dhcp, { client: "ff80ff0001" })).toBeDefined()
    expect(dhcp.leases()).toMatchObject([{ clientId: "ff80ff0001" }])
    expect(bind(dhcp, { client: "ff81ff0001" })).not.toBe(dhcp.leases()[0]?.address)
  })

  it("9: a search list is labels and routes are those of RFC 3442", () => {
    const dhcp = server({ search: ["a.b"], routes: [] })
    const { options } = say(dhcp, { type: "discover", wants: [119, 121, 249] })?.message ?? {
      options: new Map(),
    }
    expect(options.get(119)).toEqual(bytes("0161016200"))
    expect(options.get(121)).toEqual(bytes("00c0a84001"))
    expect(options.get(249)).toEqual(bytes("00c0a84001"))
  })

  it("10: T1 and T2 follow from the lease", () => {
    expect(say(server({ leaseSeconds: 600 }), { type: "discover" })?.options).toMatchObject({
      51: 600,
      58: 300,
      59: 525,
    })
  })

  it("11: answers have 300 bytes, wrong cookies and cut options none, and option 82 comes back", () => {
    const dhcp = server()
    expect(say(dhcp, { type: "discover", wants: [1] })?.reply.bytes.length).toBe(300)
    const plain = message({ type: "discover" })
    expect(dhcp.receive(plain.with(236, 0), { now: NOW })).toBeUndefined()
    expect(
      dhcp.receive(Uint8Array.from([...plain.subarray(0, 243), 12, 9, 65]), { now: NOW }),
    ).toBeUndefined()
    expect(dhcp.counters).toMatchObject({ "bad-cookie": 1, "truncated-option": 1 })
    const relayed = say(dhcp, { type: "discover", options: [[82, bytes("0101aa")]] })
    expect(relayed?.message.options.get(82)).toEqual(bytes("0101aa"))
  })

  it("12: leases expire, outlive the server, and the whole range is used", () => {
    const store = memoryStore()
    const before = new DhcpServer({ network: { ...NETWORK, ...TWO }, store })
    const addresses = [bind(before, { mac: 1 }), bind(before, { mac: 2 })]
    expect(new Set(addresses)).toEqual(new Set(["192.168.64.18", "192.168.64.19"]))
    before.dispatch(before.pollAt())
    const after = new DhcpServer({ network: { ...NETWORK, ...TWO }, store: memoryStore(store.saved) })
    expect(bind(after, { mac: 3 })).toBeUndefined()
    expect([bind(after, { mac: 1 }), bind(after, { mac: 2 })]).toEqual(addresses)
    expect(bind(after, { mac: 3 }, { now: NOW + HOUR })).toBe(addresses[0])
  })

  it("13: nothing but the subnet and the gateway must be said", () => {
    const dhcp = new DhcpServer({
      network: { subnet: "10.9.0.0/16", gateway: "10.9.0.1" },
      store: memoryStore(),
    })
    const offer = say(dhcp, { type: "discover", wants: EVERY_OPTION })
    expect(offer?.options).toEqual({
      1: "255.255.0.0",
      3: ["10.9.0.1"],
      6: ["10.9.0.1"],
      28: "10.9.255.255",
      51: 86_400,
      54: "10.9.0.1",
      58: 43_200,
      59: 75_600,
      121: [{ destination: "0.0.0.0/0", router: "10.9.0.1" }],
      249: [{ destination: "0.0.0.0/0", router: "10.9.0.1" }],
    })
  })
})
