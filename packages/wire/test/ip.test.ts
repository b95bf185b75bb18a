import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as ip from "../src/ip.ts"
import * as ipv4 from "../src/ipv4.ts"
import * as ipv6 from "../src/ipv6.ts"
import { hex, toHex } from "./hex.ts"
import { surviving } from "./hostile.ts"

// Made by scapy 2.5, as said beside each.
/** IP(src="192.168.64.2", dst="192.168.64.1", id=0x1234, ttl=64, tos=0x10, flags="DF")/UDP(sport=40000, dport=53)/b"hello" */
const V4 = hex("45100021 1234 4000 40 11 2734 c0a84002 c0a84001 9c400035000d1e3868656c6c6f")
/** IP(…, id=1, options=[IPOption_Router_Alert()])/UDP(sport=1, dport=2)/b"xy" */
const V4_OPTIONS = hex("46000022 0001 0000 40 11 e471 c0a84002 c0a84001 94040000 00010002000a86097879")
/** IP(src="10.0.0.1", dst="10.0.0.2", id=77, flags="MF", frag=185, proto=17)/(b"a" * 16) */
const V4_FRAGMENT = hex("45000024 004d 20b9 40 11 45c1 0a000001 0a000002 61616161616161616161616161616161")
const FD2 = "fd000000000000000000000000000002"
const FD1 = "fd000000000000000000000000000001"
/** IPv6(src="fd00::2", dst="fd00::1", tc=0xb8, fl=0x12345, hlim=64)/UDP(sport=40000, dport=53)/b"hello" */
const V6 = hex(`6b812345 000d 11 40 ${FD2} ${FD1} 9c400035000d258868656c6c6f`)
/** IPv6(…)/HopByHop(RouterAlert)/DestOpt(PadN)/Fragment(offset=0, m=0, id=5)/UDP(sport=1, dport=2)/b"z" */
const V6_EXTENSIONS = hex(
  `60000000 0021 00 40 ${FD2} ${FD1} 3c00050200000100 2c00010400000000 1100000000000005 000100020009 8bd4 7a`,
)
/** IPv6(…)/Fragment(nh=17, offset=181, m=1, id=0xdeadbeef)/(b"b" * 16) */
const V6_FRAGMENT = hex(`60000000 0018 2c 40 ${FD2} ${FD1} 110005a9deadbeef 62626262626262626262626262626262`)
/** IPv6(…)/Fragment(nh=60, offset=0, m=1, id=9)/DestOpt(nh=17, PadN)/UDP(sport=5, dport=6, len=100) */
const V6_FIRST = hex(`60000000 0018 2c 40 ${FD2} ${FD1} 3c00000100000009 1100010400000000 0005000600640000`)
/** IPv6(…)/Routing(addresses=["fd00::9"], segleft=1)/UDP(sport=1, dport=2) */
const V6_ROUTING = hex(
  `60000000 0020 2b 40 ${FD2} ${FD1} 1102000100000000 fd000000000000000000000000000009 00010002000805cf`,
)
const ALL = [V4, V4_OPTIONS, V4_FRAGMENT, V6, V6_EXTENSIONS, V6_FRAGMENT, V6_FIRST, V6_ROUTING]

function read(bytes: Uint8Array, head: number = bytes.length, end: number = bytes.length) {
  return ip.parse(bytes, 0, head, end, ip.ipView())
}

function sound(bytes: Uint8Array): ip.IpView {
  const packet = read(bytes)
  if (typeof packet === "string") throw new Error(packet)
  return packet
}

/** A copy with some bytes changed. */
function changed(bytes: Uint8Array, changes: Readonly<Record<number, number>>): Uint8Array {
  const copy = Uint8Array.from(bytes)
  for (const [at, value] of Object.entries(changes)) copy[Number(at)] = value
  return copy
}

/** An IPv6 packet with this behind its header. */
function v6(next: number, rest: Uint8Array): Uint8Array {
  const packet = new Uint8Array(40 + rest.length)
  packet.set(V6.subarray(0, 40))
  packet.set(rest, 40)
  return changed(packet, { 4: rest.length >> 8, 5: rest.length & 0xff, 6: next })
}

