/**
 * Asking before sleeping: when it begins, when it ends, and that it never outlasts what was to be waited for.
 *
 * @module
 */
import { Counters } from "@skep/loop"
import { describe, expect, it } from "vitest"
import { BusyPoll } from "../../src/loop/busy-poll.ts"

/** How long one question takes. */
const ASKING_MS = 0.01

/** Waits on a clock that only moves while something waits. */
function waiting(mostMs: number) {
  const counters = new Counters()
  let now = 0
  let due = 0
  let asked = 0
  let slept: number[] = []
  const poller = {
    wait(timeoutMs: number): number {
      if (timeoutMs === 0) asked++
      else slept.push(timeoutMs)
      now = timeoutMs === 0 ? now + ASKING_MS : Math.max(now, Math.min(due, now + timeoutMs))
      return now >= due ? 1 : 0
    },
  }
  const busyPoll = new BusyPoll({ poller, mostMs, clock: { now: () => now }, counters })
  return {
    counters,
    /** What it took to wait up to `timeoutMs` for an event that comes in `inMs`. */
    round: (inMs: number, timeoutMs = Number.POSITIVE_INFINITY, workedMs = 0) => {
      due = now + inMs
      asked = 0
      slept = []
      const began = now
      const events = busyPoll.wait(timeoutMs, workedMs)
      return { events, asked, slept: slept.length, took: now - began }
    },
  }
}

describe("a wait", () => {
  it("sleeps at once where asking is off", () => {
    const { round } = waiting(0)
    for (let turn = 0; turn < 5; turn++) expect(round(0.02)).toMatchObject({ events: 1, asked: 0, slept: 1 })
  })

  it("asks when events come soon, and longer each time that it was too short", () => {
    const { round, counters } = waiting(0.1)
    expect(round(0.06)).toMatchObject({ asked: 0, slept: 1 })
    expect(round(0.06)).toMatchObject({ asked: 3, slept: 1 })
    expect(round(0.06)).toMatchObject({ asked: 5, slept: 1 })
    for (let turn = 0; turn < 5; turn++) expect(round(0.06)).toMatchObject({ events: 1, asked: 6, slept: 0 })
    expect(counters.read().sleeps).toBe(3)
    expect(counters.read().askingMs).toBeCloseTo(0.03 + 0.05 + 5 * 0.06)
  })

  it("never asks longer than it may", () => {
    const { round } = waiting(0.1)
    for (let turn = 0; turn < 10; turn++) round(0.09)
    expect(round(5).asked).toBe(10)
  })

  it("stops asking after one long sleep, so that an idle thread does not ask", () => {
    const { round } = waiting(0.1)
    for (let turn = 0; turn < 4; turn++) round(0.05)
    expect(round(0.05).slept).toBe(0)
    expect(round(50).slept).toBe(1)
    for (let turn = 0; turn < 5; turn++) expect(round(50)).toMatchObject({ asked: 0, slept: 1 })
  })

  it("ends in time, whatever was asked before it slept", () => {
    const { round } = waiting(0.1)
    for (let turn = 0; turn < 8; turn++) round(0.09)
    expect(round(5, 0.05).took).toBeLessThan(0.05 + 2 * ASKING_MS)
    for (let turn = 0; turn < 8; turn++) round(0.09)
    const { events, took, slept } = round(5, 2)
    expect({ events, slept }).toEqual({ events: 0, slept: 1 })
    expect(took).toBeCloseTo(2)
  })

  it("sleeps at once after a long batch, and knows the next time what it knew", () => {
    const { round } = waiting(0.1)
    for (let turn = 0; turn < 4; turn++) round(0.05)
    expect(round(0.05, 1000, 0.2)).toMatchObject({ asked: 0, slept: 1 })
    expect(round(0.05, 1000, 0.02)).toMatchObject({ asked: 5, slept: 0 })
  })

  it("learns nothing from a timer that ended it", () => {
    const { round } = waiting(0.1)
    for (let turn = 0; turn < 4; turn++) round(5, 0.05)
    expect(round(0.05)).toMatchObject({ asked: 0, slept: 1 })
  })

  it("does not ask more than once when it may not wait", () => {
    const { round } = waiting(0.1)
    for (let turn = 0; turn < 8; turn++) round(0.09)
    expect(round(0.05, 0)).toMatchObject({ events: 0, asked: 1, slept: 0 })
  })
})
