import { SidecarError } from "@skep/contract"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { controlSocketOf, dnsSocketOf, ownPaths, parseNetworkOptions } from "../src/options.ts"

const MINIMAL = { directory: "/run/net" }
const WEB = { kind: "qemu", machine: "web", socket: "/run/web.sock" }

describe("parseNetworkOptions()", () => {
  it("needs a directory, and fills in the rest", () => {
    const options = parseNetworkOptions(MINIMAL)
    expect(options).toEqual({
      directory: "/run/net",
      name: "default",
      subnet: "192.168.64.0/24",
      mtu: 1500,
      domain: "skep.internal",
      links: [],
      reservations: [],
      policy: { mode: "open", closedPorts: [] },
      forwards: [],
      dns: { servers: [], zones: [], search: [] },
      leaseFile: "/run/net/leases.json",
      portSocket: "/run/net/port.sock",
      lonelyMs: 0,
      busyPollUs: 100,
      limits: { maxFlows: 16_384, maxFlowsPerMachine: 8192, maxHeldBytes: 64 << 20 },
    })
    expect(ownPaths(options)).toEqual(["/run/net/port.sock"])
    expect(controlSocketOf(options)).toBe("/run/net/control.sock")
    expect(dnsSocketOf(options)).toBe("/run/net/dns.sock")
  })

  it("takes the words of a command line", () => {
    const options = parseNetworkOptions({
      ...MINIMAL,
      vhostUser: ["web=/run/web.sock"],
      qemu: ["db=/run/db.sock"],
      tap: ["tap0", "box=tap1@/run/netns/box", "tap2@4711"],
      mac: ["web=02-00-5E-10-00-01"],
      reserve: ["db=192.168.64.9", "02:00:5e:10:00:02=192.168.64.10", "id:01AABB=192.168.64.11"],
      forward: ["web=8080:80", "8000-8001:9000-9001/udp"],
      policy: "loopback",
      closedPort: ["22", "8000-8999"],
      dnsServer: ["192.0.2.53"],
      dnsRecord: ["api.example.test=192.168.64.9", "plain=192.168.64.9"],
      search: ["example.test"],
      capture: "/tmp/all.pcapng",
    })
    expect(options.links).toEqual([
      { kind: "vhost-user", machine: "web", socket: "/run/web.sock", mac: "02:00:5e:10:00:01" },
      { kind: "qemu", machine: "db", socket: "/run/db.sock" },
      { kind: "tap", machine: "tap0", interface: "tap0" },
      { kind: "tap", machine: "box", interface: "tap1", netns: "/run/netns/box" },
      { kind: "tap", machine: "tap2", interface: "tap2", netns: 4711 },
    ])
    expect(options.reservations).toEqual([
      { machine: "db", address: "192.168.64.9" },
      { mac: "02:00:5e:10:00:02", address: "192.168.64.10" },
      { clientId: "01aabb", address: "192.168.64.11" },
    ])
    expect(options.forwards.map(({ hostPort, transport }) => `${hostPort}/${transport}`)).toEqual([
      "8080/tcp",
      "8000/udp",
      "8001/udp",
    ])
    expect(options.policy).toEqual({
      mode: "loopback",
      closedPorts: [
        [22, 22],
        [8000, 8999],
      ],
    })
    expect(options.dns).toEqual({
      servers: ["192.0.2.53"],
      zones: [
        {
          Name: "example.test.",
          Records: [{ Name: "api", IP: "192.168.64.9", Regexp: null }],
          DefaultIP: "",
        },
        { Name: "plain.", Records: [], DefaultIP: "192.168.64.9" },
      ],
      search: ["example.test"],
    })
    expect(options.capture).toEqual({ path: "/tmp/all.pcapng", maxBytes: 256 << 20, snapLength: 1 << 18 })
  })

  it("adds words to what a file says", () => {
    const options = parseNetworkOptions({
      ...MINIMAL,
      links: [WEB],
      qemu: ["db=/run/db.sock"],
      policy: { mode: "open", closedPorts: [[1, 2]] },
      closedPort: ["3"],
      dns: { search: ["a.test"] },
      search: ["b.test"],
    })
    expect(options.links.map(({ machine }) => machine)).toEqual(["web", "db"])
    expect(options.policy.closedPorts).toEqual([
      [1, 2],
      [3, 3],
    ])
    expect(options.dns.search).toEqual(["a.test", "b.test"])
  })

  it("reads its own result as the same options", () => {
    const options = parseNetworkOptions({
      ...MINIMAL,
      qemu: ["web=/run/web.sock"],
      forward: ["8080:80"],
      closedPort: ["22"],
      reserve: ["web=192.168.64.9"],
      dnsRecord: ["a.b=192.168.64.9"],
      capture: "/tmp/x",
      subnet6: "fd00::/64",
    })
    expect(parseNetworkOptions(JSON.parse(JSON.stringify(options)))).toEqual(options)
  })

  it.each([
    [null, "the options: it is null"],
    [{}, '"directory" of the options: it is missing'],
    [{ directory: "net" }, "must be an absolute path"],
    [{ ...MINIMAL, more: 1 }, "more"],
    [{ ...MINIMAL, name: "A" }, "\"name\" of the options: it is 'A'"],
    [{ ...MINIMAL, subnet: "10.0.0.1/24" }, "is no block"],
    [{ ...MINIMAL, subnet: "fd00::/64" }, "is no block"],
    [{ ...MINIMAL, subnet: "10.0.0.0/8" }, "is not from /16 to /30"],
    [{ ...MINIMAL, subnet: "10.0.0.0/31" }, "is not from /16 to /30"],
    [{ ...MINIMAL, subnet: "127.0.0.0/24" }, "127.0.0.0/8 is no network's"],
    [{ ...MINIMAL, subnet: "169.254.1.0/24" }, "is no network's"],
    [{ ...MINIMAL, subnet: "239.1.2.0/24" }, "is no network's"],
    [{ ...MINIMAL, subnet6: "fd00::/48" }, "is no /64"],
    [{ ...MINIMAL, subnet6: "192.168.0.0/24" }, "is no /64"],
    [{ ...MINIMAL, subnet6: "fe80::/64" }, "is no network's"],
    [{ ...MINIMAL, mtu: 1279 }, '"mtu" of the options: it is 1279'],
    [{ ...MINIMAL, mtu: 65_521 }, "mtu"],
    [{ ...MINIMAL, policy: "closed" }, "\"policy\" of the options: it is 'closed'"],
    [{ ...MINIMAL, closedPort: ["9-1"] }, "ends before it begins"],
    [{ ...MINIMAL, closedPort: ["x"] }, "they are not PORT or FIRST-LAST"],
    [{ ...MINIMAL, closedPort: ["65536"] }, "closedPorts"],
    [{ ...MINIMAL, links: [{ ...WEB, kind: "bridge" }] }, "links.0"],
    [{ ...MINIMAL, links: [{ ...WEB, machine: "gateway" }] }, "is the gateway's own name"],
    [{ ...MINIMAL, links: [{ ...WEB, machine: "a.b" }] }, "must be one label of DNS"],
    [{ ...MINIMAL, links: [{ ...WEB, mac: "01:00:5e:00:00:01" }] }, "is no MAC address of one station"],
    [{ ...MINIMAL, reservations: [{ machine: "web", address: "10.0.0.9" }] }, "it is not in 192.168.64.0/24"],
    [
      { ...MINIMAL, links: [WEB, { ...WEB, socket: "/run/other.sock" }] },
      'machines of the options: "web" is there twice',
    ],
    [{ ...MINIMAL, links: [WEB, { ...WEB, machine: "db" }] }, '"/run/web.sock" is there twice'],
    [{ ...MINIMAL, links: [{ ...WEB, socket: "/run/net/port.sock" }] }, "is there twice"],
    [
      { ...MINIMAL, links: [{ kind: "tap", machine: "a", interface: "sixteen-letters-" }] },
      "no name of an interface",
    ],
    [{ ...MINIMAL, tap: ["a=ääääääää"] }, "no name of an interface"],
    [{ ...MINIMAL, tap: ["a=.."] }, "no name of an interface"],
    [{ ...MINIMAL, qemu: ["/run/web.sock"] }, "it is not NAME=SOCKET"],
    [{ ...MINIMAL, mac: ["web=02:00:5e:10:00:01"] }, "there is no such link"],
    [{ ...MINIMAL, reserve: ["web"] }, "it is not NAME=VALUE"],
    [{ ...MINIMAL, reserve: ["web=192.168.64.1"] }, "the gateway's or the host's own"],
    [{ ...MINIMAL, reserve: ["web=192.168.64.254"] }, "the gateway's or the host's own"],
    [{ ...MINIMAL, reserve: ["web=fd00::1"] }, "it is not in 192.168.64.0/24"],
    [
      { ...MINIMAL, reservations: [{ machine: "a", mac: "02:00:5e:10:00:01", address: "192.168.64.2" }] },
      "needs one of",
    ],
    [{ ...MINIMAL, reserve: ["id:xyz=192.168.64.2"] }, "is not hexadecimal"],
    [{ ...MINIMAL, forward: ["80"] }, "it is not [MACHINE=]"],
    [{ ...MINIMAL, forwards: [{ transport: "tcp" }] }, "Cannot read the forward"],
    [{ ...MINIMAL, domain: "-x" }, "is no domain"],
    [{ ...MINIMAL, capture: "x.pcapng" }, "capture.path"],
    [{ ...MINIMAL, driver: "dpdk" }, "driver"],
    [{ ...MINIMAL, lonelyMs: -1 }, "lonelyMs"],
    [{ ...MINIMAL, busyPollUs: 5000 }, "busyPollUs"],
  ])("refuses %o", (input, reason) => {
    const error = thrownBy(() => parseNetworkOptions(input))
    expect(error.code).toBe("bad-options")
    expect(error.message).toContain(reason)
  })

  it("refuses sockets that could not be bound", () => {
    const long = `/${"x".repeat(110)}`
    for (const input of [
      { directory: long },
      { ...MINIMAL, portSocket: long },
      { ...MINIMAL, qemu: [`a=${long}`] },
    ])
      expect(thrownBy(() => parseNetworkOptions(input))).toMatchObject({
        code: "path-too-long",
        next: "Choose a directory with a shorter path",
      })
  })

  it("throws nothing else, whatever it is given", () => {
    const keys = [
      "links",
      "qemu",
      "tap",
      "mac",
      "reserve",
      "forward",
      "policy",
      "dns",
      "capture",
      "subnet",
      "forwards",
    ]
    fc.assert(
      fc.property(fc.anything(), fc.constantFrom(...keys), fc.string(), (some, key, text) => {
        for (const input of [
          some,
          { ...MINIMAL, [key]: some },
          { ...MINIMAL, [key]: [text] },
          { ...MINIMAL, [key]: text },
        ]) {
          try {
            parseNetworkOptions(input)
          } catch (error) {
            expect(error).toBeInstanceOf(SidecarError)
          }
        }
      }),
    )
  })
})

function thrownBy(run: () => unknown): SidecarError {
  try {
    run()
  } catch (error) {
    if (error instanceof SidecarError) return error
    throw error
  }
  throw new Error("not refused")
}
