import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseReverse, reverseZones } from "../../../src/dns/names/reverse.ts"

describe("parseReverse()", () => {
  it("reads both families", () => {
    expect(parseReverse("2.64.168.192.in-addr.arpa")).toBe("192.168.64.2")
    const nibbles = `${"0.".repeat(27)}0.2.1.d.f`.replace(/^0/, "2")
    expect(parseReverse(`${nibbles}.ip6.arpa`)).toBe("fd12::2")
  })

  it.each([
    "168.192.in-addr.arpa",
    "1.2.64.168.192.in-addr.arpa",
    "256.64.168.192.in-addr.arpa",
    "02.64.168.192.in-addr.arpa",
    "a.64.168.192.in-addr.arpa",
    "1.2.ip6.arpa",
    `${"g.".repeat(32)}ip6.arpa`,
    "in-addr.arpa",
    "example",
  ])("has no address for %s", (name) => {
    expect(parseReverse(name)).toBeUndefined()
  })

  it("turns every IPv4 address back", () => {
    const octet = fc.nat(255)
    fc.assert(
      fc.property(fc.tuple(octet, octet, octet, octet), (octets) => {
        expect(parseReverse(`${octets.toReversed().join(".")}.in-addr.arpa`)).toBe(octets.join("."))
      }),
    )
  })
})

describe("reverseZones()", () => {
  it("is one zone where the prefix ends with a label", () => {
    expect(reverseZones("192.168.64.0/24")).toEqual(["64.168.192.in-addr.arpa"])
    expect(reverseZones("10.0.0.0/8")).toEqual(["10.in-addr.arpa"])
    expect(reverseZones("fd12:3456::/32")).toEqual(["6.5.4.3.2.1.d.f.ip6.arpa"])
  })

  it("is several where it ends within one", () => {
    expect(reverseZones("172.16.0.0/15")).toEqual(["16.172.in-addr.arpa", "17.172.in-addr.arpa"])
    expect(reverseZones("192.168.64.7/31")).toEqual([
      "6.64.168.192.in-addr.arpa",
      "7.64.168.192.in-addr.arpa",
    ])
    expect(reverseZones("fd12::/14")).toHaveLength(4)
  })

  it("is none for what is no prefix, and for a large part of the world", () => {
    expect([reverseZones("x"), reverseZones("192.168.64.1"), reverseZones("0.0.0.0/0")]).toEqual([[], [], []])
  })
})
