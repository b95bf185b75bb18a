import { encode } from "dns-packet"
import { describe, expect, it } from "vitest"
import { Cache, type Kept } from "../../src/dns/cache.ts"
import { parseMessage } from "../../src/dns/message/message.ts"
import { read } from "./rig.ts"

function kept(ttl: number, data = "10.0.0.1"): Kept {
  const bytes = encode({
    type: "response",
    questions: [{ name: "a.b", type: "A" }],
    answers: [{ type: "A", name: "a.b", ttl, data }],
  })
  const message = parseMessage(bytes)
  if (typeof message === "string") throw new Error(message)
  return { bytes, records: message.records, rcode: 0 }
}

function ttlOf(found: Kept | undefined): number | undefined {
  const [answer] = read(found?.bytes).answers ?? []
  return answer !== undefined && "ttl" in answer ? answer.ttl : undefined
}

describe("Cache", () => {
  it("lowers times to live as time goes by, and forgets at the end", () => {
    const cache = new Cache({ entries: 10, bytes: 10_000 })
    cache.put("k", kept(30), { now: 1000, lifeMs: 30_000 })
    expect(ttlOf(cache.get("k", 1000))).toBe(30)
    expect(ttlOf(cache.get("k", 1999))).toBe(30)
    expect(ttlOf(cache.get("k", 2000))).toBe(29)
    expect(ttlOf(cache.get("k", 30_999))).toBe(1)
    expect(cache.get("k", 31_000)).toBeUndefined()
    expect([cache.entries, cache.bytes]).toEqual([0, 0])
  })

  it("gives copies", () => {
    const cache = new Cache({ entries: 10, bytes: 10_000 })
    cache.put("k", kept(30), { now: 0, lifeMs: 30_000 })
    cache.get("k", 0)?.bytes.fill(0)
    expect(ttlOf(cache.get("k", 0))).toBe(30)
  })

  it("keeps nothing that lives for no time, and replaces", () => {
    const cache = new Cache({ entries: 10, bytes: 10_000 })
    cache.put("k", kept(30), { now: 0, lifeMs: 30_000 })
    cache.put("k", kept(60), { now: 0, lifeMs: 60_000 })
    expect([cache.entries, ttlOf(cache.get("k", 0))]).toEqual([1, 60])
    cache.put("k", kept(0), { now: 0, lifeMs: 0 })
    expect([cache.entries, cache.bytes]).toEqual([0, 0])
  })

  it("lets the least recently used go when there are too many", () => {
    const cache = new Cache({ entries: 2, bytes: 10_000 })
    cache.put("a", kept(9), { now: 0, lifeMs: 9000 })
    cache.put("b", kept(9), { now: 0, lifeMs: 9000 })
    cache.get("a", 1)
    cache.put("c", kept(9), { now: 0, lifeMs: 9000 })
    expect(["a", "b", "c"].filter((key) => cache.get(key, 2) !== undefined)).toEqual(["a", "c"])
  })

  it("bounds its bytes", () => {
    const cache = new Cache({ entries: 1000, bytes: 5000 })
    for (let index = 0; index < 100; index++) cache.put(`${index}`, kept(9), { now: 0, lifeMs: 9000 })
    expect(cache.bytes).toBeLessThanOrEqual(5000)
    expect(cache.entries).toBe(Math.floor(5000 / (kept(9).bytes.length + 512)))
    expect(cache.get("99", 1)).toBeDefined()
    const small = new Cache({ entries: 1000, bytes: 100 })
    small.put("large", kept(9), { now: 0, lifeMs: 9000 })
    expect([small.entries, small.bytes]).toEqual([0, 0])
  })
})
