/**
 * Ranges and the scoreboard against plain models: sets of numbers.
 *
 * @module
 */
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Flight } from "../../src/tcp/flight.ts"
import { Ranges } from "../../src/tcp/ranges.ts"
import { add, distance } from "../../src/tcp/seq.ts"

/** Where numbers begin: they wrap soon. */
const BASE = 0xffff_ffe0
const SPAN = 64

const at = (offset: number) => add(BASE, offset)
const span = fc
  .tuple(fc.nat(SPAN - 1), fc.integer({ min: 1, max: 20 }))
  .map(([start, length]) => ({ start, end: Math.min(SPAN, start + length) }))

function numbersOf(ranges: Ranges): Set<number> {
  const numbers = new Set<number>()
  for (const { start, end } of ranges.list)
    for (let number = start; number !== end; number = add(number, 1)) numbers.add(distance(number, BASE))
  return numbers
}

describe("ranges", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("add" as const), span }),
    fc.record({ kind: fc.constant("remove" as const), span }),
    fc.record({ kind: fc.constant("forget" as const), span }),
  )

  it("are a set of numbers", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const ranges = new Ranges(SPAN)
        const model = new Set<number>()
        for (const { kind, span: of } of steps) {
          if (kind === "add") ranges.add(at(of.start), at(of.end))
          else if (kind === "remove") ranges.remove(at(of.start), at(of.end))
          else ranges.forgetBefore(at(of.start))
          const from = kind === "forget" ? 0 : of.start
          const to = kind === "forget" ? of.start : of.end
          for (let number = from; number < to; number++)
            if (kind === "add") model.add(number)
            else model.delete(number)
          expect(numbersOf(ranges)).toEqual(model)
          expect(ranges.bytes).toBe(model.size)
          expect(ranges.covers(at(of.start), at(of.end))).toBe(
            Array.from({ length: of.end - of.start }, (_, index) => model.has(of.start + index)).every(
              Boolean,
            ),
          )
          // They never touch.
          for (const [index, { start }] of ranges.list.entries())
            if (index > 0) expect(distance(start, ranges.list[index - 1]?.end ?? 0)).toBeGreaterThan(0)
        }
      }),
    )
  })

  it("are never more than their bound", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ranges = new Ranges(3)
        for (const { kind, span: of } of steps) {
          if (kind === "remove") ranges.remove(at(of.start), at(of.end))
          else ranges.add(at(of.start), at(of.end))
          expect(ranges.list.length).toBeLessThanOrEqual(3)
        }
      }),
    )
  })
})

