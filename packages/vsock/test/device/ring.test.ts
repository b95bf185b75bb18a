import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Place, Ring } from "../../src/device/ring.ts"

describe("Ring", () => {
  it("behaves like a list without doubles", () => {
    const steps = fc.array(fc.record({ what: fc.constantFrom("add", "remove", "shift"), which: fc.nat(7) }), {
      maxLength: 200,
    })
    fc.assert(
      fc.property(steps, (all) => {
        const places = Array.from({ length: 8 }, (_, index) => new Place(index))
        const ring = new Ring<number>()
        const model: number[] = []
        for (const { what, which } of all) {
          const place = places[which] ?? new Place(which)
          if (what === "add") {
            ring.add(place)
            if (!model.includes(which)) model.push(which)
          } else if (what === "remove") {
            ring.remove(place)
            if (model.includes(which)) model.splice(model.indexOf(which), 1)
          } else {
            expect(ring.shift()).toBe(model.shift())
          }
          expect(ring.size).toBe(model.length)
          expect(ring.first).toBe(model[0])
        }
      }),
    )
  })

  it("leaves alone what is in another ring", () => {
    const [one, other] = [new Ring<string>(), new Ring<string>()]
    const place = new Place("a")
    one.add(place)
    other.add(place)
    other.remove(place)
    expect([one.size, other.size]).toEqual([1, 0])
  })
})
