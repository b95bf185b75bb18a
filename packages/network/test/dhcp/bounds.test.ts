import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Allowance } from "../../src/dhcp/allowance.ts"
import { DEFAULT_BOUNDS, type DhcpServer } from "../../src/dhcp/index.ts"
import { Pool } from "../../src/dhcp/pool.ts"
import { bind, message, NOW, type Said, SERVER, say, server } from "./client.ts"

const HOUR = 3_600_000
const STEP = 10

/** Every lease and offer lies in the pool, no address is twice there, and what a link holds is within its bounds. */
function expectSane(dhcp: DhcpServer): void {
  const leases = dhcp.leases()
  expect(new Set(leases.map(({ address }) => address)).size).toBe(leases.length)
  const perLink = new Map<string, number>()
  for (const { machine = "", address } of leases) {
    perLink.set(machine, (perLink.get(machine) ?? 0) + 1)
    expect(address).toMatch(/^192\.168\.64\.(?!0$|1$|255$)\d+$/)
  }
  expect(Math.max(0, ...perLink.values())).toBeLessThanOrEqual(DEFAULT_BOUNDS.leasesPerLink)
  const { leases: count, offers, declined, unused } = dhcp.counts
  expect(count).toBe(leases.length)
  expect(unused).toBeLessThanOrEqual(253 - count)
  expect(unused).toBeGreaterThanOrEqual(253 - count - offers - declined)
}

describe("a link that starves others", () => {
  it("has 10,000 MAC addresses and asks only: no lease is made, sixteen offers are held", () => {
    const dhcp = server()
    let now = NOW
    for (let mac = 1; mac <= 10_000; mac++) {
      now += STEP
      expect(say(dhcp, { type: "discover", mac }, { now, machine: "wasp" })?.message.type).toBe("offer")
      expect(dhcp.counts.offers).toBeLessThanOrEqual(16)
    }
    expect(dhcp.leases()).toEqual([])
    expect(bind(dhcp, {}, { now, machine: "bee" })).toBeDefined()
    expect(dhcp.counts).toEqual({ leases: 1, offers: 16, declined: 0, unused: 253 - 17 })
    say(dhcp, { type: "discover" }, { now: now + 60_000, machine: "bee" })
    expect(dhcp.counts.offers).toBe(1)
  })

  it("has 10,000 MAC addresses and takes leases: it loses its own oldest, nobody else anything", () => {
    const dhcp = server()
    const bees = Array.from({ length: 100 }, (_, index) => `bee-${index}`)
    const homes = bees.map((machine) => bind(dhcp, {}, { machine }))
    let now = NOW
    let last: string | undefined
    for (let mac = 1; mac <= 10_000; mac++) {
      now += STEP
      last = bind(dhcp, { mac }, { now, machine: "wasp" })
      expect(last).toBeDefined()
    }
    expectSane(dhcp)
    expect(dhcp.counts.leases).toBe(132)
    expect(bees.map((machine) => bind(dhcp, {}, { now, machine }))).toEqual(homes)
    expect(bind(dhcp, {}, { now, machine: "new" })).toBeDefined()
    expect(
      say(dhcp, { type: "request", mac: 10_000, own: last ?? "" }, { now, machine: "wasp" })?.message.type,
    ).toBe("ack")
  })

  it("declines all it gets: eight addresses are held, not the pool", () => {
    const dhcp = server()
    let now = NOW
    for (let mac = 1; mac <= 1000; mac++) {
      now += STEP
      const requested =
        say(dhcp, { type: "discover", mac }, { now, machine: "wasp" })?.message.yourAddress ?? ""
      say(dhcp, { type: "decline", mac, requested, server: SERVER }, { now, machine: "wasp" })
    }
    expect(dhcp.counts).toEqual({ leases: 0, offers: 0, declined: 8, unused: 245 })
    expect(dhcp.counters).toMatchObject({ decline: 1000 })
  })

  it("floods: 200 messages a second are read of it, and all of others", () => {
    const dhcp = server()
    const discover = message({ type: "discover" })
    let answers = 0
    for (let count = 0; count < 10_000; count++) {
      const now = NOW + Math.floor(count / 10)
      if (dhcp.receive(discover, { now, machine: "wasp" }) !== undefined) answers++
    }
    // One second, with a burst of as many.
    expect(answers).toBe(399)
    expect(dhcp.counters).toMatchObject({ "rate-limited": 9601 })
    expect(bind(dhcp, {}, { now: NOW + 1000, machine: "bee" })).toBeDefined()
  })

  it("is forgotten with its offers when it goes", () => {
    const dhcp = server()
    for (let mac = 1; mac <= 5; mac++) say(dhcp, { type: "discover", mac }, { machine: "wasp" })
    dhcp.detach("wasp")
    expect(dhcp.counts).toEqual({ leases: 0, offers: 0, declined: 0, unused: 253 })
  })

  it("gives a network its 250 machines, each an address", () => {
    const dhcp = server()
    const addresses = Array.from({ length: 250 }, (_, index) =>
      bind(dhcp, { mac: index }, { machine: `bee-${index}` }),
    )
    expect(new Set(addresses).size).toBe(250)
    expect(addresses).not.toContain(undefined)
  })
})

