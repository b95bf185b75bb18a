import { SidecarError } from "@skep/contract"
import { describe, expect, it } from "vitest"
import { parseZone } from "../../../src/dns/names/zone.ts"
import { Zones } from "../../../src/dns/names/zones.ts"
import { Resolver } from "../../../src/dns/resolver.ts"
import { addressesOf, OWN, query, read } from "../rig.ts"

function resolverWith(...inputs: readonly unknown[]): Resolver {
  const resolver = new Resolver({
    own: () => OWN,
    hosts: () => ({ byName: new Map(), byAddress: new Map() }),
  })
  for (const input of inputs) resolver.zones.add(parseZone(input))
  return resolver
}

async function ask(resolver: Resolver, name: string, type = "A"): Promise<string> {
  const answer = await resolver.answer(query(name, type), { transport: "udp", now: 0, machine: "web" })
  const { rcode } = read(answer)
  return [rcode, ...addressesOf(answer)].join(" ")
}

describe("a zone that was added", () => {
  it("answers its records and nothing else", async () => {
    const resolver = resolverWith({ Name: "x.internal.", Records: [{ Name: "db", IP: "10.0.0.9" }] })
    expect(await ask(resolver, "DB.x.internal")).toBe("NOERROR 10.0.0.9")
    expect(await ask(resolver, "db.x.internal", "AAAA")).toBe("NOERROR")
    expect(await ask(resolver, "db.x.internal", "TXT")).toBe("NOERROR")
    expect(await ask(resolver, "x.internal")).toBe("NOERROR")
    expect(await ask(resolver, "web.x.internal")).toBe("NXDOMAIN")
    expect(await ask(resolver, "deep.db.x.internal")).toBe("NXDOMAIN")
    expect(await ask(resolver, "yx.internal")).toBe("REFUSED")
  })

  it("has a default address, and patterns", async () => {
    const records = [
      { Regexp: "^web-\\d+$", IP: "10.0.0.7" },
      { Name: "db", IP: "fd00::9" },
    ]
    const resolver = resolverWith({ Name: "apps", Records: records, DefaultIP: "10.0.0.1" })
    expect(await ask(resolver, "web-12.apps")).toBe("NOERROR 10.0.0.7")
    expect(await ask(resolver, "db.apps", "AAAA")).toBe("NOERROR fd00::9")
    expect(await ask(resolver, "any.thing.apps")).toBe("NOERROR 10.0.0.1")
    expect(await ask(resolver, "\u0001.apps")).toBe("NOERROR 10.0.0.1")
  })

  it("grows: what was added last wins", async () => {
    const resolver = resolverWith(
      {
        Name: "x.internal.",
        Records: [
          { Name: "a", IP: "10.0.0.1" },
          { Name: "b", IP: "10.0.0.2" },
        ],
      },
      { Name: "x.internal.", Records: [{ Name: "a", IP: "10.0.0.3" }], DefaultIP: "10.0.0.4" },
    )
    expect(await ask(resolver, "a.x.internal")).toBe("NOERROR 10.0.0.3")
    expect(await ask(resolver, "b.x.internal")).toBe("NOERROR 10.0.0.2")
    expect(await ask(resolver, "c.x.internal")).toBe("NOERROR 10.0.0.4")
    expect(resolver.zones.all()).toEqual([
      {
        Name: "x.internal.",
        Records: [
          { Name: "a", IP: "10.0.0.3", Regexp: null },
          { Name: "a", IP: "10.0.0.1", Regexp: null },
          { Name: "b", IP: "10.0.0.2", Regexp: null },
        ],
        DefaultIP: "10.0.0.4",
      },
    ])
  })

  it("the longest zone wins, and a default does not take names of our own", async () => {
    const resolver = resolverWith(
      { Name: "internal", DefaultIP: "10.0.0.1" },
      { Name: "x.internal", DefaultIP: "10.0.0.2" },
      { Name: "docker.internal", Records: [{ Name: "extra", IP: "10.0.0.3" }], DefaultIP: "10.0.0.4" },
    )
    expect(await ask(resolver, "a.internal")).toBe("NOERROR 10.0.0.1")
    expect(await ask(resolver, "a.x.internal")).toBe("NOERROR 10.0.0.2")
    expect(await ask(resolver, "extra.docker.internal")).toBe("NOERROR 10.0.0.3")
    expect(await ask(resolver, "host.docker.internal")).toBe("NOERROR 192.168.64.254")
    expect(await ask(resolver, "other.docker.internal")).toBe("NOERROR 10.0.0.4")
  })
})

describe("a zone that was removed", () => {
  it("answers nothing more, whatever case and dot its name was told with, and may come anew", async () => {
    const both = { Name: "X.internal.", Records: [{ Name: "a", IP: "10.0.0.1" }], DefaultIP: "10.0.0.2" }
    const resolver = resolverWith(both, { ...both, Name: "y.internal" })
    expect(await ask(resolver, "a.x.internal")).toBe("NOERROR 10.0.0.1")
    expect(resolver.zones.remove("x.Internal")).toBe(true)
    expect(resolver.zones.remove("x.internal.")).toBe(false)
    expect(await ask(resolver, "a.x.internal")).toBe("REFUSED")
    expect(await ask(resolver, "a.y.internal")).toBe("NOERROR 10.0.0.1")
    expect(resolver.zones.all().map(({ Name }) => Name)).toEqual(["y.internal."])
    resolver.zones.add(parseZone({ Name: "x.internal", Records: [{ Name: "b", IP: "10.0.0.3" }] }))
    expect(await ask(resolver, "a.x.internal")).toBe("NXDOMAIN")
    expect(await ask(resolver, "b.x.internal")).toBe("NOERROR 10.0.0.3")
  })
})

describe("parseZone()", () => {
  it.each([
    ["nothing", undefined, /zone/],
    ["no name", { Name: "" }, /domain name/],
    ["a name that is none", { Name: "a b" }, /domain name/],
    [
      "a record without an address",
      { Name: "x", Records: [{ Name: "a", IP: "10.0.0" }] },
      /"10.0.0" is no IP/,
    ],
    ["a record without a name", { Name: "x", Records: [{ IP: "10.0.0.1" }] }, /"" is no name/],
    ["a default that is no address", { Name: "x", DefaultIP: "x" }, /no IP/],
    [
      "a pattern that cannot be used",
      { Name: "x", Records: [{ Regexp: "(", IP: "10.0.0.1" }] },
      /pattern "\("/,
    ],
    ["too many records", { Name: "x", Records: Array(5000).fill({ Name: "a", IP: "10.0.0.1" }) }, /./],
  ])("refuses %s", (_, input, reason) => {
    try {
      parseZone(input)
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(SidecarError)
      expect(error).toMatchObject({ code: "bad-options", message: expect.stringMatching(reason) })
    }
  })

  it("bounds what all of them hold", () => {
    const zones = new Zones()
    for (let index = 0; index < 256; index++) zones.add(parseZone({ Name: `z${index}` }))
    expect(() => zones.add(parseZone({ Name: "one-more" }))).toThrow(/too many/)
    zones.add(parseZone({ Name: "z1", DefaultIP: "10.0.0.1" }))
    const many = {
      Name: "z2",
      Records: Array.from({ length: 4096 }, (_, n) => ({ Name: `r${n}`, IP: "10.0.0.1" })),
    }
    zones.add(parseZone(many))
    expect(() => zones.add(parseZone({ Name: "z3", Records: [{ Name: "a", IP: "10.0.0.1" }] }))).toThrow(
      /too many/,
    )
    expect(zones.all()).toHaveLength(256)
  })
})
