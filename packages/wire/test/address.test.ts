import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as address from "../src/address.ts"
import * as mac from "../src/mac.ts"
import { toHex } from "./hex.ts"

function of(text: string): Uint8Array {
  const bytes = address.parse(text)
  if (typeof bytes === "string") throw new Error(`${bytes}: ${text}`)
  return bytes
}

function prefix(text: string): address.Prefix {
  const parsed = address.parsePrefix(text)
  if (typeof parsed === "string") throw new Error(`${parsed}: ${text}`)
  return parsed
}

const addresses = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
)

describe("parse()", () => {
  it("reads both families", () => {
    expect(toHex(of("192.168.64.1"))).toBe("c0a84001")
    expect(toHex(of("fd00::1"))).toBe("fd000000000000000000000000000001")
    expect(toHex(of("::ffff:10.0.0.1"))).toBe("00000000000000000000ffff0a000001")
  })

  it("says bad-address", () => {
    const wrong = [
      "",
      "1.2.3",
      "1.2.3.256",
      "010.0.0.1",
      "0x7f.0.0.1",
      "127.1",
      "fe80::1%eth0",
      ":::",
      "1::2::3",
      "[::1]",
    ]
    for (const text of wrong) expect(address.parse(text)).toBe("bad-address")
  })

  it("gives back what format() wrote, and takes any text", () => {
    fc.assert(
      fc.property(addresses, (bytes) => {
        expect(of(address.format(bytes))).toEqual(bytes)
      }),
    )
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.ipV4Extended(), fc.ipV6()), (text) => {
        const bytes = address.parse(text)
        if (typeof bytes !== "string") expect([4, 16]).toContain(bytes.length)
      }),
    )
  })
})

describe("format()", () => {
  it("writes IPv6 as RFC 5952, section 4 wants it", () => {
    expect(address.format(of("2001:0DB8:0:0:1:0:0:1"))).toBe("2001:db8::1:0:0:1")
    expect(address.format(of("2001:db8:0:1:1:1:1:1"))).toBe("2001:db8:0:1:1:1:1:1")
  })
})

describe("prefixes", () => {
  it("are read, and bits after them cleared", () => {
    expect(address.formatPrefix(prefix("192.168.64.77/24"))).toBe("192.168.64.0/24")
    expect(address.formatPrefix(prefix("fd00:1:2:3:4::/64"))).toBe("fd00:1:2:3::/64")
    expect(address.formatPrefix(prefix("10.255.0.0/9"))).toBe("10.128.0.0/9")
    expect(address.formatPrefix(prefix("0.0.0.0/0"))).toBe("0.0.0.0/0")
  })

  it("that are none say bad-prefix", () => {
    for (const text of [
      "",
      "10.0.0.0",
      "10.0.0.0/33",
      "fd00::/129",
      "10.0.0.0/08",
      "10.0.0.0/-1",
      "10.0.0.0/8/8",
    ]) {
      expect(address.parsePrefix(text)).toBe("bad-prefix")
    }
  })

  it("contain what begins with them", () => {
    const net = prefix("192.168.64.0/23")
    expect(
      ["192.168.63.255", "192.168.64.0", "192.168.65.255", "192.168.66.0"].map((text) =>
        address.contains(net, of(text)),
      ),
    ).toEqual([false, true, true, false])
    expect(address.contains(prefix("0.0.0.0/0"), of("::1"))).toBe(false)
    expect(address.contains(prefix("::/0"), of("::1"))).toBe(true)
    expect(address.contains(net, Uint8Array.from([9, 9, 192, 168, 65, 1]), 2, 4)).toBe(true)
  })

  it("overlap whichever is the larger", () => {
    const [small, large, other] = [prefix("10.1.0.0/16"), prefix("10.0.0.0/8"), prefix("11.0.0.0/8")]
    expect(address.overlaps(small, large)).toBe(true)
    expect(address.overlaps(large, small)).toBe(true)
    expect(address.overlaps(small, other)).toBe(false)
    expect(address.overlaps(small, prefix("::/0"))).toBe(false)
  })

  it("count their addresses from both ends", () => {
    const net = prefix("192.168.64.0/24")
    const text = (index: number) => {
      const found = address.nth(net, index)
      return found === undefined ? undefined : address.format(found)
    }
    expect([0, 1, 255, 256, -1, -256, -257].map(text)).toEqual([
      "192.168.64.0",
      "192.168.64.1",
      "192.168.64.255",
      undefined,
      "192.168.64.255",
      "192.168.64.0",
      undefined,
    ])
    expect(address.format(address.nth(prefix("fd00::/64"), -1) ?? of("::"))).toBe("fd00::ffff:ffff:ffff:ffff")
    expect(address.indexIn(net, of("192.168.64.77"))).toBe(77n)
  })

  it("have masks and a broadcast address", () => {
    expect(address.format(address.maskOf(22, 4))).toBe("255.255.252.0")
    expect(address.format(address.broadcastOf(prefix("10.0.0.0/30")) ?? of("::"))).toBe("10.0.0.3")
    expect(address.broadcastOf(prefix("10.0.0.0/31"))).toBeUndefined()
    expect(address.broadcastOf(prefix("fd00::/64"))).toBeUndefined()
  })

  it("hold every address they were made of", () => {
    fc.assert(
      fc.property(addresses, fc.nat(128), (bytes, bits) => {
        const length = bits % (bytes.length * 8 + 1)
        const net = address.prefixOf(bytes, length)
        expect(address.contains(net, bytes)).toBe(true)
        expect(prefix(address.formatPrefix(net))).toEqual(net)
      }),
    )
  })
})

describe("the kinds of address", () => {
  const kinds = (text: string) => {
    const bytes = of(text)
    const tests = { ...address }
    return [
      tests.isUnspecified(bytes, 0, bytes.length) && "unspecified",
      tests.isLoopback(bytes, 0, bytes.length) && "loopback",
      tests.isMulticast(bytes, 0, bytes.length) && "multicast",
      tests.isLinkLocal(bytes, 0, bytes.length) && "link-local",
      tests.isLimitedBroadcast(bytes, 0, bytes.length) && "broadcast",
    ].filter((kind) => kind !== false)
  }

  it.each([
    ["0.0.0.0", ["unspecified"]],
    ["::", ["unspecified"]],
    ["127.255.0.1", ["loopback"]],
    ["::1", ["loopback"]],
    ["::2", []],
    ["224.0.0.1", ["multicast"]],
    ["239.255.255.255", ["multicast"]],
    ["240.0.0.1", []],
    ["ff02::1", ["multicast"]],
    ["169.254.1.1", ["link-local"]],
    ["fe80::1", ["link-local"]],
    ["febf::1", ["link-local"]],
    ["fec0::1", []],
    ["255.255.255.255", ["broadcast"]],
    ["255.255.255.254", []],
  ])("%s: %j", (text, expected) => {
    expect(kinds(text)).toEqual(expected)
  })
})

describe("derived addresses", () => {
  it("come from others", () => {
    expect(address.format(address.unmapped(of("::ffff:10.0.0.1")) ?? of("::"))).toBe("10.0.0.1")
    expect(address.unmapped(of("::fffe:10.0.0.1"))).toBeUndefined()
    expect(address.format(address.solicitedNode(of("fd00::1:2:3"), 0))).toBe("ff02::1:ff02:3")
    const station = mac.parse("5a:94:ef:e4:0c:dd")
    if (typeof station === "string") throw new Error(station)
    expect(address.format(address.linkLocalOf(station))).toBe("fe80::5894:efff:fee4:cdd")
  })
})