describe("parse() of IPv4", () => {
  it("reads a packet", () => {
    expect(read(V4)).toEqual({
      version: 4,
      headerAt: 0,
      sourceAt: 12,
      destinationAt: 16,
      addressLength: 4,
      protocol: ip.PROTOCOL_UDP,
      protocolAt: 9,
      payloadAt: 20,
      payloadEnd: 33,
      hopLimit: 64,
      trafficClass: 0x10,
      identification: 0x1234,
      fragmentOffset: 0,
      moreFragments: false,
      dontFragment: true,
      fragmentHeaderAt: -1,
      problemAt: -1,
    })
  })

  it("reads one with options, one that is a fragment, and one with padding behind it", () => {
    expect(read(V4_OPTIONS)).toMatchObject({ payloadAt: 24, payloadEnd: 34, dontFragment: false })
    const fragment = sound(V4_FRAGMENT)
    expect(fragment).toMatchObject({ fragmentOffset: 185 * 8, moreFragments: true, identification: 77 })
    expect(ip.isFragment(fragment)).toBe(true)
    expect(ip.isFragment(sound(V4))).toBe(false)
    expect(sound(Uint8Array.from([...V4, 0, 0, 0, 0])).payloadEnd).toBe(33)
  })

  it("needs no more than the header to be readable", () => {
    expect(read(V4.subarray(0, 20), 20, 33)).toMatchObject({ payloadAt: 20, payloadEnd: 33 })
    expect(read(V4_OPTIONS.subarray(0, 24), 24, 34)).toMatchObject({ payloadAt: 24, payloadEnd: 34 })
  })

  it("says truncated", () => {
    expect(read(V4, 19)).toBe("truncated")
    expect(read(V4, 33, 19)).toBe("truncated")
    expect(read(V4_OPTIONS, 23)).toBe("truncated")
    expect(read(V4, 0)).toBe("truncated")
  })

  it("says bad-version", () => {
    expect(read(changed(V4, { 0: 0x55 }))).toBe("bad-version")
    expect(ipv4.parse(V6, 0, V6.length, V6.length, ip.ipView())).toBe("bad-version")
  })

  it("says bad-header-length", () => {
    expect(read(changed(V4, { 0: 0x44 }))).toBe("bad-header-length")
  })

  it("says bad-length", () => {
    expect(read(V4, 33, 32)).toBe("bad-length")
    expect(read(changed(V4, { 3: 19 }))).toBe("bad-length")
    expect(read(changed(V4_OPTIONS, { 3: 23 }))).toBe("bad-length")
  })

  it("says bad-fragment of one that ends beyond 64 KiB, and of one before the last that is no multiple of 8", () => {
    expect(read(changed(V4_FRAGMENT, { 6: 0x3f, 7: 0xff }))).toBe("bad-fragment")
    expect(read(changed(V4_FRAGMENT, { 3: 35 }))).toBe("bad-fragment")
    expect(read(changed(V4_FRAGMENT, { 3: 35, 6: 0 }))).toMatchObject({ moreFragments: false })
  })

  it("says bad-option", () => {
    for (const length of [0, 1, 5]) expect(read(changed(V4_OPTIONS, { 21: length }))).toBe("bad-option")
    expect(read(changed(V4_OPTIONS, { 20: 1, 21: 1, 22: 1, 23: 7 }))).toBe("bad-option")
    expect(read(changed(V4_OPTIONS, { 20: 1, 21: 0, 22: 7, 23: 7 }))).toMatchObject({ payloadAt: 24 })
  })

  it("says source-route", () => {
    expect(read(changed(V4_OPTIONS, { 20: 131 }))).toBe("source-route")
    expect(read(changed(V4_OPTIONS, { 20: 1, 21: 137 }))).toBe("source-route")
  })
})

describe("checksumOk()", () => {
  it("tells a header that was changed", () => {
    for (const bytes of [V4, V4_OPTIONS, V4_FRAGMENT]) {
      expect(ipv4.checksumOk(bytes, sound(bytes))).toBe(true)
      const wrong = changed(bytes, { 8: 63 })
      expect(ipv4.checksumOk(wrong, sound(wrong))).toBe(false)
    }
  })
})

