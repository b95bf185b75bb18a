import fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import { SystemMemory } from "../../src/index.ts"
import { Queue } from "../../src/stream/queue.ts"

const MIB = 1024 * 1024
const memory = new SystemMemory({ heapBytes: 4 * MIB })
afterAll(() => memory[Symbol.dispose]())

/** The bytes that are ready to go. */
function ready(queue: Queue): number[] {
  queue.gather(memory.iovecs)
  const { iovecs, bytes, base } = memory
  return Array.from({ length: iovecs.count }, (_, index) => index).flatMap((index) => {
    const at = iovecs.addressAt(index) - base
    return [...bytes.subarray(at, at + iovecs.lengthAt(index))]
  })
}

describe("Queue", () => {
  const step = fc.oneof(
    fc.record({ send: fc.integer({ min: 1, max: 90 }) }),
    fc.record({ lend: fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 5 }), use: fc.nat({ max: 5 }) }),
    fc.record({ sent: fc.nat({ max: 120 }) }),
  )

  it("sends what was put into it, in order, whatever happens in between", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const before = memory.arena.heap.used
        const queue = new Queue(memory, 256)
        const model: number[] = []
        let value = 0
        const fill = (block: number, skip: number, length: number): void => {
          const at = queue.placeOf(block) + skip
          for (let index = 0; index < length; index++) {
            value = (value + 1) & 0xff
            memory.bytes[at + index] = value
            model.push(value)
          }
          queue.use(block, skip, length)
        }
        for (const each of steps) {
          if ("send" in each) {
            const block = queue.take(each.send)
            if (block >= 0) fill(block, 0, each.send)
          } else if ("sent" in each) {
            const there = ready(queue)
            expect(there).toEqual(model)
            queue.sent(Math.min(each.sent, there.length))
            model.splice(0, Math.min(each.sent, there.length))
          } else {
            const blocks = each.lend.map((length) => ({ block: queue.take(length), length }))
            const lent = blocks.filter(({ block }) => block >= 0)
            for (const { block, length } of lent.slice(0, each.use)) fill(block, Math.min(3, length - 1), 1)
            for (const { block } of lent.slice(each.use).toReversed()) queue.giveBack(block)
          }
          expect(queue.bytes).toBe(model.length)
        }
        expect(ready(queue)).toEqual(model)
        queue.sent(model.length)
        expect([queue.empty, memory.arena.heap.used]).toEqual([true, before])
      }),
      { numRuns: 400 },
    )
  })

  it("goes no further than a place that is lent, and on once that is given back", () => {
    const queue = new Queue(memory, 1024)
    const one = queue.take(10)
    const lent = queue.take(20)
    const two = queue.take(5)
    queue.use(one, 0, 10)
    queue.use(two, 0, 5)
    expect(ready(queue)).toHaveLength(10)
    queue.giveBack(lent)
    expect(ready(queue)).toHaveLength(15)
    queue.clear()
    expect([queue.empty, queue.bytes]).toEqual([true, 0])
  })

  it("keeps its blocks' names when those that have gone are forgotten", () => {
    const queue = new Queue(memory, 64 * 1024)
    for (let count = 0; count < 3000; count++) queue.use(queue.take(8), 0, 8)
    const lent = queue.take(8)
    queue.sent(2000 * 8)
    memory.bytes.fill(7, queue.placeOf(lent), queue.placeOf(lent) + 8)
    queue.use(lent, 0, 8)
    expect(ready(queue)).toHaveLength(1001 * 8)
    expect(ready(queue).slice(-8)).toEqual([7, 7, 7, 7, 7, 7, 7, 7])
    queue.clear()
  })

  it("has no memory while it is empty, and says so where there is none", () => {
    const before = memory.arena.heap.used
    const queue = new Queue(memory, 64 * 1024)
    expect(memory.arena.heap.used).toBe(before)
    const all = Array.from({ length: 4096 }, () => memory.allocate(1))
    expect(queue.take(10)).toBe(-1)
    for (const each of all) if (each !== 0) memory.free(each, 1)
    expect(queue.take(70_000)).toBe(-1)
    expect(memory.arena.heap.used).toBe(before)
    expect(queue.take(10)).toBe(0)
    queue.clear()
    expect(memory.arena.heap.used).toBe(before)
  })
})
