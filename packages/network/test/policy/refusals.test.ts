import { describe, expect, it } from "vitest"
import { TCP } from "../../src/policy/policy.ts"
import { type Destination, Refusals } from "../../src/policy/refusals.ts"
import { REFUSALS_A_SECOND, type Refused } from "../../src/thread/calls.ts"

function destination(last: number, port = 80): Destination {
  return { protocol: TCP, bytes: Uint8Array.of(7, 10, 0, 0, last), at: 1, width: 4, port }
}

describe("Refusals", () => {
  it("tells what was refused, with its address", () => {
    const told: Refused[] = []
    const refusals = new Refusals((refused) => told.push(refused))
    refusals.note("web", "policy", destination(1), 0)
    expect(told).toEqual([
      { machine: "web", protocol: "tcp", destination: "10.0.0.1", port: 80, reason: "policy", count: 1 },
    ])
    expect(refusals.counts()).toMatchObject({ policy: 1, loopback: 0 })
  })

  it("tells of a repetition once a minute, with how many there were", () => {
    const told: Refused[] = []
    const refusals = new Refusals((refused) => told.push(refused))
    for (let second = 0; second < 60; second++) refusals.note("web", "policy", destination(1), second * 1000)
    expect(told).toHaveLength(1)
    refusals.note("web", "policy", destination(1), 60_000)
    expect(told.map(({ count }) => count)).toEqual([1, 60])
  })

  it("tells of no more than so many a second, whoever knocks where, and loses no count", () => {
    const told: Refused[] = []
    const refusals = new Refusals((refused) => told.push(refused))
    const knocks = 5000
    for (let knock = 0; knock < knocks; knock++)
      refusals.note("web", "policy", destination(knock & 0xff, knock), knock * 2) // ten seconds
    expect(told.length).toBeGreaterThan(REFUSALS_A_SECOND)
    expect(told.length).toBeLessThanOrEqual(11 * REFUSALS_A_SECOND)
    expect(refusals.counts().policy).toBe(knocks)
    refusals.note("web", "policy", destination(3, 65_000), 100_000)
    expect(told.reduce((sum, { count }) => sum + count, 0)).toBe(knocks + 1)
  })

  it("holds one machine's refusals apart from another's", () => {
    const told: Refused[] = []
    const refusals = new Refusals((refused) => told.push(refused))
    refusals.note("web", "policy", destination(1), 0)
    refusals.note("db", "policy", destination(1), 1)
    expect(told.map(({ machine }) => machine)).toEqual(["web", "db"])
  })
})
