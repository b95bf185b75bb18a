import { describe, expect, it } from "vitest"
import { OwnerExports, type OwnerSteps } from "../../src/serving/owner-exports.ts"

/** `held` tells which walks are not over. */
function* walk(steps: number, held: Set<string>, name = "a"): OwnerSteps {
  held.add(name)
  try {
    for (let step = 0; step < steps; step++) yield step % 2 === 0 ? `${name}${step}` : undefined
  } finally {
    held.delete(name)
  }
}

describe("OwnerExports", () => {
  it("gives every line once, and no more at one time than the clock has room for", () => {
    let now = 0
    const exports = new OwnerExports(() => now++)
    const number = exports.begin(1, walk(9, new Set()))
    const pieces = []
    for (;;) {
      const { lines, done } = exports.next(number)
      pieces.push(lines)
      if (done) break
    }
    expect(pieces).toEqual([["a0"], ["a2"], ["a4"], ["a6"], ["a8"]])
    expect(() => exports.next(number)).toThrow(/began anew/)
  })

  it("gives no more than 256 lines at one time, however fast they are", () => {
    const exports = new OwnerExports(() => 0)
    const number = exports.begin(1, walk(1000, new Set()))
    expect(
      [exports.next(number), exports.next(number)].map(({ lines, done }) => [lines.length, done]),
    ).toEqual([
      [256, false],
      [244, true],
    ])
  })

  it("refuses more than four until one of them is over", () => {
    const held = new Set<string>()
    const exports = new OwnerExports(() => 0)
    const numbers = ["a", "b", "c", "d"].map((name) => exports.begin(1, walk(1000, held, name)))
    for (const number of numbers) exports.next(number)
    expect(() => exports.begin(2, walk(1, held, "e"))).toThrow(expect.objectContaining({ code: "busy" }))
    exports.end(numbers[1] ?? 0)
    expect([...held]).toEqual(["a", "c", "d"])
    expect(exports.begin(2, walk(1, held, "e"))).toBe(5)
  })

  it("touches nothing of a share whose file system is gone", () => {
    const held = new Set<string>()
    const exports = new OwnerExports(() => 0)
    const [gone, other] = [exports.begin(1, walk(1000, held)), exports.begin(2, walk(1000, held, "b"))]
    for (const number of [gone, other]) exports.next(number)
    exports.drop(1)
    expect(() => exports.next(gone)).toThrow(expect.objectContaining({ code: "ESTALE" }))
    exports.end(gone)
    expect(held).toEqual(new Set(["a", "b"]))
    expect(exports.next(other).done).toBe(true)
  })
})
