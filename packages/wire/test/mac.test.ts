import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as mac from "../src/mac.ts"

describe("parse()", () => {
  it("reads colons, dashes, capitals, and single digits as macOS writes them", () => {
    expect(mac.parse("02:00:5e:10:00:01")).toBe(0x0200_5e10_0001)
    expect(mac.parse("02-00-5E-10-00-01")).toBe(0x0200_5e10_0001)
    expect(mac.parse("2:0:5e:10:0:1")).toBe(0x0200_5e10_0001)
    expect(mac.parse("ff:ff:ff:ff:ff:ff")).toBe(mac.BROADCAST)
  })

  it("says bad-mac", () => {
    for (const text of [
      "",
      "02:00:5e:10:00",
      "02:00:5e:10:00:01:02",
      "02:00-5e:10:00:01",
      "02:00:5e:10:00:0g",
    ]) {
      expect(mac.parse(text)).toBe("bad-mac")
    }
  })

  it("gives back what format() wrote, and takes any text", () => {
    fc.assert(
      fc.property(fc.nat(0xffff_ffff_ffff), (value) => {
        expect(mac.parse(mac.format(value))).toBe(value)
      }),
    )
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(["number", "string"]).toContain(typeof mac.parse(text))
      }),
    )
  })
})

describe("the kinds of address", () => {
  it("are told by a bit", () => {
    expect([0x0100_5e00_0001, mac.BROADCAST, 0x0200_0000_0001].map(mac.isGroup)).toEqual([true, true, false])
  })

  it("belong to groups of IPv6", () => {
    expect(mac.format(mac.ofIpv6Group(0xff00_0002))).toBe("33:33:ff:00:00:02")
  })
})
