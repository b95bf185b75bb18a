/**
 * A long seeded run: machines that send anything, and an outside that answers anything.
 */
import { encode } from "dns-packet"
import { describe, expect, it } from "vitest"
import { parseMessage } from "../../src/dns/message/message.ts"
import type { Asked } from "../../src/dns/message/query.ts"
import { emitQuery } from "../../src/dns/message/query.ts"
import { parseZone } from "../../src/dns/names/zone.ts"
import { Resolver } from "../../src/dns/resolver.ts"
import { OWN, query } from "./rig.ts"

const ROUNDS = 40_000
const SEED = 0x5eed

/** Numbers below `bound`, the same for the same seed (Marsaglia's xorshift of 32 bits). */
function dice(seed: number): (bound: number) => number {
  let state = seed
  return (bound) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % bound
  }
}

const NAMES = [
  "web.skep.internal",
  "a.b",
  "x.zone",
  "2.64.168.192.in-addr.arpa",
  "db.corp",
  "c.d.e.f.g",
  "localhost",
]
const TYPES = ["A", "AAAA", "PTR", "TXT", "MX", "ANY", "SOA", "AXFR"]

describe("a long run", () => {
  it("never throws, answers in shape and in bounds, and holds what it may", async () => {
    const roll = dice(SEED)
    const spoil = (bytes: Uint8Array): Uint8Array => {
      const spoilt = Uint8Array.from(bytes)
      for (let changes = roll(4); changes > 0; changes--)
        spoilt[roll(spoilt.length)] = roll(3) === 0 ? 0xc0 : roll(256)
      return roll(5) === 0 ? spoilt.subarray(0, roll(spoilt.length + 1)) : spoilt
    }
    const answerTo = (asked: Asked): Uint8Array | undefined => {
      const records = Array.from({ length: roll(40) }, () => ({
        type: "A" as const,
        name: roll(2) === 0 ? "." : "some.longer.name",
        ttl: roll(100),
        data: "10.0.0.1",
      }))
      const question = emitQuery(asked, roll(65_536), roll(2) === 0)
      const body = encode({ type: "response", flags: roll(6), answers: records })
      const bytes = Buffer.concat([question.subarray(0, 12 + asked.bytes.length), body.subarray(12)])
      bytes.set(body.subarray(2, 4), 2)
      bytes.set(body.subarray(6, 12), 6)
      return roll(20) === 0 ? undefined : spoil(bytes)
    }
    let epoch = 0
    const limits = { cache: { entries: 50, bytes: 30_000 }, perMachine: 4, flights: 8 }
    const resolver = new Resolver({
      own: () => OWN,
      hosts: () => ({ byName: new Map([["db.corp", ["10.1.2.3"]]]), byAddress: new Map() }),
      outside: {
        epoch: () => epoch,
        resolve: (asked) => Promise.resolve(answerTo(asked)),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      },
      limits,
    })
    resolver.zones.add(
      parseZone({ Name: "zone", Records: [{ Regexp: "^[a-m]+$", IP: "10.0.0.5" }], DefaultIP: "" }),
    )
    const pick = (from: readonly string[]): string => from[roll(from.length)] ?? ""
    let answered = 0
    for (let now = 0; now < ROUNDS; now++) {
      const name = roll(2) === 0 ? pick(NAMES) : `n${roll(300)}.b`
      const asking = roll(2) === 0 ? {} : { edns: roll(5000), dnssec: roll(2) === 0 }
      const bytes = spoil(query(name, pick(TYPES), { ...asking, id: roll(65_536) }))
      const transport = roll(4) === 0 ? "tcp" : "udp"
      const answer = await resolver.answer(bytes, { transport, now: now * 10, machine: pick(["x", "y"]) })
      if (roll(500) === 0) epoch++
      const { entries, bytes: held, flights } = resolver.held
      expect([entries <= 50, held <= 30_000, flights]).toEqual([true, true, 0])
      if (answer === undefined) continue
      answered++
      expect(answer.length).toBeLessThanOrEqual(transport === "udp" ? 1232 : 65_535)
      const message = parseMessage(answer)
      if (typeof message === "string") throw new Error(`round ${now}: an answer that is ${message}`)
      expect([answer[0], answer[1], (message.flags & 0x8000) !== 0]).toEqual([bytes[0], bytes[1], true])
    }
    expect(answered).toBeGreaterThan(ROUNDS / 2)
    const { counters } = resolver
    const seen = Object.entries(counters)
      .filter(([, count]) => count > 0)
      .map(([name]) => name)
    expect(seen).toEqual(
      expect.arrayContaining([
        "own",
        "zone",
        "special",
        "hosts-file",
        "outside",
        "cached",
        "cut",
        "failed",
        "truncated",
        "bad-label",
        "bad-pointer",
        "bad-count",
        "bad-opt",
        "trailing",
        "not-a-query",
        "bad-version",
        "not-implemented",
        "refused-class",
        "refused-type",
      ]),
    )
  })
})
