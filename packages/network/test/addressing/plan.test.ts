import { describe, expect, it } from "vitest"
import { canonicalMac } from "../../src/addressing/address.ts"
import { makePlan, type NetworkPlan } from "../../src/addressing/plan.ts"
import { parseSubnet } from "../../src/addressing/subnet.ts"

function plan(subnet: string, identity = "a", subnet6?: string): NetworkPlan {
  const parsed = parseSubnet(subnet)
  const parsed6 = subnet6 === undefined ? undefined : parseSubnet(subnet6)
  if (parsed === undefined) throw new Error(subnet)
  return makePlan({
    subnet: parsed,
    identity,
    mtu: 1500,
    domain: "skep.internal",
    ...(parsed6 === undefined ? {} : { subnet6: parsed6 }),
  })
}

describe("makePlan()", () => {
  it("gives the first address to the gateway, and the last to the host", () => {
    expect(plan("192.168.64.0/24", "a", "fd00:1:2:3::/64")).toMatchObject({
      gateway: "192.168.64.1",
      host: "192.168.64.254",
      subnet6: "fd00:1:2:3::/64",
      gateway6: "fd00:1:2:3::1",
      host6: "fd00:1:2:3::fe",
    })
    expect(plan("10.0.0.0/16").host).toBe("10.0.255.254")
  })
  it("leaves the only other address of a /30 to a machine", () => {
    expect(plan("10.0.0.4/30")).toMatchObject({ gateway: "10.0.0.5", host: "10.0.0.5" })
    expect(plan("10.0.0.8/29")).toMatchObject({ gateway: "10.0.0.9", host: "10.0.0.14" })
  })
  it("derives the IPv6 prefix and the MAC address from the identity, always the same", () => {
    const one = plan("192.168.64.0/24", "host-a default")
    const other = plan("192.168.64.0/24", "host-b default")
    expect(plan("10.0.0.0/24", "host-a default")).toMatchObject({
      subnet6: one.subnet6,
      gatewayMac: one.gatewayMac,
    })
    expect(one.subnet6).toMatch(/^fd[0-9a-f:]+::\/64$/)
    expect(one.gatewayMac.startsWith("02:")).toBe(true)
    expect(canonicalMac(one.gatewayMac)).toBe(one.gatewayMac)
    expect(other.subnet6).not.toBe(one.subnet6)
    expect(other.gatewayMac).not.toBe(one.gatewayMac)
  })
})