describe("a full pool", () => {
  const range = { first: "192.168.64.18", last: "192.168.64.19" }

  it("gives what is released at once", () => {
    const dhcp = server({ range })
    const [first = "", second = ""] = [bind(dhcp, { mac: 1 }), bind(dhcp, { mac: 2 })]
    expect(bind(dhcp, { mac: 3 })).toBeUndefined()
    say(dhcp, { type: "release", mac: 2, own: second, server: SERVER })
    expect(bind(dhcp, { mac: 3 })).toBe(second)
    say(dhcp, { type: "release", mac: 1, own: first, server: SERVER })
    expect(bind(dhcp, { mac: 4 })).toBe(first)
  })

  it("offers each expired lease to one", () => {
    const dhcp = server({ range })
    const addresses = [bind(dhcp, { mac: 1 }), bind(dhcp, { mac: 2 })]
    const later = { now: NOW + HOUR }
    const offers = [3, 4, 5].map((mac) => say(dhcp, { type: "discover", mac }, later)?.message.yourAddress)
    expect(offers).toEqual([...addresses, undefined])
  })

  it("has one offer for a client, whose former address becomes free again", () => {
    const dhcp = server({ range })
    const own = bind(dhcp, { mac: 1 }) ?? ""
    const now = NOW + HOUR
    expect(say(dhcp, { type: "discover", mac: 2, requested: own }, { now })?.message.yourAddress).toBe(own)
    expect(say(dhcp, { type: "discover", mac: 1 }, { now })?.message.yourAddress).not.toBe(own)
    say(dhcp, { type: "request", mac: 2, requested: own, server: "192.168.64.200" }, { now })
    expect(say(dhcp, { type: "discover", mac: 1 }, { now })?.message.yourAddress).toBe(own)
    expect(dhcp.counts.offers).toBe(1)
  })
})

describe("time", () => {
  it("offers last for 60 seconds", () => {
    const dhcp = server({ range: { first: "192.168.64.18", last: "192.168.64.18" } })
    say(dhcp, { type: "discover", mac: 1 })
    expect(say(dhcp, { type: "discover", mac: 2 }, { now: NOW + 59_999 })).toBeUndefined()
    expect(say(dhcp, { type: "discover", mac: 2 }, { now: NOW + 60_000 })?.message.type).toBe("offer")
  })

  it("a clock that is set back holds nothing for ever", () => {
    const dhcp = server({ range: { first: "192.168.64.18", last: "192.168.64.18" } })
    say(dhcp, { type: "discover", mac: 1 }, { now: NOW + 1000 * HOUR })
    expect(bind(dhcp, { mac: 2 }, { now: NOW })).toBe("192.168.64.18")
    dhcp.dispatch(NOW - 1000 * HOUR)
    expect(dhcp.pollAt()).toBe(Number.POSITIVE_INFINITY)
  })
})

