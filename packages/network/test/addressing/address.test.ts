import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  canonicalAddress,
  canonicalMac,
  formatAddress,
  formatEndpoint,
  parseAddress,
} from "../../src/addressing/address.ts"

const address = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
)

describe("parseAddress() and formatAddress()", () => {
  it("are each other's inverse", () => {
    fc.assert(
      fc.property(address, (bytes) => {
        expect(parseAddress(formatAddress(bytes))).toEqual(bytes)
      }),
    )
  })
  it("reads no zone, no name, no short form", () => {
    for (const text of ["fe80::1%eth0", "localhost", "127.1", "", "1.2.3.4.5", "::g"])
      expect(parseAddress(text)).toBeUndefined()
  })
  it("throws for no text", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(parseAddress(text)?.length ?? 4).toBeOneOf([4, 16])
      }),
    )
  })
})

it("canonicalAddress() writes one address in one way", () => {
  expect(canonicalAddress("0:0:0:0:0:0:0:1")).toBe("::1")
  expect(canonicalAddress("FD00::00a0")).toBe("fd00::a0")
})

it("formatEndpoint() puts IPv6 in brackets", () => {
  expect(formatEndpoint("::1", 80)).toBe("[::1]:80")
  expect(formatEndpoint("127.0.0.1", 80)).toBe("127.0.0.1:80")
})

describe("canonicalMac()", () => {
  it("takes colons and dashes", () => {
    expect(canonicalMac("02-00-5E-10-00-0A")).toBe("02:00:5e:10:00:0a")
  })
  it("takes neither a group nor nobody", () => {
    expect(canonicalMac("01:00:5e:00:00:01")).toBeUndefined()
    expect(canonicalMac("00:00:00:00:00:00")).toBeUndefined()
    expect(canonicalMac("2:0:5e:10:0:a")).toBeUndefined()
  })
})
