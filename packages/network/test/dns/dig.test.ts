/**
 * dig as judge, against a resolver whose outside is a name server of the test's own. Everything is on loopback.
 */
import { writeFile } from "node:fs/promises"
import { temporaryDirectory } from "@skep/testkit"
import type { Answer, Packet } from "dns-packet"
import { describe, expect, it } from "vitest"
import { Dns } from "../../src/dns/dns.ts"
import { DIG, dig, door, hasDig, OWN, type Read, records, type Upstream, upstream } from "./rig.ts"

const SOA = {
  mname: "ns.up.test",
  rname: "root.up.test",
  serial: 9,
  refresh: 1,
  retry: 2,
  expire: 3,
  minimum: 40,
}

const ZONE: Readonly<Record<string, readonly Answer[]>> = {
  "www.up.test A": [
    { type: "CNAME", name: "www.up.test", ttl: 300, data: "real.up.test" },
    { type: "A", name: "real.up.test", ttl: 60, data: "10.9.8.7" },
  ],
  "www.up.test AAAA": [{ type: "AAAA", name: "www.up.test", ttl: 60, data: "fd09::7" }],
  "up.test MX": [
    { type: "MX", name: "up.test", ttl: 50, data: { preference: 10, exchange: "mail.up.test" } },
  ],
  "up.test TXT": [{ type: "TXT", name: "up.test", ttl: 50, data: ["v=spf1 -all", "two"] }],
  "up.test NS": [{ type: "NS", name: "up.test", ttl: 50, data: "ns.up.test" }],
  "up.test SOA": [{ type: "SOA", name: "up.test", ttl: 50, data: SOA }],
  "up.test CAA": [
    { type: "CAA", name: "up.test", ttl: 50, data: { flags: 0, tag: "issue", value: "ca.test" } },
  ],
  "_sip._tcp.up.test SRV": [
    {
      type: "SRV",
      name: "_sip._tcp.up.test",
      ttl: 50,
      data: { priority: 1, weight: 2, port: 5060, target: "sip.up.test" },
    },
  ],
  "up.test NAPTR": [
    {
      type: "NAPTR",
      name: "up.test",
      ttl: 50,
      data: {
        order: 1,
        preference: 2,
        flags: "u",
        services: "E2U+sip",
        regexp: "!^.*$!sip:a@b!",
        replacement: ".",
      },
    },
  ],
  "up.test SSHFP": [
    {
      type: "SSHFP",
      name: "up.test",
      ttl: 50,
      data: { algorithm: 4, hash: 2, fingerprint: "ab".repeat(32) },
    },
  ],
  "1.9.9.10.in-addr.arpa PTR": [{ type: "PTR", name: "1.9.9.10.in-addr.arpa", ttl: 50, data: "one.up.test" }],
  "big.up.test TXT": Array.from({ length: 20 }, (_, index) => ({
    type: "TXT" as const,
    name: "big.up.test",
    ttl: 50,
    data: `${index} ${"x".repeat(100)}`,
  })),
}

const TC = 0x0200

function answer({ questions }: Read, transport: "udp" | "tcp"): Packet | Uint8Array {
  const [question] = questions ?? []
  const key = `${question?.name.toLowerCase()} ${question?.type}`
  const answers = ZONE[key]
  // As a real server with a path of 1232 bytes does.
  if (key.startsWith("big.") && transport === "udp") return { flags: TC }
  if (answers !== undefined) return { answers: [...answers], flags: 0x0080 }
  const known = Object.keys(ZONE).some((other) => other.startsWith(`${question?.name} `))
  return { flags: known ? 0 : 3, authorities: [{ type: "SOA", name: "up.test", ttl: 100, data: SOA }] }
}

interface Rig extends AsyncDisposable {
  readonly dns: Dns
  readonly up: Upstream
  readonly door: Upstream
}

