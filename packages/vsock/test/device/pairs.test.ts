import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Pairs } from "../../src/device/pairs.ts"

describe("Pairs", () => {
  it("behaves like a map by both numbers", () => {
    const port = fc.constantFrom(0, 1, 2 ** 31, 2 ** 32 - 1)
    const steps = fc.array(fc.tuple(fc.boolean(), port, port, fc.nat()), { maxLength: 100 })
    fc.assert(
      fc.property(steps, (all) => {
        const pairs = new Pairs<number>()
        const model = new Map<string, number>()
        for (const [sets, guest, host, value] of all) {
          if (sets) {
            pairs.set(guest, host, value)
            model.set(`${guest}.${host}`, value)
          } else {
            pairs.delete(guest, host)
            model.delete(`${guest}.${host}`)
          }
          expect(pairs.get(guest, host)).toBe(model.get(`${guest}.${host}`))
          expect(pairs.size).toBe(model.size)
        }
        expect(pairs.values().toSorted((a, b) => a - b)).toEqual([...model.values()].sort((a, b) => a - b))
      }),
    )
  })
})
