import { parse } from "@skep/wire/address"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { makePlan } from "../../src/addressing/plan.ts"
import { parseSubnet } from "../../src/addressing/subnet.ts"
import {
  compilePolicy,
  decide,
  ICMP,
  ICMP6,
  type Policy,
  REFUSALS,
  TCP,
  UDP,
  type Verdict,
} from "../../src/policy/policy.ts"
import type { PolicyMode, PortRange } from "../../src/policy/policy-spec.ts"

const PLAN = makePlan({
  subnet: parseSubnet("192.168.64.0/24") ?? { address: new Uint8Array(4), length: 0 },
  subnet6: parseSubnet("fd00:1:2:3::/64") ?? { address: new Uint8Array(16), length: 0 },
  identity: "test",
  mtu: 1500,
  domain: "skep.internal",
})

const policy = (mode: PolicyMode, closedPorts: readonly PortRange[] = []): Policy =>
  compilePolicy({ mode, closedPorts }, PLAN)

/** With bytes around the address, as in a packet. */
function ask(compiled: Policy, destination: string, port = 80, protocol = TCP): Verdict {
  const parsed = parse(destination)
  const address = typeof parsed === "string" ? new Uint8Array() : parsed
  const bytes = Uint8Array.of(255, 255, 255, ...address, 255, 255)
  return decide(address.length === 4 ? compiled.four : compiled.six, protocol, bytes, 3, port)
}

describe("decide()", () => {
  it.each<[destination: string, nothing: Verdict, loopback: Verdict, open: Verdict]>([
    ["192.168.64.1", "policy", "host", "host"],
    ["192.168.64.254", "policy", "host", "host"],
    ["fd00:1:2:3::1", "policy", "host", "host"],
    ["fd00:1:2:3::fe", "policy", "host", "host"],
    ["192.168.64.7", "own-network", "own-network", "own-network"],
    ["192.168.64.0", "own-network", "own-network", "own-network"],
    ["fd00:1:2:3::7", "own-network", "own-network", "own-network"],
    ["192.168.64.255", "broadcast", "broadcast", "broadcast"],
    ["255.255.255.255", "broadcast", "broadcast", "broadcast"],
    ["127.0.0.1", "loopback", "loopback", "loopback"],
    ["127.255.0.9", "loopback", "loopback", "loopback"],
    ["::1", "loopback", "loopback", "loopback"],
    ["0.0.0.0", "unspecified", "unspecified", "unspecified"],
    ["0.1.2.3", "unspecified", "unspecified", "unspecified"],
    ["::", "unspecified", "unspecified", "unspecified"],
    ["::ffff:127.0.0.1", "embedded", "embedded", "embedded"],
    ["::ffff:8.8.8.8", "embedded", "embedded", "embedded"],
    ["::127.0.0.1", "embedded", "embedded", "embedded"],
    ["169.254.169.254", "link-local", "link-local", "link-local"],
    ["fe80::1", "link-local", "link-local", "link-local"],
    ["febf::1", "link-local", "link-local", "link-local"],
    ["224.0.0.251", "multicast", "multicast", "multicast"],
    ["ff02::fb", "multicast", "multicast", "multicast"],
    ["240.0.0.1", "reserved", "reserved", "reserved"],
    ["93.184.216.34", "policy", "policy", "out"],
    ["192.168.65.1", "policy", "policy", "out"],
    ["10.0.0.1", "policy", "policy", "out"],
    ["2001:db8::1", "policy", "policy", "out"],
    ["fd00:1:2:4::1", "policy", "policy", "out"],
  ])("%s: nothing %s, loopback %s, open %s", (destination, nothing, loopback, open) => {
    expect(ask(policy("nothing"), destination)).toBe(nothing)
    expect(ask(policy("loopback"), destination)).toBe(loopback)
    expect(ask(policy("open"), destination)).toBe(open)
  })

  it("lets out TCP, UDP and echoes, and nothing else", () => {
    for (const protocol of [TCP, UDP, ICMP, ICMP6])
      expect(ask(policy("open"), "10.0.0.1", 0, protocol)).toBe("out")
    for (const protocol of [0, 2, 47, 50, 132, 255])
      expect(ask(policy("open"), "10.0.0.1", 0, protocol)).toBe("protocol")
  })

  it("keeps closed ports of the host closed, and no ports of others", () => {
    const closed = policy("open", [
      [22, 22],
      [8000, 8999],
      [65_535, 65_535],
    ])
    for (const port of [22, 8000, 8500, 8999, 65_535]) {
      expect(ask(closed, "192.168.64.254", port)).toBe("closed-port")
      expect(ask(closed, "192.168.64.1", port, UDP)).toBe("closed-port")
      expect(ask(closed, "fd00:1:2:3::fe", port)).toBe("closed-port")
      expect(ask(closed, "10.0.0.1", port)).toBe("out")
    }
    for (const port of [21, 23, 7999, 9000, 0, 65_534])
      expect(ask(closed, "192.168.64.254", port)).toBe("host")
    expect(ask(closed, "192.168.64.254", 22, ICMP)).toBe("host")
  })

  it("lets nothing out of this host unless it is open, whatever the address", () => {
    const address = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    )
    const refusals: readonly string[] = REFUSALS
    fc.assert(
      fc.property(address, fc.nat(65_535), fc.nat(255), (bytes, port, protocol) => {
        const of = (mode: PolicyMode): Verdict => {
          const compiled = policy(mode)
          return decide(bytes.length === 4 ? compiled.four : compiled.six, protocol, bytes, 0, port)
        }
        expect(refusals).toContain(of("nothing"))
        expect([...refusals, "host"]).toContain(of("loopback"))
        expect([...refusals, "host", "out"]).toContain(of("open"))
      }),
    )
  })
})
