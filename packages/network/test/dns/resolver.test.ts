import { encode } from "dns-packet"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { Asked } from "../../src/dns/message/query.ts"
import { parseHosts } from "../../src/dns/names/hosts-file.ts"
import type { From, Outside, ResolverOptions } from "../../src/dns/resolver.ts"
import { Resolver } from "../../src/dns/resolver.ts"
import { AA, type Asking, addressesOf, OWN, query, RD, type Read, read, TC } from "./rig.ts"

const HOSTS = parseHosts(
  "10.1.2.3 db.corp db\nfd01::3 db.corp\n192.168.64.9 host.docker.internal\n10.1.2.4 six\n",
)
const FROM: From = { transport: "udp", now: 0, machine: "web" }

/** An outside that answers when told to. */
class Later implements Outside {
  readonly asked: Asked[] = []
  readonly #resolve: ((bytes: Uint8Array | undefined) => void)[] = []
  at = 0

  epoch(): number {
    return this.at
  }

  resolve(asked: Asked): Promise<Uint8Array | undefined> {
    this.asked.push(asked)
    return new Promise((resolve) => this.#resolve.push(resolve))
  }

  /** Answers the oldest question. */
  answer(bytes: Uint8Array | undefined): void {
    this.#resolve.shift()?.(bytes)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve()
  }
}

/** One that answers at once. */
function outside(answer: (asked: Asked) => Uint8Array | undefined): Outside & { readonly asked: Asked[] } {
  const asked: Asked[] = []
  return {
    asked,
    epoch: () => 0,
    resolve: (question) => {
      asked.push(question)
      return Promise.resolve(answer(question))
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

function response(name: string, ttl: number, count = 1, opt = false): Uint8Array {
  const answers = Array.from({ length: count }, (_, index) => ({
    type: "A" as const,
    name,
    ttl,
    data: `10.9.${index >> 8}.${index & 255}`,
  }))
  const additionals = opt
    ? [
        {
          type: "OPT" as const,
          name: ".",
          udpPayloadSize: 4096,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          options: [],
        },
      ]
    : []
  return encode({ type: "response", flags: 0x0180, questions: [{ name, type: "A" }], answers, additionals })
}

function resolver(options: Partial<ResolverOptions> = {}): Resolver {
  return new Resolver({ own: () => OWN, hosts: () => HOSTS, ...options })
}

async function ask(from: Resolver, name: string, type = "A"): Promise<string> {
  const answer = read(await from.answer(query(name, type), FROM))
  return summary(answer)
}

/** The code, and the data that is text. */
function summary({ rcode, answers = [] }: Read): string {
  const data = answers.map((record) =>
    "data" in record && typeof record.data === "string" ? record.data : "",
  )
  return [rcode, ...data.filter((text) => text !== "")].join(" ")
}

describe("names of our own", () => {
  it.each([
    ["web.skep.internal", "A", "NOERROR 192.168.64.2"],
    ["WEB.Skep.Internal", "AAAA", "NOERROR fd12::2"],
    ["db.skep.internal", "A", "NOERROR 192.168.64.3"],
    ["db.skep.internal", "AAAA", "NOERROR"],
    ["db.skep.internal", "MX", "NOERROR"],
    ["other.skep.internal", "A", "NXDOMAIN"],
    ["below.web.skep.internal", "A", "NXDOMAIN"],
    ["skep.internal", "A", "NOERROR"],
    ["skep.internal", "NS", "NOERROR gateway.skep.internal"],
    ["host.skep.internal", "A", "NOERROR 192.168.64.254"],
    ["gateway.skep.internal", "AAAA", "NOERROR fd12::1"],
    ["host.docker.internal", "A", "NOERROR 192.168.64.254"],
    ["gateway.docker.internal", "A", "NOERROR 192.168.64.1"],
    ["host.containers.internal", "A", "NOERROR 192.168.64.254"],
    ["gateway.containers.internal", "A", "NOERROR 192.168.64.1"],
    ["other.docker.internal", "A", "NXDOMAIN"],
    ["2.64.168.192.in-addr.arpa", "PTR", "NOERROR web.skep.internal"],
    ["1.64.168.192.in-addr.arpa", "PTR", "NOERROR gateway.skep.internal"],
    ["254.64.168.192.in-addr.arpa", "PTR", "NOERROR host.skep.internal"],
    [`2.${"0.".repeat(27)}2.1.d.f.ip6.arpa`, "PTR", "NOERROR web.skep.internal"],
    ["77.64.168.192.in-addr.arpa", "PTR", "NXDOMAIN"],
    ["b._dns-sd._udp.0.64.168.192.in-addr.arpa", "PTR", "NXDOMAIN"],
    ["64.168.192.in-addr.arpa", "SOA", "NOERROR"],
    ["localhost", "A", "NOERROR 127.0.0.1"],
    ["any.localhost", "AAAA", "NOERROR ::1"],
    ["1.0.0.127.in-addr.arpa", "PTR", "NOERROR localhost"],
    ["some.invalid", "A", "NXDOMAIN"],
    ["some.onion", "A", "NXDOMAIN"],
    ["_dns.resolver.arpa", "A", "NOERROR"],
  ])("%s %s is %s, and nobody outside hears of it", async (name, type, expected) => {
    const away = outside(() => undefined)
    expect(await ask(resolver({ outside: away }), name, type)).toBe(expected)
    expect(away.asked).toEqual([])
  })

  it("are as the table is at the moment", async () => {
    const machines = [{ name: "one", addresses: ["192.168.64.7"] }]
    const live = resolver({ own: () => ({ ...OWN, machines }) })
    expect(await ask(live, "two.skep.internal")).toBe("NXDOMAIN")
    machines.push({ name: "two", addresses: ["192.168.64.8"] })
    expect(await ask(live, "two.skep.internal")).toBe("NOERROR 192.168.64.8")
  })

  it("cannot be taken by a machine called host or gateway", async () => {
    const machines = [{ name: "gateway", addresses: ["192.168.64.7"] }]
    expect(await ask(resolver({ own: () => ({ ...OWN, machines }) }), "gateway.skep.internal")).toBe(
      "NOERROR 192.168.64.1",
    )
  })

  it("are also below a domain of the user's", async () => {
    const named = resolver({ own: () => ({ ...OWN, domain: "Lab.Example." }) })
    expect(await ask(named, "web.lab.example")).toBe("NOERROR 192.168.64.2")
    expect(await ask(named, "x.lab.example")).toBe("NXDOMAIN")
    expect(await ask(named, "web.skep.internal")).toBe("NOERROR 192.168.64.2")
  })

  it("are authoritative, and what is not there comes with the SOA of its zone", async () => {
    const there = read(await resolver().answer(query("web.skep.internal"), FROM))
    expect((there.flags ?? 0) & AA).toBe(AA)
    const missing = read(await resolver().answer(query("x.skep.internal"), FROM))
    expect(missing.authorities).toMatchObject([
      { type: "SOA", name: "skep.internal", ttl: 5, data: { minimum: 5 } },
    ])
  })
})

describe("the hosts file", () => {
  it.each([
    ["db.corp", "A", "NOERROR 10.1.2.3"],
    ["DB", "A", "NOERROR 10.1.2.3"],
    ["db.corp", "AAAA", "NOERROR fd01::3"],
    ["six", "AAAA", "NOERROR"],
    ["six", "HTTPS", "NOERROR"],
    ["3.2.1.10.in-addr.arpa", "PTR", "NOERROR db.corp"],
    // Ours come first.
    ["host.docker.internal", "A", "NOERROR 192.168.64.254"],
  ])("%s %s is %s, without a word outside", async (name, type, expected) => {
    const away = outside(() => undefined)
    const bytes = Buffer.from(query(name, type === "HTTPS" ? "A" : type))
    if (type === "HTTPS") bytes.writeUInt16BE(65, bytes.length - 4)
    const answer = read(await resolver({ outside: away }).answer(bytes, FROM))
    expect(summary(answer)).toBe(expected)
    expect(away.asked).toEqual([])
  })

  it("knows nothing of other types: those are asked outside", async () => {
    const away = outside(() => undefined)
    await ask(resolver({ outside: away }), "db.corp", "MX")
    expect(away.asked.map(({ question }) => question.type)).toEqual([15])
  })

  it("comes after names that were fixed by the user", async () => {
    const fixed = new Map([["db.corp", ["10.5.5.5"]]])
    expect(await ask(resolver({ fixed }), "db.corp")).toBe("NOERROR 10.5.5.5")
  })
})

describe("policy", () => {
  it("refuses what is not known here where nothing may leave, and says why to those who understand", async () => {
    const refused: string[] = []
    const closed = resolver({ onRefused: (name, machine) => refused.push(`${machine} ${name}`) })
    expect(await ask(closed, "example.com")).toBe("REFUSED")
    const [opt] = read(await closed.answer(query("example.com", "A", { edns: 1232 }), FROM)).additionals ?? []
    expect(opt).toMatchObject({ type: "OPT", options: [{ code: 15, data: Buffer.from([0, 15]) }] })
    expect(refused).toEqual(["web example.com", "web example.com"])
    expect(closed.counters["refused-policy"]).toBe(2)
  })

  it("refuses names one by one", async () => {
    const away = outside((asked) => response(asked.question.name, 60))
    const some = resolver({
      outside: away,
      mayResolve: (name, machine) => machine === "web" && name === "a.b",
    })
    expect(await ask(some, "a.b")).toBe("NOERROR 10.9.0.0")
    expect(await ask(some, "b.b")).toBe("REFUSED")
    expect(read(await some.answer(query("a.b"), { ...FROM, machine: "other" })).rcode).toBe("REFUSED")
    expect(away.asked).toHaveLength(1)
  })

  it("closes at once: nothing is answered from what was heard before", async () => {
    const live = resolver({ outside: outside(() => response("a.b", 60)) })
    expect(await ask(live, "a.b")).toBe("NOERROR 10.9.0.0")
    live.outside = undefined
    expect(await ask(live, "a.b")).toBe("REFUSED")
    expect(live.held).toEqual({ entries: 0, bytes: 0, flights: 0 })
  })
})

describe("the protocol", () => {
  it.each([
    ["a message without a header", Uint8Array.of(1, 2, 3), "too-short"],
    ["an answer", encode({ type: "response", questions: [{ name: "a", type: "A" }] }), "not-a-query"],
  ] as const)("drops %s", async (_, bytes, counter) => {
    const here = resolver()
    expect(await here.answer(bytes, FROM)).toBeUndefined()
    expect(here.counters[counter]).toBe(1)
  })

  it.each([
    ["a name cut short", query("a.b").slice(0, 14), "truncated"],
    ["a message without a question", encode({ type: "query", id: 0x1234, flags: RD }), "no-question"],
    [
      "an answer within a query",
      encode({
        type: "query",
        id: 0x1234,
        flags: RD,
        questions: [{ name: "a", type: "A" }],
        answers: [{ type: "A", name: "a", data: "1.2.3.4" }],
      }),
      "with-answers",
    ],
  ] as const)("answers %s with FORMERR", async (_, bytes, counter) => {
    const here = resolver()
    expect(read(await here.answer(bytes, FROM))).toMatchObject({
      id: 0x1234,
      rcode: "FORMERR",
      questions: [],
    })
    expect(here.counters[counter]).toBe(1)
  })

  it.each([
    ["AXFR", "REFUSED"],
    ["IXFR", "REFUSED"],
    ["TKEY", "FORMERR"],
    ["TSIG", "FORMERR"],
  ])("answers %s with %s", async (type, expected) => {
    expect(await ask(resolver({ outside: outside(() => response("a.b", 1)) }), "a.b", type)).toBe(expected)
  })

  it("answers ANY with something small (RFC 8482), also for names that no text library could write", async () => {
    const packet = read(await resolver().answer(query(`${"\u0001".repeat(60)}.b`, "ANY"), FROM))
    expect(packet).toMatchObject({
      rcode: "NOERROR",
      answers: [{ type: "HINFO", data: { cpu: "RFC8482", os: "" } }],
    })
    expect(packet.answers?.[0]?.name).toBe(`${"\u0001".repeat(60)}.b`)
  })

  it("says that data is authentic only to those who asked (RFC 6840)", async () => {
    const away = outside((asked) => {
      const bytes = Buffer.from(response(asked.question.name, 60))
      bytes[3] = (bytes[3] ?? 0) | 0x20
      return bytes
    })
    const open = resolver({ outside: away })
    const ad = async (asking: Asking): Promise<boolean> =>
      read(await open.answer(query("a.b", "A", asking), FROM)).flag_ad
    expect([await ad({}), await ad({ flags: RD | 0x20 }), await ad({ edns: 1232, dnssec: true })]).toEqual([
      false,
      true,
      true,
    ])
  })

  it("refuses classes that are not the Internet's", async () => {
    const bytes = encode({ type: "query", questions: [{ name: "version.bind", type: "TXT", class: "CH" }] })
    expect(read(await resolver().answer(bytes, FROM)).rcode).toBe("REFUSED")
  })

  it.each([1, 2, 4, 5, 6, 15])("does not implement operation %i", async (opcode) => {
    const bytes = query("web.skep.internal", "A", { flags: opcode << 11 })
    const answer = await resolver().answer(bytes, FROM)
    expect([read(answer).rcode, ((answer?.[2] ?? 0) >> 3) & 15]).toEqual(["NOTIMP", opcode])
  })

  it("answers a later version of EDNS with BADVERS", async () => {
    const packet = read(
      await resolver().answer(query("web.skep.internal", "A", { edns: 4096, version: 1 }), FROM),
    )
    expect(packet).toMatchObject({
      rcode: "NOERROR",
      answers: [],
      additionals: [{ type: "OPT", extendedRcode: 1 }],
    })
  })

  it("has an OPT where the query has one, with DO as it was, and none where it has none", async () => {
    const plain = read(await resolver().answer(query("web.skep.internal"), FROM))
    expect(plain.additionals).toEqual([])
    const edns = read(
      await resolver().answer(query("web.skep.internal", "A", { edns: 512, dnssec: true }), FROM),
    )
    expect(edns.additionals).toMatchObject([
      { type: "OPT", udpPayloadSize: 1232, flag_do: true, ednsVersion: 0 },
    ])
  })

  it("gives the question back as it was written", async () => {
    const bytes = query("wEb.sKeP.internal")
    const answer = await resolver().answer(bytes, FROM)
    expect(Buffer.from(answer ?? []).subarray(12, bytes.length)).toEqual(Buffer.from(bytes).subarray(12))
    const away = outside((asked) => response(asked.question.name, 60))
    const open = resolver({ outside: away })
    await ask(open, "a.b")
    expect(read(await open.answer(query("A.b", "A", { id: 7 }), FROM))).toMatchObject({
      id: 7,
      questions: [{ name: "A.b" }],
      answers: [{ data: "10.9.0.0" }],
    })
    expect(away.asked).toHaveLength(1)
  })

  it.each([
    [undefined, 32, false],
    [undefined, 33, true],
    [100, 33, true],
    [1232, 80, false],
    [1232, 81, true],
    [65_000, 81, true],
  ])("cuts what does not fit into UDP: EDNS %s, %i addresses", async (edns, count, cut) => {
    const away = outside((asked) =>
      encode({
        type: "response",
        questions: [{ name: asked.question.name, type: "A" }],
        answers: addresses(count),
      }),
    )
    const open = resolver({ outside: away })
    const asking = edns === undefined ? {} : { edns }
    const udp = await open.answer(query("a", "A", asking), FROM)
    expect(udp?.length).toBeLessThanOrEqual(Math.min(Math.max(edns ?? 512, 512), 1232))
    expect([read(udp).flag_tc, addressesOf(udp).length]).toEqual([cut, cut ? 0 : count])
    const tcp = await open.answer(query("a", "A", asking), { ...FROM, transport: "tcp" })
    expect(((read(tcp).flags ?? 0) & TC) === 0 && addressesOf(tcp).length).toBe(count)
    expect(away.asked).toHaveLength(1)
  })

  function addresses(count: number): { type: "A"; name: string; ttl: number; data: string }[] {
    return Array.from({ length: count }, (_, index) => ({
      type: "A",
      name: ".",
      ttl: 9,
      data: `10.0.0.${index}`,
    }))
  }

  it("throws for no bytes, and answers each query that can be read with its own id and question", async () => {
    const open = resolver({ outside: outside((asked) => response(asked.question.name, 1)) })
    const valid = query("web.skep.internal", "A", { edns: 1232 })
    const changed = fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 })
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      changed.map((changes) => {
        const bytes = Uint8Array.from(valid)
        for (const [at, value] of changes) bytes[at] = value
        return bytes
      }),
    )
    await fc.assert(
      fc.asyncProperty(anything, async (bytes) => {
        const answer = await open.answer(bytes, FROM)
        if (answer === undefined) return
        expect(answer.length).toBeLessThanOrEqual(1232)
        expect([...answer.subarray(0, 2)]).toEqual([...bytes.subarray(0, 2)])
        expect((answer[2] ?? 0) & 0x80).toBe(0x80)
      }),
      { numRuns: 3000 },
    )
  })
})

describe("what was heard outside", () => {
  it("is kept for its time to live, and not for longer than a minute", async () => {
    const away = outside((asked) =>
      response(asked.question.name, asked.question.name === "long.b" ? 3600 : 20, 1, true),
    )
    const open = resolver({ outside: away })
    const ttl = async (name: string, now: number): Promise<unknown> => {
      const [answer] = read(await open.answer(query(name), { ...FROM, now })).answers ?? []
      return answer !== undefined && "ttl" in answer ? answer.ttl : undefined
    }
    expect(await ttl("a.b", 0)).toBe(20)
    expect(await ttl("a.b", 5500)).toBe(15)
    expect(away.asked).toHaveLength(1)
    expect(await ttl("a.b", 20_000)).toBe(20)
    expect(away.asked).toHaveLength(2)
    expect(await ttl("long.b", 0)).toBe(3600)
    expect(await ttl("long.b", 59_999)).toBe(3541)
    expect(away.asked).toHaveLength(3)
    expect(await ttl("long.b", 60_000)).toBe(3600)
    expect(away.asked).toHaveLength(4)
  })

  it("is kept apart by what the machine wants to see", async () => {
    const away = outside((asked) => response(asked.question.name, 60))
    const open = resolver({ outside: away })
    for (const asking of [{}, { edns: 1232, dnssec: true }, { flags: RD | 0x10 }, { flags: 0 }, {}])
      await open.answer(query("a.b", "A", asking), FROM)
    expect(away.asked.map(({ flags, dnssec }) => [flags, dnssec])).toEqual([
      [RD, false],
      [RD, true],
      [RD | 0x10, false],
      [0, false],
    ])
  })

  it("that there is nothing is kept as its SOA says", async () => {
    const soa = { mname: "m", rname: "r", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 3 }
    const away = outside((asked) =>
      encode({
        type: "response",
        flags: 3,
        questions: [{ name: asked.question.name, type: "A" }],
        authorities: [{ type: "SOA", name: "b", ttl: 100, data: soa }],
      }),
    )
    const open = resolver({ outside: away })
    for (const now of [0, 2999, 3000]) {
      expect(read(await open.answer(query("a.b"), { ...FROM, now })).rcode).toBe("NXDOMAIN")
    }
    expect(away.asked).toHaveLength(2)
  })

  it("nothing is heard: SERVFAIL, and not asked again for a second", async () => {
    const away = outside(() => undefined)
    const open = resolver({ outside: away })
    for (const now of [0, 999, 1000]) {
      expect(read(await open.answer(query("a.b"), { ...FROM, now })).rcode).toBe("SERVFAIL")
    }
    expect(away.asked).toHaveLength(2)
    expect(open.counters.failed).toBe(3)
  })

  it.each([
    ["no message", Uint8Array.of(1, 2, 3)],
    ["an answer to something else", response("long.other.name", 60)],
    ["a message without its question", response("a.b", 60).slice(0, 12).fill(0, 4)],
  ])("%s is SERVFAIL", async (_, bytes) => {
    expect(await ask(resolver({ outside: outside(() => bytes) }), "a.b")).toBe("SERVFAIL")
  })

  it("is forgotten when the host changes its resolver, also what is still under way", async () => {
    const away = new Later()
    const open = resolver({ outside: away })
    const first = open.answer(query("a.b"), FROM)
    away.at = 1
    const second = open.answer(query("a.b"), FROM)
    expect(away.asked).toHaveLength(2)
    away.answer(response("a.b", 60))
    expect(addressesOf(await first)).toEqual(["10.9.0.0"])
    expect(open.held.entries).toBe(0)
    away.answer(response("a.b", 60))
    expect(addressesOf(await second)).toEqual(["10.9.0.0"])
    expect(open.held.entries).toBe(1)
  })

  it("is asked once for all who ask the same at the same time", async () => {
    const away = new Later()
    const open = resolver({ outside: away })
    const machines = ["a", "b", "c"]
    const answers = machines.map((machine, id) =>
      open.answer(query("a.b", "A", { id }), { ...FROM, machine }),
    )
    away.answer(response("a.b", 0))
    expect((await Promise.all(answers)).map((answer) => read(answer).id)).toEqual([0, 1, 2])
    expect([away.asked.length, open.counters.joined, open.counters.outside]).toEqual([1, 2, 1])
    expect(open.held).toEqual({ entries: 0, bytes: 0, flights: 0 })
  })

  it("is bounded, for each machine and for all", async () => {
    const away = new Later()
    const open = resolver({ outside: away, limits: { perMachine: 2, flights: 3 } })
    const from = (machine: string): From => ({ ...FROM, machine })
    const waiting = [open.answer(query("a"), from("x")), open.answer(query("b"), from("x"))]
    expect(read(await open.answer(query("a"), from("x"))).rcode).toBe("SERVFAIL")
    waiting.push(open.answer(query("c"), from("y")))
    expect(read(await open.answer(query("d"), from("y"))).rcode).toBe("SERVFAIL")
    waiting.push(open.answer(query("a"), from("y"))) // somebody asks this already
    expect([open.counters.busy, open.held.flights]).toEqual([2, 3])
    for (const name of ["a", "b", "c"]) away.answer(response(name, 1))
    expect((await Promise.all(waiting)).map((answer) => read(answer).rcode)).toEqual(Array(4).fill("NOERROR"))
    const again = open.answer(query("e"), from("x"))
    away.answer(response("e", 1))
    expect(read(await again).rcode).toBe("NOERROR")
  })
})
