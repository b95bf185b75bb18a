import { describe, expect, it } from "vitest"
import { gatewayOf, isForMany, isMachine, isOnLink, owns } from "../../src/ip/gateway.ts"
import { addr, GATEWAY, GATEWAY_MAC, net } from "./guest.ts"

const ask = (question: typeof owns, text: string) => question(GATEWAY, addr(text), 0, addr(text).length)

describe("gatewayOf()", () => {
  it("has all addresses, and the link-local one where there is IPv6", () => {
    expect(GATEWAY.own).toHaveLength(4)
    expect(GATEWAY.own).toContainEqual(addr("fe80::5894:efff:fee4:cdd"))
    const only4 = gatewayOf({
      mac: GATEWAY_MAC,
      ipv4: { prefix: net("10.0.0.0/8"), addresses: [addr("10.0.0.1")] },
    })
    expect(only4.own).toEqual([addr("10.0.0.1")])
  })

  it("throws where an address is not of its network, or there is none", () => {
    const prefix = net("10.0.0.0/8")
    expect(() => gatewayOf({ mac: 1, ipv4: { prefix, addresses: [addr("11.0.0.1")] } })).toThrow("10.0.0.0/8")
    expect(() => gatewayOf({ mac: 1, ipv4: { prefix, addresses: [] } })).toThrow("no address of ours")
  })
})

describe("what an address is", () => {
  it.each([
    ["192.168.64.1", "own on-link"],
    ["192.168.64.254", "own on-link"],
    ["192.168.64.2", "machine on-link"],
    ["192.168.64.0", "on-link many"],
    ["192.168.64.255", "on-link many"],
    ["192.168.65.1", ""],
    ["255.255.255.255", "many"],
    ["224.0.0.251", "many"],
    ["fd00:64::1", "own on-link"],
    ["fe80::5894:efff:fee4:cdd", "own on-link"],
    ["fd00:64::2", "machine on-link"],
    ["fe80::2", "machine on-link"],
    ["fd00:64::", "on-link"],
    ["fd00:65::2", ""],
    ["ff02::1", "many"],
    ["::", ""],
  ])("%s: %s", (text, expected) => {
    const found = [
      ask(owns, text) && "own",
      ask(isMachine, text) && "machine",
      ask(isOnLink, text) && "on-link",
      ask(isForMany, text) && "many",
    ]
    expect(found.filter((each) => each !== false).join(" ")).toBe(expected)
  })

  it("knows no network-wide addresses in a network of two", () => {
    const two = gatewayOf({ mac: 1, ipv4: { prefix: net("10.0.0.0/31"), addresses: [addr("10.0.0.0")] } })
    expect(isMachine(two, addr("10.0.0.1"), 0, 4)).toBe(true)
    expect(isForMany(two, addr("10.0.0.1"), 0, 4)).toBe(false)
  })

  it("knows no network of a family that it has not", () => {
    const only4 = gatewayOf({ mac: 1, ipv4: { prefix: net("10.0.0.0/8"), addresses: [addr("10.0.0.1")] } })
    expect(isOnLink(only4, addr("fe80::1"), 0, 16)).toBe(false)
    expect(isMachine(only4, addr("fe80::1"), 0, 16)).toBe(false)
  })
})
