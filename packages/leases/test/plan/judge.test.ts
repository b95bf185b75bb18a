import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { bootpd } from "../../src/formats/bootpd.ts"
import type { Document, Lease } from "../../src/model.ts"
import type { Machine } from "../../src/owners/machine.ts"
import { chosenBy, releasedBy } from "../../src/plan/choose.ts"
import { type Facts, judge, keyOf } from "../../src/plan/judge.ts"
import { poolsOf } from "../../src/plan/pools.ts"

const NOW = 1_800_000_000_000
const HOUR = 3_600_000
const NOBODY: Facts = { now: NOW, machines: [], unreadTools: [], neighbours: undefined }

describe("judge()", () => {
  it("says stale of what is not over and nobody's, expired of what is over", () => {
    expect(kindsOf([lease(5, 1, HOUR), lease(6, 2, -HOUR)])).toEqual(["stale", "expired"])
  })
  it("says live where a machine has it, running or not, or somebody answers", () => {
    const facts = { machines: [machine({ macs: [mac(1)] })], neighbours: new Map([[address(6), mac(2)]]) }
    expect(kindsOf([lease(5, 1, HOUR), lease(6, 2, -HOUR), lease(7, 3, HOUR)], facts)).toEqual([
      "live",
      "live",
      "stale",
    ])
  })
  it("takes somebody else at the address for nobody's client, but leaves him alone", () => {
    const neighbours = new Map([
      [address(5), mac(9)],
      [address(6), mac(9)],
    ])
    expect(kindsOf([lease(5, 1, HOUR), lease(6, 2, -HOUR)], { neighbours })).toEqual(["live", "expired"])
  })
  it("says live of what is nobody's while it cannot look at all tools", () => {
    expect(kindsOf([lease(5, 1, HOUR)], { unreadTools: ["multipass"] })).toEqual(["live"])
  })
  it("takes the first of bootpd's entries of one client, and the latest", () => {
    expect(kindsOf([lease(5, 1, HOUR), lease(6, 1, HOUR), lease(7, 1, HOUR)])).toEqual([
      "stale",
      "duplicate",
      "duplicate",
    ])
    expect(kindsOf([lease(5, 1, HOUR), lease(6, 1, 2 * HOUR)])).toEqual(["duplicate", "stale"])
    expect(kindsOf([lease(5, 1, HOUR), lease(5, 2, 2 * HOUR)])).toEqual(["duplicate", "stale"])
  })
  it("knows a machine by its name only where its MAC address says nothing, and then by the newest", () => {
    const named = [machine({ hostNames: ["minikube"], macsComplete: false })]
    const three = [lease(5, 1, HOUR), lease(6, 2, 3 * HOUR), lease(7, 3, 2 * HOUR)].map((each) => ({
      ...each,
      name: "minikube",
    }))
    expect(kindsOf(three, { machines: named })).toEqual(["stale", "live", "stale"])
    const known = [machine({ hostNames: ["minikube"], macs: [mac(3)] })]
    expect(kindsOf(three, { machines: known })).toEqual(["stale", "stale", "live"])
  })
})

describe("entries of one address", () => {
  it("are older ones where their server says that they are superseded, whoever has the machine", () => {
    const old = { ...lease(5, 1, HOUR), state: "superseded" as const }
    const machines = [machine({ macs: [mac(1)] })]
    expect(kindsOf([old, { ...lease(5, 1), state: "free" as const }], { machines })).toEqual([
      "duplicate",
      "free",
    ])
  })
  it("have keys of their own, and none has that of another one when that is gone", () => {
    const [one, two, three] = ["a", "b", "c"].map((name) => ({ ...lease(5, 1, HOUR), name }))
    if (one === undefined || two === undefined || three === undefined) throw new Error("there are three")
    const before = keysOf([one, two, three, lease(6, 2, HOUR)])
    expect(new Set(before).size).toBe(4)
    for (const left of [[one, two], [two, three], [one]])
      expect(keysOf(left).filter((key) => before.includes(key))).toEqual([])
    expect(keysOf([lease(6, 2, HOUR)])).toEqual(before.slice(3))
  })
})

