import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { sum } from "../src/checksum/index.ts"
import * as icmp from "../src/icmp.ts"
import * as icmpv6 from "../src/icmpv6.ts"
import { hex, toHex } from "./hex.ts"
import { surviving } from "./hostile.ts"

/** scapy: ICMP(type=8, id=0x77, seq=3)/b"abcdefgh" */
const ECHO = hex("08 00 65f0 0077 0003 6162636465666768")
/** scapy: ICMP(type=3, code=4, nexthopmtu=1400)/IP(src="10.0.0.1", dst="10.0.0.2", id=1)/UDP(sport=1, dport=2) */
const TOO_BIG = hex("03 04 0ba0 00000578 4500001c00010000401166ce0a0000010a000002000100020008ebd8")

function read(bytes: Uint8Array) {
  const message = icmp.parse(bytes, 0, bytes.length, bytes.length, icmp.view())
  if (typeof message === "string") throw new Error(message)
  return message
}

describe("parse()", () => {
  it("reads a message", () => {
    const message = read(ECHO)
    expect(message).toEqual({
      type: icmp.ECHO,
      code: 0,
      checksum: 0x65f0,
      rest: 0x0077_0003,
      payloadAt: 8,
      payloadEnd: 16,
    })
    expect([icmp.identifierOf(message.rest), icmp.sequenceOf(message.rest)]).toEqual([0x77, 3])
    expect(read(TOO_BIG)).toMatchObject({ type: 3, code: icmp.FRAGMENTATION_NEEDED, rest: 1400 })
  })

  it("says truncated", () => {
    expect(icmp.parse(ECHO, 0, 7, 16, icmp.view())).toBe("truncated")
    expect(icmp.parse(ECHO, 0, 16, 7, icmp.view())).toBe("truncated")
  })

  it("takes any bytes, and emit() gives them back", () => {
    surviving(
      [ECHO, TOO_BIG],
      (bytes, at, head, end) => icmp.parse(bytes, at, head, end, icmp.view()),
      (message, { bytes, at }) => {
        const again = new Uint8Array(icmp.HEADER)
        icmp.emit(again, 0, message.type, message.code, message.rest)
        const expected = Uint8Array.from(bytes.subarray(at, at + icmp.HEADER))
        expected.fill(0, 2, 4)
        expect(toHex(again)).toBe(toHex(expected))
        expect(icmp.pretty(message)).toContain("len")
        expect(icmpv6.pretty(message)).toContain("len")
      },
    )
  })

  it("gives back what emit() and finish() wrote", () => {
    const rests = fc.nat(0xffff_ffff)
    fc.assert(
      fc.property(
        fc.nat(255),
        fc.nat(255),
        rests,
        fc.uint8Array({ maxLength: 20 }),
        (type, code, rest, payload) => {
          const bytes = Uint8Array.from([...new Uint8Array(8), ...payload])
          icmp.emit(bytes, 0, type, code, rest)
          icmp.finish(bytes, 0, sum(bytes, 8, bytes.length))
          expect(read(bytes)).toMatchObject({ type, code, rest, payloadEnd: 8 + payload.length })
          const total = sum(bytes, 0, bytes.length)
          // All zeros have the checksum 0xffff.
          expect(icmp.checksumOk(total)).toBe(true)
        },
      ),
    )
  })
})

describe("finish()", () => {
  it("puts the checksums that others put", () => {
    for (const golden of [ECHO, TOO_BIG]) {
      const bytes = Uint8Array.from(golden)
      expect(icmp.checksumOk(sum(bytes, 0, bytes.length))).toBe(true)
      bytes.fill(0xff, 2, 4)
      icmp.finish(bytes, 0, sum(bytes, 8, bytes.length))
      expect(toHex(bytes)).toBe(toHex(golden))
      bytes[5] = 99
      expect(icmp.checksumOk(sum(bytes, 0, bytes.length))).toBe(false)
    }
  })
})

describe("isError()", () => {
  it("is true of what is or may be an error", () => {
    expect([0, 8, 13, 17].map(icmp.isError)).toEqual([false, false, false, false])
    expect([3, 4, 5, 11, 12, 30, 255].map(icmp.isError)).toEqual([true, true, true, true, true, true, true])
    expect([1, 4, 127, 128, 135].map(icmpv6.isError)).toEqual([true, true, true, false, false])
  })
})

describe("pretty()", () => {
  it("is one line", () => {
    expect(icmp.pretty(read(ECHO))).toBe("icmp echo, id 119 seq 3, len 8")
    expect(icmp.pretty(read(TOO_BIG))).toBe("icmp unreachable 4, 1400, len 28")
    expect(icmpv6.pretty({ ...read(ECHO), type: 128 })).toBe("icmpv6 echo, id 119 seq 3, len 8")
    expect(icmpv6.pretty({ ...read(TOO_BIG), type: 2, code: 0 })).toBe(
      "icmpv6 packet-too-big 0, 1400, len 28",
    )
    expect(icmpv6.pretty({ ...read(TOO_BIG), type: 200 })).toBe("icmpv6 type 200 4, 1400, len 28")
  })
})
