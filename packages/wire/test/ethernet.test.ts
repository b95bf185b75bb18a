import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { emit, HEADER, parse, pretty, TYPE_ARP, view } from "../src/ethernet.ts"
import { hex, toHex } from "./hex.ts"
import { surviving } from "./hostile.ts"

/** scapy: Ether(src="02:00:00:00:00:01", dst="ff:ff:ff:ff:ff:ff")/ARP(op=1, …) */
const GOLDEN = hex("ffffffffffff 020000000001 0806 0001080006040001020000000001c0a84002000000000000c0a84001")

describe("parse()", () => {
  it("reads a frame", () => {
    expect(parse(GOLDEN, 0, GOLDEN.length, GOLDEN.length, view())).toEqual({
      destination: 0xffff_ffff_ffff,
      source: 0x0200_0000_0001,
      type: TYPE_ARP,
      payloadAt: HEADER,
    })
  })

  it("says truncated", () => {
    expect(parse(GOLDEN, 0, 13, 42, view())).toBe("truncated")
    expect(parse(GOLDEN, 0, 42, 13, view())).toBe("truncated")
    expect(parse(GOLDEN, -1, 42, 42, view())).toBe("truncated")
    expect(parse(GOLDEN.subarray(0, 13), 0, 42, 42, view())).toBe("truncated")
  })

  it("takes any bytes, and emit() gives them back", () => {
    surviving(
      [GOLDEN],
      (bytes, at, head, end) => parse(bytes, at, head, end, view()),
      (frame, { bytes, at }) => {
        const again = new Uint8Array(HEADER)
        emit(again, 0, frame.destination, frame.source, frame.type)
        expect(toHex(again)).toBe(toHex(bytes.subarray(at, at + HEADER)))
        expect(pretty(frame)).toContain(" > ")
      },
    )
  })

  it("gives back what emit() wrote", () => {
    const macs = fc.nat(0xffff_ffff_ffff)
    fc.assert(
      fc.property(macs, macs, fc.nat(0xffff), fc.nat(5), (destination, source, type, at) => {
        const bytes = new Uint8Array(at + HEADER)
        emit(bytes, at, destination, source, type)
        const expected = { destination, source, type, payloadAt: at + HEADER }
        expect(parse(bytes, at, bytes.length, bytes.length, view())).toEqual(expected)
      }),
    )
  })
})

describe("pretty()", () => {
  it("is one line", () => {
    const frame = { destination: 1, source: 0x0200_0000_0001, type: 0x88cc, payloadAt: 14 }
    expect(pretty(frame)).toBe("02:00:00:00:00:01 > 00:00:00:00:00:01 0x88cc")
    expect(pretty({ ...frame, type: TYPE_ARP })).toBe("02:00:00:00:00:01 > 00:00:00:00:00:01 arp")
  })
})
