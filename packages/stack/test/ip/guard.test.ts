import { PoolMemory } from "@skep/link"
import * as arp from "@skep/wire/arp"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import * as ipv6 from "@skep/wire/ipv6"
import * as ndp from "@skep/wire/ndp"
import * as udp from "@skep/wire/udp"
import fc from "fast-check"
import { beforeEach, describe, expect, it } from "vitest"
import { type Deceit, Guard } from "../../src/ip/guard.ts"
import {
  addr,
  arpBytes,
  frameOf,
  GATEWAY,
  GUEST_MAC,
  net,
  OTHER_MAC,
  type PacketFields,
  packetBytes,
} from "./guest.ts"

const MACHINE = 1
const LINK_LOCAL = "fe80::5894:efff:fee4:cdd"
/** Another machine's. */
const THEIRS = ["192.168.64.9", "fd00:64::9"]
const ALL = "ff02::1"

let memory: PoolMemory
let guard: Guard
beforeEach(() => {
  memory = new PoolMemory({ heapBytes: 4 * 1024 * 1024 })
  guard = new Guard(GATEWAY, {
    mayHave: (machine, bytes, at, length) => {
      if (machine !== MACHINE) throw new Error(`asked for machine ${machine}`)
      const asked = bytes.subarray(at, at + length).join()
      return !THEIRS.some((theirs) => addr(theirs).join() === asked)
    },
  })
})

/** Why a frame is kept from other machines; undefined where it is not. */
function why(bytes: Uint8Array): Deceit | undefined {
  const before = guard.counts.snapshot()
  const passes = guard.passes(frameOf(memory, bytes), MACHINE)
  const changed = Object.entries(guard.counts.snapshot()).filter(([name, count]) => count !== before[name])
  expect(changed.length).toBe(passes ? 0 : 1)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the guard counts nothing else
  return changed[0]?.[0] as Deceit | undefined
}

/** The same frame behind VLAN tags. */
function tagged(bytes: Uint8Array, ...tags: readonly number[]): Uint8Array {
  const inserted = tags.flatMap((type) => [type >> 8, type & 0xff, 0, 0])
  return Uint8Array.from([...bytes.subarray(0, 12), ...inserted, ...bytes.subarray(12)])
}

const neighbourly = (fields: Omit<PacketFields, "protocol">): Uint8Array =>
  packetBytes({ hopLimit: ndp.HOP_LIMIT, protocol: ip.PROTOCOL_ICMPV6, ...fields })

function advertised(target: string, linkAddress = GUEST_MAC): Uint8Array {
  const bytes = new Uint8Array(32)
  const said = { target: addr(target), linkAddress, router: false, solicited: true, override: true }
  return bytes.subarray(0, ndp.emitAdvertisement(bytes, 0, said))
}

function solicited(target: string): Uint8Array {
  const bytes = new Uint8Array(32)
  return bytes.subarray(0, ndp.emitSolicitation(bytes, 0, addr(target), GUEST_MAC))
}

function routed(): Uint8Array {
  const bytes = new Uint8Array(128)
  const said: ndp.RouterAdvertisement = {
    hopLimit: 64,
    managed: false,
    other: false,
    lifetimeSeconds: 1800,
    reachableMs: 0,
    retransmitMs: 0,
    linkAddress: GUEST_MAC,
    mtu: 0,
    prefixes: [
      {
        prefix: net("fd00:bad::/64"),
        onLink: true,
        autonomous: true,
        validSeconds: 1,
        preferredSeconds: 1,
      },
    ],
    servers: [],
    serversLifetimeSeconds: 0,
  }
  return bytes.subarray(0, ndp.emitRouterAdvertisement(bytes, 0, said))
}

function datagram(from: string, to: string, ports: readonly [number, number]): Uint8Array {
  const payload = new Uint8Array(udp.HEADER + 8)
  udp.emit(payload, 0, ports[0], ports[1], 8)
  return packetBytes({ from, to, protocol: ip.PROTOCOL_UDP, payload })
}

