import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { BLOCK_MAX, Buddy } from "../../src/memory/buddy.ts"

const MIB = 1024 * 1024

describe("Buddy", () => {
  it("never gives the same byte twice, whatever is taken and given back in whatever order", () => {
    const step = fc.oneof(
      fc.record({ take: fc.integer({ min: 1, max: 3 * MIB }) }),
      fc.record({ take: fc.integer({ min: 1, max: 5000 }) }),
      fc.record({ give: fc.nat() }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const buddy = new Buddy(8 * MIB)
        const taken: { offset: number; length: number }[] = []
        for (const each of steps) {
          if ("take" in each) {
            const offset = buddy.allocate(each.take)
            if (offset >= 0) taken.push({ offset, length: each.take })
          } else if (taken.length > 0) {
            const [given] = taken.splice(each.give % taken.length, 1)
            if (given !== undefined) buddy.free(given.offset, given.length)
          }
          const sorted = taken.toSorted((a, b) => a.offset - b.offset)
          let end = 0
          for (const { offset, length } of sorted) {
            expect(offset).toBeGreaterThanOrEqual(end)
            end = offset + length
          }
          expect(end).toBeLessThanOrEqual(8 * MIB)
        }
        for (const { offset, length } of taken) buddy.free(offset, length)
        // All halves have found each other again.
        expect(buddy.used).toBe(0)
        expect([buddy.allocate(BLOCK_MAX), buddy.allocate(BLOCK_MAX), buddy.allocate(1)]).toEqual([
          expect.any(Number),
          expect.any(Number),
          -1,
        ])
      }),
      { numRuns: 60 },
    )
  })

  it("rounds up to powers of two from 1 KiB on, and counts what it gave", () => {
    const buddy = new Buddy(4 * MIB)
    const used = [1, 1024, 1025, 65_536, 65_537].map((length) => {
      const before = buddy.used
      expect(buddy.allocate(length)).toBeGreaterThanOrEqual(0)
      return buddy.used - before
    })
    expect(used).toEqual([1024, 1024, 2048, 65_536, 131_072])
  })

  it("refuses more than there is, and more than one block", () => {
    const buddy = new Buddy(4 * MIB)
    expect(buddy.allocate(4 * MIB + 1)).toBe(-1)
    const all = Array.from({ length: 4096 }, () => buddy.allocate(1))
    expect(new Set(all).size).toBe(4096)
    expect(buddy.allocate(1)).toBe(-1)
    buddy.free(all[17] ?? -1, 1)
    expect(buddy.allocate(1)).toBe(all[17])
    expect(() => new Buddy(5 * MIB)).toThrow(RangeError)
    expect(() => new Buddy(0)).toThrow(RangeError)
  })

  it("throws where a block is given back twice, or with another length", () => {
    const buddy = new Buddy(4 * MIB)
    const offset = buddy.allocate(4096)
    expect(() => buddy.free(offset, 9000)).toThrow(/were not allocated so/)
    expect(() => buddy.free(offset + 1024, 4096)).toThrow(/were not allocated so/)
    buddy.free(offset, 4000)
    expect(() => buddy.free(offset, 4096)).toThrow(/were not allocated so/)
  })

  it("releases what was used and is free at two calls on end, once", () => {
    const buddy = new Buddy(4 * MIB)
    const released: [number, number][] = []
    const trim = () => buddy.trim((offset, length) => released.push([offset, length]))
    expect([trim(), released]).toEqual([false, []])
    const one = buddy.allocate(200_000)
    const two = buddy.allocate(MIB)
    expect([trim(), trim(), released]).toEqual([false, false, []])
    buddy.free(one, 200_000)
    expect([trim(), released]).toEqual([true, []])
    // Used again in between: it begins anew.
    buddy.free(buddy.allocate(200_000), 200_000)
    expect([trim(), released]).toEqual([true, []])
    expect(trim()).toBe(false)
    expect(released).toEqual([[one, 262_144]])
    buddy.free(two, MIB)
    trim()
    trim()
    expect(released.slice(1)).toEqual([[two, MIB]])
    expect([trim(), released.length]).toEqual([false, 2])
  })
})
