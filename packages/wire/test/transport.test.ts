import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { sum } from "../src/checksum/index.ts"
import * as ip from "../src/ip.ts"
import * as tcp from "../src/tcp.ts"
import * as transport from "../src/transport.ts"
import * as udp from "../src/udp.ts"
import { hex, toHex } from "./hex.ts"

// Whole packets made by scapy 2.5, said in udp.test.ts, tcp.test.ts and icmp.test.ts.
const FD = "fd000000000000000000000000000002 fd000000000000000000000000000001"
const GOLDEN = {
  udp4: { bytes: hex("4510002112344000401127 34c0a84002c0a840019c400035000d1e3868656c6c6f"), header: 8 },
  udp6: { bytes: hex(`6b812345000d1140 ${FD} 9c400035000d258868656c6c6f`), header: 8 },
  tcp4: {
    bytes: hex(
      "4500003d0000000040067967c0a84002c0a840019c4000500000006480000001a01001f5b0fc000001010512000003e8000007d000000bb8ffffffff71",
    ),
    header: 40,
  },
  tcp6: {
    bytes: hex(`6000000000190640 ${FD} 00010002000000050000000650d80007bb2b00006461746121`),
    header: 20,
  },
  icmpv6: { bytes: hex(`6000000000103a40 ${FD} 8000f3a0007700036162636465666768`), header: 8 },
}

function read(bytes: Uint8Array): ip.IpView {
  const packet = ip.parse(bytes, 0, bytes.length, bytes.length, ip.ipView())
  if (typeof packet === "string") throw new Error(packet)
  return packet
}

describe.each(Object.entries(GOLDEN))("%s", (_, { bytes: golden, header }) => {
  const packet = read(golden)
  const headerEnd = packet.payloadAt + header
  const field = packet.payloadAt + transport.checksumOffset(packet.protocol)

  it("finish() puts the checksum that others put", () => {
    const bytes = Uint8Array.from(golden)
    bytes.fill(0xff, field, field + 2)
    transport.finish(bytes, 0, headerEnd, sum(bytes, headerEnd, bytes.length))
    expect(toHex(bytes)).toBe(toHex(golden))
  })

  it("begin() leaves a sum that, with all the rest, makes that checksum", () => {
    const bytes = Uint8Array.from(golden)
    transport.begin(bytes, 0)
    const rest = ~sum(bytes, packet.payloadAt, bytes.length) & 0xffff
    bytes[field] = rest >>> 8
    bytes[field + 1] = rest & 0xff
    expect(toHex(bytes)).toBe(toHex(golden))
  })

  it("checksumOk() tells a packet that was changed", () => {
    expect(transport.checksumOk(golden, packet, sum(golden, packet.payloadAt, packet.payloadEnd))).toBe(true)
    for (let at = packet.payloadAt; at < golden.length; at++) {
      const bytes = Uint8Array.from(golden)
      bytes[at] = (bytes[at] ?? 0) ^ 0x10
      expect(transport.checksumOk(bytes, packet, sum(bytes, packet.payloadAt, bytes.length))).toBe(false)
    }
    const elsewhere = Uint8Array.from(golden)
    elsewhere[packet.sourceAt + 1] = 77
    expect(transport.checksumOk(elsewhere, packet, sum(golden, packet.payloadAt, golden.length))).toBe(false)
  })
})

describe("finish()", () => {
  it("never says of a UDP datagram that it has no checksum", () => {
    // The payload is the word that makes the sum 0xffff, and the checksum 0.
    const bytes = new Uint8Array(30)
    const addresses = { source: hex("0a000001"), destination: hex("0a000002") }
    ip.emit(bytes, 0, { ...addresses, protocol: 17, payloadLength: 10, hopLimit: 64 })
    udp.emit(bytes, 20, 1, 2, 2)
    transport.finish(bytes, 0, 28, 0)
    bytes.copyWithin(28, 26, 28)
    transport.finish(bytes, 0, 28, sum(bytes, 28, 30))
    expect(toHex(bytes.subarray(26, 28))).toBe("ffff")
    expect(transport.checksumOk(bytes, read(bytes), sum(bytes, 20, 30))).toBe(true)
  })

  it("is right of any segment, whatever the lengths", () => {
    const sizes = fc.constantFrom(4, 16)
    fc.assert(
      fc.property(sizes, fc.uint8Array({ maxLength: 50 }), fc.nat(0xffff_ffff), (size, payload, sequence) => {
        const bytes = new Uint8Array(40 + 60 + payload.length)
        const fields = { ...tcp.view(), sequence, timestamps: sequence % 2 === 0 }
        const ipSize = ip.headerSize(size)
        const headerEnd = ipSize + tcp.emit(bytes, ipSize, fields)
        const end = headerEnd + payload.length
        bytes.set(payload, headerEnd)
        const addresses = { source: new Uint8Array(size).fill(7), destination: new Uint8Array(size).fill(9) }
        ip.emit(bytes, 0, { ...addresses, protocol: 6, payloadLength: end - ipSize, hopLimit: 64 })
        transport.finish(bytes, 0, headerEnd, sum(payload, 0, payload.length))
        const packet = read(bytes)
        expect(transport.checksumOk(bytes, packet, sum(bytes, packet.payloadAt, packet.payloadEnd))).toBe(
          true,
        )
      }),
    )
  })
})

describe("checksumOk()", () => {
  it("asks for none of UDP over IPv4, and for one over IPv6", () => {
    const without = Uint8Array.from(GOLDEN.udp4.bytes)
    without.fill(0, 26, 28)
    expect(transport.checksumOk(without, read(without), sum(without, 20, 33))).toBe(true)
    const wrong = Uint8Array.from(GOLDEN.udp6.bytes)
    wrong.fill(0, 46, 48)
    expect(transport.checksumOk(wrong, read(wrong), sum(wrong, 40, 53))).toBe(false)
  })
})

describe("checksumOffset()", () => {
  it("is known of three protocols", () => {
    expect([6, 17, 58, 1, 132].map(transport.checksumOffset)).toEqual([16, 6, 2, -1, -1])
  })
})
