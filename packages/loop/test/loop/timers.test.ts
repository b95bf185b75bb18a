import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Entry, entry, TimerHeap } from "../../src/loop/timers.ts"

type Step =
  | { readonly kind: "set"; readonly timer: number; readonly delay: number }
  | { readonly kind: "cancel"; readonly timer: number }
  | { readonly kind: "advance"; readonly by: number; readonly limit: number }

const TIMERS = 12
const timer = fc.nat({ max: TIMERS - 1 })
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant("set" as const), timer, delay: fc.integer({ min: -3, max: 30 }) }),
    fc.record({ kind: fc.constant("cancel" as const), timer }),
    fc.record({
      kind: fc.constant("advance" as const),
      by: fc.nat({ max: 12 }),
      limit: fc.constantFrom(1, 3, 100),
    }),
  ),
  { maxLength: 120 },
)

describe("TimerHeap", () => {
  it("fires what a sorted list would, in the same order, and is never asked too late", () => {
    fc.assert(
      fc.property(steps, (given) => {
        const heap = new TimerHeap()
        const timers = Array.from({ length: TIMERS }, () => entry(() => undefined))
        const model = new Map<number, { deadline: number; order: number }>()
        let now = 100
        let order = 0
        for (const step of given) {
          if (step.kind === "set") {
            heap.set(timers[step.timer]!, now + step.delay)
            model.set(step.timer, { deadline: now + step.delay, order: order++ })
          } else if (step.kind === "cancel") {
            heap.cancel(timers[step.timer]!)
            model.delete(step.timer)
          } else {
            now += step.by
            const due = [...model]
              .filter(([, { deadline }]) => deadline <= now)
              .toSorted(([, a], [, b]) => a.deadline - b.deadline || a.order - b.order)
              .slice(0, step.limit)
            const taken: Entry[] = []
            heap.take(now, step.limit, taken)
            expect(taken.map((one) => timers.indexOf(one))).toEqual(due.map(([index]) => index))
            for (const [index] of due) model.delete(index)
            expect(taken.every(({ due: taking, index }) => taking && index === -1)).toBe(true)
          }
          expect(heap.size).toBe(model.size)
          expect(heap.nextAt).toBeLessThanOrEqual(
            Math.min(Number.POSITIVE_INFINITY, ...[...model.values()].map(({ deadline }) => deadline)),
          )
          for (const [index, one] of timers.entries())
            expect(one.deadline).toBe(model.get(index)?.deadline ?? Number.POSITIVE_INFINITY)
        }
      }),
      { numRuns: 300 },
    )
  })

  it("moves a timer later without touching the heap", () => {
    const heap = new TimerHeap()
    const one = entry(() => undefined)
    heap.set(one, 10)
    for (let deadline = 11; deadline < 1000; deadline++) heap.set(one, deadline)
    expect([heap.nextAt, one.deadline, heap.size]).toEqual([10, 999, 1])
    const taken: Entry[] = []
    heap.take(10, 1, taken)
    expect([taken.length, heap.nextAt]).toEqual([0, 999])
    heap.take(999, 1, taken)
    expect(taken).toEqual([one])
  })
})