/** A packet that begins with an extension header, then a message. */
function behind(header: number, extension: Uint8Array, message: Uint8Array, hopLimit = 255): Uint8Array {
  const ends = { from: "fe80::2", to: ALL }
  // The checksum knows nothing of the headers between.
  const sealed = neighbourly({ ...ends, payload: message }).subarray(ethernet.HEADER + ipv6.HEADER)
  const payload = Uint8Array.from([...extension, ...(message.length < 4 ? message : sealed)])
  return packetBytes({ ...ends, protocol: header, payload, hopLimit })
}

const HOP_BY_HOP = 0
const FRAGMENT = 44
const DESTINATION_OPTIONS = 60

function fragment(offset: number, more: boolean, message: Uint8Array): Uint8Array {
  const header = new Uint8Array(ipv6.FRAGMENT_HEADER)
  ipv6.emitFragment(header, 0, { protocol: ip.PROTOCOL_ICMPV6, offset, more, identification: 7 })
  return behind(FRAGMENT, header, message)
}

describe("Guard", () => {
  it.each([
    ["what a machine says of itself", arpBytes(arp.REPLY, "192.168.64.2", "192.168.64.3"), undefined],
    ["a question", arpBytes(arp.REQUEST, "192.168.64.2", "192.168.64.1"), undefined],
    ["a probe", arpBytes(arp.REQUEST, "0.0.0.0", "192.168.64.1"), undefined],
    ["of a network of the machines' own", arpBytes(arp.REPLY, "10.0.0.1", "10.0.0.2"), undefined],
    ["that it is the gateway", arpBytes(arp.REPLY, "192.168.64.1", "192.168.64.3"), "claims-gateway"],
    ["the same, unasked", arpBytes(arp.REQUEST, "192.168.64.1", "192.168.64.1"), "claims-gateway"],
    ["that it is the host", arpBytes(arp.REPLY, "192.168.64.254", "192.168.64.3"), "claims-gateway"],
    ["that it is a neighbour", arpBytes(arp.REPLY, "192.168.64.9", "192.168.64.3"), "claims-neighbour"],
    [
      "of another station",
      arpBytes(arp.REPLY, "192.168.64.2", "192.168.64.3", OTHER_MAC, GUEST_MAC),
      "other-station",
    ],
    ["half of it", arpBytes(arp.REPLY, "192.168.64.1", "192.168.64.3").subarray(0, 40), "malformed"],
  ] as const)("judges ARP: %s", (_, bytes, expected) => {
    expect(why(bytes)).toBe(expected)
    for (const tags of [[0x8100], [0x88a8, 0x8100]]) expect(why(tagged(bytes, ...tags))).toBe(expected)
  })

  it("does not look behind any number of tags: what hides there goes nowhere", () => {
    const bytes = arpBytes(arp.REPLY, "192.168.64.2", "192.168.64.3")
    expect(why(tagged(bytes, ...Array.from({ length: 4 }, () => 0x8100)))).toBeUndefined()
    expect(why(tagged(bytes, ...Array.from({ length: 5 }, () => 0x8100)))).toBe("hidden")
  })

  it.each([
    [
      "its address",
      neighbourly({ from: "fd00:64::2", to: ALL, payload: advertised("fd00:64::2") }),
      undefined,
    ],
    ["a question", neighbourly({ from: "fd00:64::2", to: ALL, payload: solicited("fd00:64::3") }), undefined],
    [
      "an address elsewhere",
      neighbourly({ from: "fd02::2", to: ALL, payload: advertised("fd02::2") }),
      undefined,
    ],
    [
      "what came by a router",
      neighbourly({ from: "fe80::2", to: ALL, payload: routed(), hopLimit: 254 }),
      undefined,
    ],
    [
      "the gateway's",
      neighbourly({ from: "fe80::2", to: ALL, payload: advertised("fd00:64::1") }),
      "claims-gateway",
    ],
    [
      "its link-local one",
      neighbourly({ from: "fe80::2", to: ALL, payload: advertised(LINK_LOCAL) }),
      "claims-gateway",
    ],
    [
      "in its name",
      neighbourly({ from: LINK_LOCAL, to: ALL, payload: solicited("fd00:64::3") }),
      "claims-gateway",
    ],
    [
      "a neighbour's",
      neighbourly({ from: "fe80::2", to: ALL, payload: advertised("fd00:64::9") }),
      "claims-neighbour",
    ],
    [
      "in a neighbour's name",
      neighbourly({ from: "fd00:64::9", to: ALL, payload: solicited("fd00:64::3") }),
      "claims-neighbour",
    ],
    [
      "of another station",
      neighbourly({ from: "fe80::2", to: ALL, payload: advertised("fd00:64::2", OTHER_MAC) }),
      "other-station",
    ],
    ["a router's", neighbourly({ from: "fe80::2", to: ALL, payload: routed() }), "router"],
    [
      "a router's, behind options",
      behind(DESTINATION_OPTIONS, Uint8Array.of(58, 0, 1, 4, 0, 0, 0, 0), routed()),
      "router",
    ],
    [
      "a message that ends too early",
      neighbourly({ from: "fe80::2", to: ALL, payload: advertised("fd00:64::2").subarray(0, 12) }),
      "malformed",
    ],
    ["a router's, in fragments", fragment(0, true, routed().subarray(0, 40)), "hidden"],
    ["a fragment that does not say what it is", fragment(0, true, new Uint8Array(0)), "hidden"],
    ["the second fragment of something", fragment(40, false, new Uint8Array(16)), undefined],
    [
      "an option that nobody knows, near",
      behind(HOP_BY_HOP, Uint8Array.of(58, 0, 0xc2, 4, 0, 0, 0, 0), routed()),
      "hidden",
    ],
    [
      "the same from afar",
      behind(HOP_BY_HOP, Uint8Array.of(58, 0, 0xc2, 4, 0, 0, 0, 0), routed(), 64),
      undefined,
    ],
    [
      "too many headers to see",
      behind(DESTINATION_OPTIONS, Uint8Array.from([58, 31, 1, 252, ...new Uint8Array(252)]), routed()),
      "malformed",
    ],
  ] as const)("judges Neighbor Discovery: %s", (_, bytes, expected) => {
    expect(why(bytes)).toBe(expected)
    expect(why(tagged(bytes, 0x8100))).toBe(expected)
  })

  it.each([
    ["an offer", datagram("192.168.64.2", "192.168.64.3", [67, 68]), "dhcp-server"],
    ["an offer to all", datagram("192.168.64.2", "255.255.255.255", [67, 68]), "dhcp-server"],
    ["one from another port", datagram("10.0.0.1", "255.255.255.255", [999, 68]), "dhcp-server"],
    ["one of DHCPv6", datagram("fe80::2", "fd00:64::3", [547, 546]), "dhcp-server"],
    ["a question", datagram("0.0.0.0", "255.255.255.255", [68, 67]), undefined],
    ["a datagram", datagram("192.168.64.2", "192.168.64.3", [68, 5353]), undefined],
    ["one in the gateway's name", datagram("192.168.64.1", "192.168.64.3", [53, 4000]), "claims-gateway"],
    ["one in the host's name", datagram("fd00:64::1", "fd00:64::3", [53, 4000]), "claims-gateway"],
    ["half a header", datagram("192.168.64.2", "192.168.64.3", [67, 68]).subarray(0, 30), "malformed"],
  ] as const)("judges packets: %s", (_, bytes, expected) => {
    expect(why(bytes)).toBe(expected)
  })

  it("takes anything, and reads no further than it may", () => {
    const types = fc.constantFrom(0x0800, 0x86dd, 0x0806, 0x8100, 0x88a8, 0x1234)
    fc.assert(
      fc.property(types, fc.uint8Array({ maxLength: 120 }), (type, rest) => {
        const bytes = Uint8Array.from([...new Uint8Array(12), type >> 8, type & 0xff, ...rest])
        why(bytes)
      }),
    )
  })
})
