import { formatPrefix, type Prefix } from "@skep/wire/address"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  describeRoute,
  freeSubnet,
  parseRoutes4,
  parseRoutes6,
  type Route,
  routeInTheWay,
} from "../../src/addressing/routes.ts"
import { parseSubnet } from "../../src/addressing/subnet.ts"

const HEADER = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"
const TABLE_4 = [
  HEADER,
  "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0   ",
  "eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0   ",
  "wg0\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0   ",
  "down0\t0040A8C0\t00000000\t0000\t0\t0\t0\t00FFFFFF\t0\t0\t0   ",
  "*\t0041A8C0\t00000000\t0201\t0\t0\t0\t00FFFFFF\t0\t0\t0   ",
].join("\n")
const TABLE_6 = [
  "fd123456789a00000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 00000001     eth0",
  "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0",
  "00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo",
].join("\n")

const subnet = (text: string): Prefix => {
  const parsed = parseSubnet(text)
  if (parsed === undefined) throw new Error(text)
  return parsed
}
const shown = (routes: readonly Route[]): readonly string[] => routes.map(describeRoute)

describe("parseRoutes4()", () => {
  it("reads what leads somewhere", () => {
    expect(shown(parseRoutes4(TABLE_4))).toEqual([
      "0.0.0.0/0 by eth0",
      "192.168.1.0/24 by eth0",
      "10.0.0.0/8 by wg0",
    ])
  })
  it("reads the words of a big-endian host", () => {
    const line = "eth0\tC0A80100\t00000000\t0001\t0\t0\t0\tFFFFFF00\t0\t0\t0"
    expect(shown(parseRoutes4(line, false))).toEqual(["192.168.1.0/24 by eth0"])
  })
})

describe("parseRoutes6()", () => {
  it("reads what leads somewhere", () => {
    expect(shown(parseRoutes6(TABLE_6))).toEqual(["fd12:3456:789a::/64 by eth0", "::/0 by eth0"])
  })
})

it("both read any text without throwing", () => {
  const line = fc.array(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f]{8}$/), fc.constant("0001")))
  fc.assert(
    fc.property(fc.array(line), fc.constantFrom("\t", " "), (lines, separator) => {
      const text = lines.map((parts) => parts.join(separator)).join("\n")
      for (const { subnet: found } of [...parseRoutes4(text), ...parseRoutes6(text)]) {
        expect(found.length).toBeLessThanOrEqual(found.address.length * 8)
      }
    }),
  )
})

describe("routeInTheWay()", () => {
  const routes = [...parseRoutes4(TABLE_4), ...parseRoutes6(TABLE_6)]
  it("finds the wider and the narrower route, and no default one", () => {
    expect(routeInTheWay(routes, subnet("10.1.2.0/24"))?.interface).toBe("wg0")
    expect(routeInTheWay(routes, subnet("192.168.0.0/16"))?.interface).toBe("eth0")
    expect(routeInTheWay(routes, subnet("fd12:3456:789a::/64"))?.interface).toBe("eth0")
    expect(routeInTheWay(routes, subnet("192.168.64.0/24"))).toBeUndefined()
  })
  it("passes over interfaces of ours", () => {
    expect(routeInTheWay(routes, subnet("10.1.2.0/24"), ["wg0"])).toBeUndefined()
  })
})

describe("freeSubnet()", () => {
  const to = (text: string): Route => ({ subnet: subnet(text), interface: "eth0" })
  it("begins at 192.168.64.0 and goes on from there", () => {
    expect(freeSubnet([])).toBe("192.168.64.0/24")
    expect(freeSubnet([to("192.168.64.0/23")])).toBe("192.168.66.0/24")
    expect(freeSubnet([to("192.168.0.0/16")])).toBe("10.64.64.0/24")
    expect(freeSubnet([to("192.168.0.0/16"), to("10.0.0.0/8")])).toBe("172.16.64.0/24")
  })
  it("says when there is none", () => {
    expect(freeSubnet(["192.168.0.0/16", "10.0.0.0/8", "172.16.0.0/12"].map(to))).toBeUndefined()
  })
  it("is no part of any route", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(192, 10, 172), fc.nat(255), fc.nat(255), fc.nat(16))),
        (parts) => {
          const routes = parts.map(([a, b, c, more]): Route => {
            const bits = 8 + more
            const word = ((a << 24) | (b << 16) | (c << 8)) & (-1 << (32 - bits))
            return {
              interface: "e",
              subnet: { address: Uint8Array.of(word >>> 24, word >>> 16, word >>> 8, word), length: bits },
            }
          })
          const free = freeSubnet(routes)
          if (free !== undefined) expect(routeInTheWay(routes, subnet(free))).toBeUndefined()
          expect(routes.map((route) => formatPrefix(route.subnet))).not.toContain(free)
        },
      ),
    )
  })
})