describe("chosenBy()", () => {
  it("takes what is over, with stale what nobody has, and never what a machine has or is reserved", () => {
    const leases = [
      lease(5, 1, HOUR),
      lease(6, 2, -HOUR),
      lease(7, 3, -HOUR),
      { ...lease(8, 4), state: "reserved" as const },
    ]
    const judged = judge(documentOf(leases), { ...NOBODY, machines: [machine({ macs: [mac(3)] })] })
    expect(addressesOf(chosenBy(judged, {}, NOW))).toEqual([address(6)])
    expect(addressesOf(chosenBy(judged, { stale: true }, NOW))).toEqual([address(5), address(6)])
    expect(addressesOf(chosenBy(judged, { olderThanMs: 2 * HOUR }, NOW))).toEqual([])
    expect(addressesOf(chosenBy(judged, { olderThanMs: HOUR }, NOW))).toEqual([address(6)])
    expect(addressesOf(chosenBy(judged, { addresses: [address(5), address(7), address(8)] }, NOW))).toEqual([
      address(5),
    ])
    expect(addressesOf(chosenBy(judged, { macs: ["52:54:0:0:0:1"] }, NOW))).toEqual([address(5)])
    expect(() => chosenBy(judged, { macs: ["x"] }, NOW)).toThrow(
      expect.objectContaining({ code: "bad-options" }),
    )
  })
  it("removes exactly the chosen blocks of the file, whatever it is (property)", () => {
    const entry = fc.record({
      client: fc.integer({ min: 1, max: 40 }),
      place: fc.integer({ min: 2, max: 60 }),
      hours: fc.integer({ min: -9, max: 9 }),
    })
    fc.assert(
      fc.property(
        fc.array(entry, { maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 5 }),
        (entries, owned) => {
          const blocks = entries.map(({ client, place, hours }) => block(client, place, NOW + hours * HOUR))
          const document = bootpd.parse(new TextEncoder().encode(blocks.join("")), "/leases")
          const judged = judge(document, { ...NOBODY, machines: [machine({ macs: owned.map(mac) })] })
          const chosen = chosenBy(judged, { stale: true }, NOW)
          const gone = new Set(chosen.map(({ lease: { source } }) => source.start))
          const left = document.leases.flatMap(({ source }, index) =>
            gone.has(source.start) ? [] : [blocks[index]],
          )
          const after = bootpd.remove(
            document,
            chosen.map((each) => each.lease),
          )
          expect(new TextDecoder().decode(after)).toBe(left.join(""))
          // The newest lease of each machine that is there stays.
          for (const each of judged)
            if (each.owner !== undefined && each.kind !== "duplicate") expect(chosen).not.toContain(each)
        },
      ),
    )
  })
  it("releases what is said and nothing else", () => {
    const judged = judge(documentOf([lease(5, 1, HOUR), lease(6, 2, HOUR)]), {
      ...NOBODY,
      machines: [machine({ macs: [mac(1)] })],
    })
    expect(addressesOf(releasedBy(judged, { machine: "m" }))).toEqual([address(5)])
    expect(() => releasedBy(judged, {})).toThrow(expect.objectContaining({ code: "bad-options" }))
    expect(() => releasedBy(judged, { address: address(9) })).toThrow(
      expect.objectContaining({ code: "not-found" }),
    )
  })
})

describe("poolsOf()", () => {
  const network = { address: "192.168.64.0", mask: "255.255.255.0", server: "192.168.64.1" }
  it("counts what is left", () => {
    const [pool] = poolsOf([[lease(5, 1, HOUR), lease(6, 2, -HOUR), lease(5, 3, 2 * HOUR)]], [network], NOW)
    expect(pool).toMatchObject({
      network: "192.168.64.0/24",
      size: 253,
      used: 1,
      free: 252,
      nextFree: NOW + 2 * HOUR,
    })
    expect(pool?.exhausted).toBeUndefined()
  })
  it("says when none is left: now, or at the rate of the last half of a lease's time", () => {
    const full = Array.from({ length: 253 }, (_, index) => lease(index + 2, index, 20 * HOUR))
    expect(poolsOf([full], [network], NOW)[0]).toMatchObject({ free: 0, exhausted: NOW })
    const many = Array.from({ length: 200 }, (_, index) => lease(index + 2, index, (13 + index / 20) * HOUR))
    const [pool] = poolsOf([many], [network], NOW)
    // 200 in twelve hours: 53 more take a little over three.
    expect(pool?.exhausted).toBeGreaterThan(NOW + 3 * HOUR)
    expect(pool?.exhausted).toBeLessThan(NOW + 4 * HOUR)
  })
  it("makes a network of its own for addresses of which no file says one", () => {
    expect(poolsOf([[lease(5, 1, HOUR)]], [], NOW)).toMatchObject([{ network: "192.168.64.0/24", used: 1 }])
    expect(poolsOf([[]], [], NOW)).toEqual([])
  })
})

function kindsOf(leases: readonly Lease[], facts: Partial<Facts> = {}): readonly string[] {
  return judge(documentOf(leases), { ...NOBODY, ...facts }).map(({ kind }) => kind)
}

function keysOf(leases: readonly Lease[]): readonly string[] {
  return judge(documentOf(leases), NOBODY).map(keyOf)
}

function documentOf(leases: readonly Lease[]): Document {
  return {
    format: "bootpd",
    path: "/leases",
    bytes: new Uint8Array(),
    leases,
    networks: [],
    problems: [],
    complete: true,
  }
}

function lease(place: number, client: number, forMs?: number): Lease {
  return {
    address: address(place),
    hardwareType: 1,
    hardware: mac(client),
    clientId: `01:${mac(client)}`,
    name: undefined,
    machine: undefined,
    expires: forMs === undefined ? undefined : NOW + forMs,
    state: "bound",
    source: { path: "/leases", line: 1, lastLine: 6, start: 0, end: 1 },
  }
}

function machine(more: Partial<Machine>): Machine {
  return {
    tool: "lima",
    name: "m",
    path: "/lima.yaml",
    macs: [],
    macsComplete: true,
    hostNames: [],
    addresses: [],
    ...more,
  }
}

function block(client: number, place: number, expires: number): string {
  const short = `1,52:54:0:0:0:${client.toString(16)}`
  return `{\n\tname=vm\n\tip_address=${address(place)}\n\thw_address=${short}\n\tlease=0x${(expires / 1000).toString(16)}\n}\n`
}

function address(place: number): string {
  return `192.168.64.${place}`
}

function mac(client: number): string {
  return `52:54:00:00:00:${client.toString(16).padStart(2, "0")}`
}

function addressesOf(judged: ReturnType<typeof judge>): readonly string[] {
  return judged.map(({ lease: { address: each } }) => each)
}
