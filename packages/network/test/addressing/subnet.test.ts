import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formatAddress, parseAddress } from "../../src/addressing/address.ts"
import {
  addressIn,
  contains,
  formatSubnet,
  overlaps,
  parseSubnet,
  type Subnet,
} from "../../src/addressing/subnet.ts"

const subnet = (text: string): Subnet => {
  const parsed = parseSubnet(text)
  if (parsed === undefined) throw new Error(text)
  return parsed
}
const bytes = (text: string): Uint8Array => parseAddress(text) ?? new Uint8Array()

describe("parseSubnet()", () => {
  it.each(["192.168.64.0/24", "0.0.0.0/0", "10.0.0.1/32", "fd00:1:2::/64", "::/0", "172.16.0.0/12"])(
    "takes %s",
    (text) => {
      expect(formatSubnet(subnet(text))).toBe(text)
    },
  )
  it.each(["192.168.64.1/24", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "fd00::1/64", "x/8", "fd00::/129"])(
    "does not take %s",
    (text) => {
      expect(parseSubnet(text)).toBeUndefined()
    },
  )
})

describe("contains()", () => {
  it("looks at bits, also within a byte, at any place", () => {
    const at = Uint8Array.of(9, 9, 172, 31, 255, 255)
    expect(contains(subnet("172.16.0.0/12"), at, 2)).toBe(true)
    expect(contains(subnet("172.16.0.0/13"), at, 2)).toBe(false)
    expect(contains(subnet("0.0.0.0/0"), at, 2)).toBe(true)
    expect(contains(subnet("172.31.255.255/32"), at, 2)).toBe(true)
  })
  it("agrees with arithmetic for every IPv4 block", () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(0xffffffff), fc.nat(32), (one, other, bits) => {
        const size = 2 ** (32 - bits)
        const base = Math.floor(one / size) * size
        const words = (value: number): Uint8Array =>
          Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
        const block = { address: words(base), bits }
        expect(contains(block, words(other), 0)).toBe(other >= base && other < base + size)
      }),
    )
  })
})

it("overlaps() is symmetric, and never across families", () => {
  expect(overlaps(subnet("10.0.0.0/8"), subnet("10.1.2.0/24"))).toBe(true)
  expect(overlaps(subnet("10.1.2.0/24"), subnet("10.0.0.0/8"))).toBe(true)
  expect(overlaps(subnet("10.1.2.0/24"), subnet("10.1.3.0/24"))).toBe(false)
  expect(overlaps(subnet("::/0"), subnet("0.0.0.0/0"))).toBe(false)
})

describe("addressIn()", () => {
  it("counts from the first, and back from the last", () => {
    const block = subnet("192.168.64.0/23")
    expect(formatAddress(addressIn(block, 0))).toBe("192.168.64.0")
    expect(formatAddress(addressIn(block, 1))).toBe("192.168.64.1")
    expect(formatAddress(addressIn(block, 256))).toBe("192.168.65.0")
    expect(formatAddress(addressIn(block, -1))).toBe("192.168.65.255")
    expect(formatAddress(addressIn(block, -2))).toBe("192.168.65.254")
    expect(addressIn(subnet("fd00::/64"), -1)).toEqual(bytes("fd00::ffff:ffff:ffff:ffff"))
  })
})
