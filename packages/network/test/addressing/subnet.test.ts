import * as address from "@skep/wire/address"
import { describe, expect, it } from "vitest"
import { addressIn, parseSubnet } from "../../src/addressing/subnet.ts"

const subnet = (text: string): address.Prefix => {
  const parsed = parseSubnet(text)
  if (parsed === undefined) throw new Error(text)
  return parsed
}

describe("parseSubnet()", () => {
  it.each(["192.168.64.0/24", "0.0.0.0/0", "10.0.0.1/32", "fd00:1:2::/64", "::/0", "172.16.0.0/12"])(
    "takes %s",
    (text) => {
      expect(address.formatPrefix(subnet(text))).toBe(text)
    },
  )
  it.each(["192.168.64.1/24", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "fd00::1/64", "x/8", "fd00::/129"])(
    "does not take %s",
    (text) => {
      expect(parseSubnet(text)).toBeUndefined()
    },
  )
})

it("addressIn() counts from the first, and back from the last, and not beyond them", () => {
  const block = subnet("192.168.64.0/23")
  const at = (index: number): string => address.format(addressIn(block, index))
  expect([0, 1, 256, -1, -2].map(at)).toEqual([
    "192.168.64.0",
    "192.168.64.1",
    "192.168.65.0",
    "192.168.65.255",
    "192.168.65.254",
  ])
  expect(address.format(addressIn(subnet("fd00::/64"), -1))).toBe("fd00::ffff:ffff:ffff:ffff")
  expect(() => at(512)).toThrow("no address 512")
})