describe("any messages in any order", () => {
  const text = fc.constantFrom(
    "192.168.64.18",
    "192.168.64.19",
    "192.168.64.1",
    "10.0.0.1",
    "192.168.64.255",
    "0.0.0.0",
  )
  const said: fc.Arbitrary<Said> = fc.record(
    {
      type: fc.constantFrom(
        "discover",
        "request",
        "decline",
        "release",
        "inform",
        "offer",
        "ack",
        "nak",
        undefined,
      ),
      mac: fc.nat(5),
      client: fc.constantFrom("01aa", "ff00", ""),
      requested: text,
      server: fc.constantFrom(SERVER, SERVER, "10.0.0.2"),
      own: text,
      relay: fc.constantFrom("0.0.0.0", "192.168.64.9", "10.0.0.1"),
      broadcast: fc.boolean(),
      wants: fc.array(fc.nat(255), { maxLength: 20 }),
      hostName: fc.string({ maxLength: 20 }),
      size: fc.nat(65_535),
      lease: fc.nat(0xffff_ffff),
    },
    { requiredKeys: ["type"] },
  )
  const step = fc.record({
    said,
    after: fc.constantFrom(0, 1, 1000, 61_000, HOUR, 700_000),
    machine: fc.constantFrom("bee", "wasp", "ant"),
  })

  it("never give one address to two, and never answer what is no request", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.boolean(), (steps, small) => {
        const range = { first: "192.168.64.16", last: small ? "192.168.64.19" : "192.168.64.254" }
        const dhcp = server({ range, reservations: [{ address: "192.168.64.19", machine: "ant" }] })
        const held = new Map<string, { who: string; until: number }>()
        let now = NOW
        for (const { said, after, machine } of steps) {
          now += after
          const heard = say(dhcp, said, { now, machine })
          const who = `${machine} ${said.client === undefined || said.client === "" ? (said.mac ?? "") : said.client}`
          for (const [address, lease] of held) {
            const gone = dhcp.leases().every((known) => known.address !== address || known.expires <= now)
            if (lease.until <= now || gone) held.delete(address)
          }
          if (heard?.message.type !== "ack" || said.type === "inform") continue
          const address = heard.message.yourAddress
          const holder = held.get(address)
          const reserved = machine === "ant" && address === "192.168.64.19"
          if (holder !== undefined && !reserved) expect(holder.who).toBe(who)
          held.set(address, { who, until: now + Number(heard.options[51]) * 1000 })
        }
        const addresses = dhcp.leases().map(({ address }) => address)
        expect(new Set(addresses).size).toBe(addresses.length)
        expect(dhcp.counters).not.toHaveProperty("not-restored")
      }),
      { numRuns: 400 },
    )
  })

  it("and garbled: 40,000 from one seed are survived, and the server is sane after", () => {
    let seed = 0xbee
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
      return Math.floor((seed / 2 ** 32) * below)
    }
    const types = ["discover", "request", "decline", "release", "inform"] as const
    const dhcp = server()
    let now = NOW
    let answers = 0
    for (let round = 0; round < 40_000; round++) {
      now += random(40)
      const address = `192.168.64.${random(256)}`
      const bytes = message({
        type: types[random(types.length)],
        mac: random(2000),
        ...(random(2) === 0 ? { requested: address } : { own: address }),
        ...(random(2) === 0 ? { server: SERVER } : {}),
        wants: [1, 3, 119, random(256)],
      })
      for (let change = random(4); change > 0; change--) bytes[random(bytes.length)] = random(256)
      const end = random(8) === 0 ? random(bytes.length) : bytes.length
      const reply = dhcp.receive(bytes.subarray(0, end), { now, machine: `m${random(4)}` })
      if (reply !== undefined) answers++
      if (random(100) === 0) dhcp.dispatch(now)
    }
    expect(answers).toBeGreaterThan(4000)
    expectSane(dhcp)
  }, 60_000)
})

describe("Pool", () => {
  it("has the lowest unused address first", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.array(fc.nat(199)), (size, unused) => {
        const first = 0xc0a84000
        const pool = new Pool(first, first + size - 1)
        expect(pool.first()).toBeUndefined()
        const inside = [...new Set(unused.filter((index) => index < size))]
        for (const index of inside) pool.give(first + index)
        expect(pool.unused).toBe(inside.length)
        for (const index of inside.toSorted((one, other) => one - other)) {
          expect(pool.first()).toBe(first + index)
          pool.take(first + index)
        }
        expect(pool.first()).toBeUndefined()
      }),
    )
  })
})

describe("Allowance", () => {
  it("keeps as many links as it may, and drops the first", () => {
    const allowance = new Allowance(1)
    for (let link = 0; link < 5000; link++) expect(allowance.take(`link-${link}`, NOW)).toBe(true)
    expect(allowance.take("link-4999", NOW)).toBe(false)
    expect(allowance.take("link-0", NOW)).toBe(true)
  })

  it("gives nothing for a clock that goes back", () => {
    const allowance = new Allowance(1)
    expect(allowance.take("bee", NOW)).toBe(true)
    expect(allowance.take("bee", NOW - 5000)).toBe(false)
    expect(allowance.take("bee", NOW - 4000)).toBe(true)
  })
})