async function rig(outside = true): Promise<Rig> {
  const directory = await temporaryDirectory()
  await writeFile(directory.at("hosts"), "10.7.7.7 listed.up.test\n10.7.7.7 www.listed.test alias\n")
  const up = await upstream(answer)
  const dns = new Dns({ own: () => OWN, outside, servers: [up.server], hostsFile: directory.at("hosts") })
  const entrance = await door(dns.resolver)
  return {
    dns,
    up,
    door: entrance,
    [Symbol.asyncDispose]: async () => {
      await entrance[Symbol.asyncDispose]()
      await dns[Symbol.asyncDispose]()
      await up[Symbol.asyncDispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}

if (!hasDig) process.stderr.write(`skipped: dig as judge of the DNS (${DIG} is missing)\n`)

describe.skipIf(!hasDig)("dig", () => {
  it.each([
    ["www.up.test", "A", ["www.up.test. 300 IN CNAME real.up.test.", "real.up.test. 60 IN A 10.9.8.7"]],
    ["www.up.test", "AAAA", ["www.up.test. 60 IN AAAA fd09::7"]],
    ["up.test", "MX", ["up.test. 50 IN MX 10 mail.up.test."]],
    ["up.test", "TXT", ['up.test. 50 IN TXT "v=spf1 -all" "two"']],
    ["up.test", "NS", ["up.test. 50 IN NS ns.up.test."]],
    ["up.test", "SOA", ["up.test. 50 IN SOA ns.up.test. root.up.test. 9 1 2 3 40"]],
    ["up.test", "CAA", ['up.test. 50 IN CAA 0 issue "ca.test"']],
    ["_sip._tcp.up.test", "SRV", ["_sip._tcp.up.test. 50 IN SRV 1 2 5060 sip.up.test."]],
    ["up.test", "NAPTR", ['up.test. 50 IN NAPTR 1 2 "u" "E2U+sip" "!^.*$!sip:a@b!" .']],
    ["up.test", "SSHFP", [`up.test. 50 IN SSHFP 4 2 ${"AB".repeat(28)} ${"AB".repeat(4)}`]],
    ["1.9.9.10.in-addr.arpa", "PTR", ["1.9.9.10.in-addr.arpa. 50 IN PTR one.up.test."]],
    ["nothing.up.test", "A", ["up.test. 100 IN SOA ns.up.test. root.up.test. 9 1 2 3 40"]],
    // The hosts file wins.
    ["listed.up.test", "A", ["listed.up.test. 5 IN A 10.7.7.7"]],
    ["WEB.skep.internal", "AAAA", ["WEB.skep.internal. 5 IN AAAA fd12::2"]],
  ])("is told of %s %s what there is, over UDP and over TCP", async (name, type, expected) => {
    await using here = await rig()
    for (const transport of ["+notcp", "+tcp"]) {
      const printed = await dig(here.door.server, transport, name, type)
      expect(records(printed)).toEqual(expected)
      expect(printed).not.toMatch(/warning|malformed|extra bytes|mismatch/i)
    }
    expect(here.up.asked.length).toBeLessThanOrEqual(1)
  })

  it("tells NXDOMAIN from a name without this type", async () => {
    await using here = await rig()
    expect(await dig(here.door.server, "nothing.up.test")).toContain("status: NXDOMAIN")
    expect(await dig(here.door.server, "www.up.test", "TXT")).toMatch(/status: NOERROR[^]*ANSWER: 0/)
  })

  it("asks again over TCP for what does not fit, with the size that it says", async () => {
    await using here = await rig()
    const cut = await dig(here.door.server, "+ignore", "big.up.test", "TXT")
    expect(cut).toMatch(/flags: qr tc rd ra;/)
    expect(records(cut)).toEqual([])
    const whole = await dig(here.door.server, "big.up.test", "TXT")
    expect(records(whole)).toHaveLength(20)
    expect(here.up.asked).toEqual(["udp big.up.test TXT", "tcp big.up.test TXT"])
    expect(here.dns.resolver.counters).toMatchObject({ cut: 2, cached: 2, udp: 2, tcp: 1 })
  })

  it("sees times to live go down", async () => {
    await using here = await rig()
    await here.dns.answer(Buffer.from("00000100000100000000000002757004746573740000100001", "hex"), {
      transport: "udp",
      now: performance.now() - 7000,
      machine: "web",
    })
    const [txt] = records(await dig(here.door.server, "+noedns", "+noadflag", "up.test", "TXT"))
    expect(Number(/^up\.test\. (\d+) IN TXT/.exec(txt ?? "")?.[1])).toBeLessThanOrEqual(43)
    expect(here.up.asked).toEqual(["udp up.test TXT"])
  })

  it("is refused where nothing may leave, and the name server hears nothing", async () => {
    await using here = await rig(false)
    const printed = await dig(here.door.server, "www.up.test")
    expect(printed).toContain("status: REFUSED")
    expect(printed).toContain("EDE: 15 (Blocked)")
    expect(records(await dig(here.door.server, "listed.up.test"))).toEqual([
      "listed.up.test. 5 IN A 10.7.7.7",
    ])
    expect(here.up.asked).toEqual([])
  })

  it("follows the policy as it changes", async () => {
    await using here = await rig(false)
    here.dns.setOutside(true)
    expect(await dig(here.door.server, "+short", "www.up.test")).toBe("real.up.test.\n10.9.8.7\n")
    here.dns.setOutside(false)
    expect(await dig(here.door.server, "www.up.test")).toContain("status: REFUSED")
    expect(here.up.asked).toEqual(["udp www.up.test A"])
  })

  it("negotiates EDNS, and sees the options that it sent come to nothing", async () => {
    await using here = await rig()
    const printed = await dig(
      here.door.server,
      "+edns=3",
      "+cookie",
      "+padding=64",
      "+dnssec",
      "web.skep.internal",
    )
    expect(printed).toMatch(/status: NOERROR/)
    expect(printed).toMatch(/EDNS: version: 0, flags: do; udp: 1232/)
  })

  it("gets an answer in time from a name server that asks us what we ask it", async () => {
    // What comes back to us is the question that is under way: it waits for itself, until the deadline.
    let entrance: Upstream | undefined
    const loops: Promise<string>[] = []
    await using up = await upstream(() => {
      if (entrance !== undefined && loops.length < 100)
        loops.push(dig(entrance.server, "+noadflag", "loop.test"))
      return undefined
    })
    await using dns = new Dns({ own: () => OWN, outside: true, servers: [up.server], deadlineMs: 400 })
    await using opened = await door(dns.resolver)
    entrance = opened
    expect(await dig(opened.server, "+noadflag", "loop.test")).toContain("status: SERVFAIL")
    expect(await Promise.all(loops)).toEqual([expect.stringContaining("status: SERVFAIL")])
    expect(up.asked).toEqual(["udp loop.test A"])
  })
})