describe("parse() of IPv6", () => {
  it("reads a packet", () => {
    expect(read(V6)).toEqual({
      version: 6,
      headerAt: 0,
      sourceAt: 8,
      destinationAt: 24,
      addressLength: 16,
      protocol: ip.PROTOCOL_UDP,
      protocolAt: 6,
      payloadAt: 40,
      payloadEnd: 53,
      hopLimit: 64,
      trafficClass: 0xb8,
      identification: 0,
      fragmentOffset: 0,
      moreFragments: false,
      dontFragment: true,
      fragmentHeaderAt: -1,
      problemAt: -1,
    })
  })

  it("goes behind extension headers, of which a fragment header may be of a whole packet", () => {
    const packet = sound(V6_EXTENSIONS)
    expect(packet).toMatchObject({ protocol: 17, protocolAt: 56, payloadAt: 64, payloadEnd: 73 })
    expect(packet).toMatchObject({ fragmentHeaderAt: 56, identification: 5 })
    expect(ip.isFragment(packet)).toBe(false)
  })

  it("stops behind the header of a fragment, the first as well", () => {
    expect(read(V6_FRAGMENT)).toMatchObject({
      protocol: 17,
      payloadAt: 48,
      payloadEnd: 64,
      fragmentOffset: 181 * 8,
      moreFragments: true,
      identification: 0xdead_beef,
      fragmentHeaderAt: 40,
    })
    expect(read(V6_FIRST)).toMatchObject({
      protocol: 60,
      payloadAt: 48,
      fragmentOffset: 0,
      moreFragments: true,
    })
  })

  it("needs no more than the headers to be readable", () => {
    expect(read(V6_EXTENSIONS.subarray(0, 64), 64, 73)).toMatchObject({ payloadAt: 64, payloadEnd: 73 })
  })

  it("says truncated", () => {
    expect(read(V6, 39)).toBe("truncated")
    for (const head of [40, 47, 48, 56, 63]) expect(read(V6_EXTENSIONS, head)).toBe("truncated")
    expect(read(v6(60, hex("1101 0104 0000000000000000")), 50)).toBe("bad-length")
    expect(read(v6(60, hex("1101 010c 000000000000000000000000")), 50)).toBe("truncated")
  })

  it("says bad-version", () => {
    expect(ipv6.parse(V4_FRAGMENT, 0, 36, 40, ip.ipView())).toBe("truncated")
    expect(ipv6.parse(changed(V6, { 0: 0x45 }), 0, V6.length, V6.length, ip.ipView())).toBe("bad-version")
  })

  it("says bad-length", () => {
    expect(read(V6, 53, 52)).toBe("bad-length")
    expect(read(v6(60, hex("1100")))).toBe("bad-length")
    expect(read(v6(60, hex("1101 000000000000")))).toBe("bad-length")
  })

  it("says bad-fragment", () => {
    expect(read(changed(V6_FRAGMENT, { 42: 0xff, 43: 0xf9 }))).toBe("bad-fragment")
    expect(read(v6(44, hex("11000001 00000001 626262")))).toBe("bad-fragment")
    expect(read(v6(44, hex("11000008 00000001 626262")))).toMatchObject({ fragmentOffset: 8 })
  })

  it("says bad-option", () => {
    expect(read(changed(V6_EXTENSIONS, { 51: 9 }))).toBe("bad-option")
    expect(read(v6(60, hex("1100 00 00 00 00 00 1e")))).toBe("bad-option")
  })

  it("says unknown-option of one that must be known, and where it is unless the sender is not to be told", () => {
    const view = ip.ipView()
    const parse = (kind: number) => {
      const bytes = v6(60, hex(`1100 00 ${kind.toString(16).padStart(2, "0")} 02 0000 00`))
      return ip.parse(bytes, 0, bytes.length, bytes.length, view)
    }
    expect(parse(0x1e)).toBe(view)
    expect([parse(0x5e), view.problemAt]).toEqual(["unknown-option", -1])
    expect([parse(0x9e), view.problemAt]).toEqual(["unknown-option", 43])
    expect([parse(0xc2), view.problemAt]).toEqual(["unknown-option", 43])
    expect(parse(0x1e)).toMatchObject({ problemAt: -1 })
  })

  it("says unknown-routing where the packet is to be sent on, and passes over what is done", () => {
    const view = ip.ipView()
    expect(ip.parse(V6_ROUTING, 0, 72, 72, view)).toBe("unknown-routing")
    expect(view.problemAt).toBe(42)
    expect(read(changed(V6_ROUTING, { 43: 0 }))).toMatchObject({ protocol: 17, payloadAt: 64 })
  })

  it("says bad-extension", () => {
    const options = "00010400000000"
    expect(read(v6(60, hex(`00${options} 11${options}`)))).toBe("bad-extension")
    expect(read(v6(44, hex("2c00000000000001 1100000000000001")))).toBe("bad-extension")
    expect(read(v6(60, hex(`3c${options}`.repeat(5) + `11${options}`)))).toBe("bad-extension")
    expect(read(v6(60, hex(`3c${options}`.repeat(4) + `11${options}`)))).toMatchObject({ protocol: 17 })
  })
})