describe("the scoreboard", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("send" as const), count: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ kind: fc.constant("again" as const), count: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ kind: fc.constant("acknowledge" as const), count: fc.integer({ min: 0, max: 12 }) }),
    fc.record({
      kind: fc.constant("sack" as const),
      count: fc.nat(40),
      length: fc.integer({ min: 1, max: 9 }),
    }),
    fc.record({
      kind: fc.constant("lose" as const),
      count: fc.nat(40),
      length: fc.integer({ min: 1, max: 9 }),
    }),
    fc.record({ kind: fc.constant("detect" as const), count: fc.nat(1) }),
    fc.record({ kind: fc.constant("timeout" as const) }),
  )

  it("knows of every number what became of it", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const flight = new Flight(BASE)
        const model = new Map<number, "out" | "lost" | "arrived">()
        let una = 0
        let nxt = 0
        for (const [now, act] of steps.entries()) {
          const within = (from: number, length: number) => ({
            start: Math.min(nxt, una + from),
            end: Math.min(nxt, una + from + length),
          })
          const each = (
            of: { start: number; end: number },
            to: (was: string) => "out" | "lost" | "arrived",
          ) => {
            for (let number = of.start; number < of.end; number++)
              model.set(number, to(model.get(number) ?? "none"))
          }
          if (act.kind === "send") {
            flight.sent(at(nxt), at(nxt + act.count), now)
            each({ start: nxt, end: nxt + act.count }, () => "out")
            nxt += act.count
          } else if (act.kind === "again") {
            const lost = flight.firstLost()
            if (lost === undefined) continue
            const start = distance(lost.start, BASE)
            const of = { start, end: Math.min(start + act.count, distance(lost.end, BASE)) }
            expect(Array.from({ length: of.end - of.start }, (_, i) => model.get(start + i))).not.toContain(
              "out",
            )
            flight.sentAgain(at(of.start), at(of.end), now)
            each(of, () => "out")
          } else if (act.kind === "acknowledge") {
            const of = within(0, act.count)
            flight.acknowledge(at(of.end), now)
            for (let number = of.start; number < of.end; number++) model.delete(number)
            una = of.end
          } else if (act.kind === "sack") {
            const of = within(act.count, act.length)
            if (of.start >= of.end) continue
            flight.sack(at(of.start), at(of.end), now)
            each(of, () => "arrived")
          } else if (act.kind === "lose") {
            const of = within(act.count, act.length)
            flight.lose(at(of.start), at(of.end))
            each(of, (was) => (was === "out" ? "lost" : (was as "arrived")))
          } else if (act.kind === "timeout") {
            const dropped = model.get(una) === "arrived"
            flight.loseAll()
            each({ start: una, end: nxt }, (was) => (was === "arrived" && !dropped ? "arrived" : "lost"))
          } else {
            const { out, lost } = flight
            const found = flight.detect({ now, certain: act.count === 1, smoothedMs: 1 })
            expect([flight.out, flight.lost]).toEqual([out - found, lost + found])
            if (found > 0) return // which ones is another test's
          }
          const counts = { out: 0, lost: 0, arrived: 0 }
          for (const state of model.values()) counts[state]++
          expect({ out: flight.out, lost: flight.lost, arrived: flight.arrived }).toEqual(counts)
          const first = [...model]
            .filter(([, state]) => state === "lost")
            .toSorted(([a], [b]) => a - b)[0]?.[0]
          const told = flight.firstLost()
          expect(told === undefined ? undefined : distance(told.start, BASE)).toBe(first)
        }
      }),
      { numRuns: 500 },
    )
  })

  /** Ten segments of ten numbers, each sent a millisecond after the one before, the first answered after 10 ms. */
  function ten(): Flight {
    const flight = new Flight(BASE)
    for (let index = 0; index < 10; index++) flight.sent(at(index * 10), at(index * 10 + 10), index)
    flight.acknowledge(at(10), 10)
    return flight
  }

  it("takes for lost what was overtaken, at once where that is certain (RFC 8985, section 6.2)", () => {
    const flight = ten()
    flight.sack(at(40), at(50), 14)
    expect(flight.detect({ now: 14, certain: true, smoothedMs: 10 })).toBe(30)
    expect(flight.firstLost()).toEqual({ start: at(10), end: at(40) })
  })

  it("waits a quarter of the least round trip otherwise", () => {
    const flight = ten()
    flight.sack(at(20), at(30), 12)
    expect(flight.detect({ now: 12, certain: false, smoothedMs: 10 })).toBe(0)
    expect(flight.lookAt).toBe(1 + 10 + 2.5)
    expect(flight.detect({ now: 13.5, certain: false, smoothedMs: 10 })).toBe(10)
  })

  it("waits longer where the network was seen to reorder", () => {
    const flight = ten()
    flight.sack(at(20), at(30), 12)
    flight.acknowledge(at(30), 12)
    flight.sack(at(40), at(80), 17)
    expect(flight.detect({ now: 17, certain: true, smoothedMs: 10 })).toBe(10)
    flight.acknowledge(at(30), 17)
    flight.sack(at(90), at(100), 19)
    expect(flight.detect({ now: 19, certain: true, smoothedMs: 10 })).toBe(0)
    expect(flight.lookAt).toBeGreaterThan(19)
  })

  it("takes for lost again what went out again, when what was sent later has arrived", () => {
    const flight = ten()
    flight.sack(at(20), at(60), 15)
    flight.detect({ now: 15, certain: true, smoothedMs: 10 })
    flight.sentAgain(at(10), at(20), 15)
    flight.sent(at(100), at(110), 16)
    flight.acknowledge(at(10), 26)
    flight.sack(at(60), at(110), 26)
    expect(flight.detect({ now: 26, certain: true, smoothedMs: 10 })).toBe(10)
    expect(flight.firstLost()).toEqual({ start: at(10), end: at(20) })
  })

  it("stays bounded, whatever is told", () => {
    const flight = new Flight(BASE)
    for (let number = 0; number < 20_000; number++) flight.sent(at(number), at(number + 1), number)
    for (let number = 1; number < 20_000; number += 2) flight.sack(at(number), at(number + 1), 20_000)
    expect(flight.pieces).toBeLessThanOrEqual(1025)
    flight.acknowledge(at(20_000), 20_001)
    expect([flight.pieces, flight.out, flight.lost, flight.arrived]).toEqual([0, 0, 0, 0])
  })
})
