import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { canonicalAddress, canonicalMac, formatEndpoint } from "../../src/addressing/address.ts"

describe("canonicalAddress()", () => {
  it("writes one address in one way", () => {
    expect(canonicalAddress("0:0:0:0:0:0:0:1")).toBe("::1")
    expect(canonicalAddress("FD00::00a0")).toBe("fd00::a0")
    expect(canonicalAddress("192.168.64.1")).toBe("192.168.64.1")
  })
  it("takes no zone, no name, no short form", () => {
    for (const text of ["fe80::1%eth0", "localhost", "127.1", "0x7f.1", "", "1.2.3.4.5", "::g"])
      expect(canonicalAddress(text)).toBeUndefined()
  })
  it("takes its own way, and throws for no text", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()), (text) => {
        const canonical = canonicalAddress(text)
        if (canonical !== undefined) expect(canonicalAddress(canonical)).toBe(canonical)
      }),
    )
  })
})

it("formatEndpoint() puts IPv6 in brackets", () => {
  expect(formatEndpoint("::1", 80)).toBe("[::1]:80")
  expect(formatEndpoint("127.0.0.1", 80)).toBe("127.0.0.1:80")
})

describe("canonicalMac()", () => {
  it("takes colons and dashes, and single digits", () => {
    expect(canonicalMac("02-00-5E-10-00-0A")).toBe("02:00:5e:10:00:0a")
    expect(canonicalMac("2:0:5e:10:0:a")).toBe("02:00:5e:10:00:0a")
  })
  it("takes neither a group nor nobody", () => {
    expect(canonicalMac("01:00:5e:00:00:01")).toBeUndefined()
    expect(canonicalMac("00:00:00:00:00:00")).toBeUndefined()
    expect(canonicalMac("02:00:5e:10:00")).toBeUndefined()
  })
})