describe("parse() and emit()", () => {
  it("take any bytes", () => {
    const keeps = (packet: ip.IpView, bytes: Uint8Array, end: number) => {
      expect(packet.payloadAt).toBeGreaterThanOrEqual(packet.headerAt + (packet.version === 4 ? 20 : 40))
      expect(packet.payloadEnd).toBeGreaterThanOrEqual(packet.payloadAt)
      expect(packet.payloadEnd).toBeLessThanOrEqual(end)
      expect(ip.pretty(bytes, packet)).toContain(" > ")
    }
    surviving(
      ALL,
      (bytes, at, head, end) => ip.parse(bytes, at, head, end, ip.ipView()),
      (packet, { bytes, end }) => keeps(packet, bytes, end),
    )
  })

  it("give back the bytes of headers that others wrote", () => {
    const packet = sound(V4)
    const bytes = new Uint8Array(20)
    const fields = { ...packet, source: V4.slice(12, 16), destination: V4.slice(16, 20), payloadLength: 13 }
    expect(ip.emit(bytes, 0, fields)).toBe(20)
    expect(toHex(bytes)).toBe(toHex(V4.subarray(0, 20)))
    const part = {
      ...sound(V4_FRAGMENT),
      source: V4_FRAGMENT.slice(12, 16),
      destination: V4_FRAGMENT.slice(16, 20),
    }
    ip.emit(bytes, 0, { ...part, payloadLength: 16 })
    expect(toHex(bytes)).toBe(toHex(V4_FRAGMENT.subarray(0, 20)))
    const long = new Uint8Array(40)
    const other = { ...sound(V6), source: V6.slice(8, 24), destination: V6.slice(24, 40), payloadLength: 13 }
    expect(ip.emit(long, 0, other)).toBe(40)
    // Flow labels are not ours to make.
    expect(toHex(long)).toBe(toHex(changed(V6, { 1: 0x80, 2: 0, 3: 0 }).subarray(0, 40)))
    const fragment = { protocol: 17, offset: 181 * 8, more: true, identification: 0xdead_beef }
    ipv6.emitFragment(long, 3, fragment)
    expect(toHex(long.subarray(3, 11))).toBe("110005a9deadbeef")
  })

  it("agree, and renew() too", () => {
    const pairs = fc.oneof(
      fc.tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 4, maxLength: 4 })),
      fc.tuple(
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
      ),
    )
    const fields = fc.record({
      pair: pairs,
      protocol: fc.constantFrom(6, 17, 1, 58),
      payloadLength: fc.nat(100).map((units) => units * 8),
      hopLimit: fc.nat(255),
      trafficClass: fc.nat(255),
      identification: fc.nat(0xffff),
      dontFragment: fc.boolean(),
      fragmentOffset: fc.nat(7600).map((units) => units * 8),
      moreFragments: fc.boolean(),
    })
    fc.assert(
      fc.property(fields, fc.nat(4), fc.nat(500), fc.nat(0xffff), ({ pair, ...rest }, at, again, id) => {
        const [source, destination] = pair
        const bytes = new Uint8Array(at + 40)
        const size = ip.emit(bytes, at, { source, destination, ...rest })
        expect(size).toBe(ip.headerSize(source.length))
        const parse = (length: number) => ip.parse(bytes, at, at + size, at + size + length, ip.ipView())
        const packet = parse(rest.payloadLength)
        if (typeof packet === "string") throw new Error(packet)
        const { protocol, hopLimit, trafficClass } = rest
        expect(packet).toMatchObject({ protocol, hopLimit, trafficClass, payloadAt: at + size })
        expect(packet.payloadEnd - packet.payloadAt).toBe(rest.payloadLength)
        expect(toHex(bytes.subarray(packet.sourceAt, packet.destinationAt))).toBe(toHex(source))
        const end = packet.destinationAt + packet.addressLength
        expect(toHex(bytes.subarray(packet.destinationAt, end))).toBe(toHex(destination))
        if (packet.version === 4) {
          const { identification, dontFragment, fragmentOffset, moreFragments } = rest
          expect(packet).toMatchObject({ identification, dontFragment, fragmentOffset, moreFragments })
          expect(ipv4.checksumOk(bytes, packet)).toBe(true)
        }
        ip.renew(bytes, at, again * 8, id)
        const renewed = parse(again * 8)
        if (typeof renewed === "string") throw new Error(renewed)
        expect(renewed.payloadEnd - renewed.payloadAt).toBe(again * 8)
        if (renewed.version === 4) {
          expect(renewed.identification).toBe(id)
          expect(ipv4.checksumOk(bytes, renewed)).toBe(true)
        }
      }),
    )
  })
})

describe("pretty()", () => {
  it("is one line", () => {
    expect(ALL.slice(0, 6).map((bytes) => ip.pretty(bytes, sound(bytes)))).toEqual([
      "192.168.64.2 > 192.168.64.1 udp, len 13, ttl 64",
      "192.168.64.2 > 192.168.64.1 udp, len 10, ttl 64",
      "10.0.0.1 > 10.0.0.2 udp, len 16, ttl 64, fragment 1480+ of id 77",
      "fd00::2 > fd00::1 udp, len 13, ttl 64",
      "fd00::2 > fd00::1 udp, len 9, ttl 64",
      "fd00::2 > fd00::1 udp, len 16, ttl 64, fragment 1448+ of id 3735928559",
    ])
  })
})
