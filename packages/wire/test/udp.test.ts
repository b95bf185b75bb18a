import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { emit, HEADER, parse, pretty, view } from "../src/udp.ts"
import { hex, toHex } from "./hex.ts"
import { surviving } from "./hostile.ts"

/** scapy: IP(src="192.168.64.2", dst="192.168.64.1")/UDP(sport=40000, dport=53)/b"hello", behind the IP header. */
const GOLDEN = hex("9c40 0035 000d 1e38 68656c6c6f")

describe("parse()", () => {
  it("reads a datagram, and one with padding behind it", () => {
    const expected = { source: 40000, destination: 53, checksum: 0x1e38, payloadAt: 8, payloadEnd: 13 }
    expect(parse(GOLDEN, 0, 13, 13, view())).toEqual(expected)
    expect(parse(GOLDEN, 0, 13, 20, view())).toEqual(expected)
    expect(parse(GOLDEN.subarray(0, 8), 0, 8, 13, view())).toEqual(expected)
  })

  it("says truncated", () => {
    expect(parse(GOLDEN, 0, 7, 13, view())).toBe("truncated")
    expect(parse(GOLDEN, 0, 13, 7, view())).toBe("truncated")
  })

  it("says bad-length", () => {
    expect(parse(GOLDEN, 0, 13, 12, view())).toBe("bad-length")
    const short = Uint8Array.from(GOLDEN)
    short[5] = 7
    expect(parse(short, 0, 13, 13, view())).toBe("bad-length")
  })

  it("takes any bytes, and emit() gives them back", () => {
    surviving(
      [GOLDEN],
      (bytes, at, head, end) => parse(bytes, at, head, end, view()),
      (datagram, { bytes, at, end }) => {
        const length = datagram.payloadEnd - datagram.payloadAt
        expect(datagram.payloadEnd).toBeLessThanOrEqual(end)
        const again = new Uint8Array(HEADER)
        emit(again, 0, datagram.source, datagram.destination, length)
        expect(toHex(again.subarray(0, 6))).toBe(toHex(bytes.subarray(at, at + 6)))
        expect(pretty(datagram)).toContain(`len ${length}`)
      },
    )
  })

  it("gives back what emit() wrote", () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.nat(0xffff), fc.nat(65_527), (source, destination, length) => {
        const bytes = new Uint8Array(HEADER).fill(0xff)
        emit(bytes, 0, source, destination, length)
        const expected = { source, destination, checksum: 0, payloadAt: 8, payloadEnd: 8 + length }
        expect(parse(bytes, 0, 8, 8 + length, view())).toEqual(expected)
      }),
    )
  })
})

describe("pretty()", () => {
  it("is one line", () => {
    const datagram = parse(GOLDEN, 0, 13, 13, view())
    expect(typeof datagram === "string" ? datagram : pretty(datagram)).toBe("udp 40000 > 53, len 5")
  })
})
