import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ConsoleLines } from "../../src/console/lines.ts"

describe("ConsoleLines", () => {
  it("gives back the same lines however the bytes are cut", () => {
    const line = fc.stringMatching(/^[a-zäöü☃ ]{0,40}$/)
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat({ max: 400 })), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\r\n`).join(""))
        const at = [
          0,
          ...cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b),
          bytes.length,
        ]
        const reader = new ConsoleLines()
        const got = at.slice(1).flatMap((end, index) => reader.push(bytes.subarray(at[index], end)))
        expect(got).toEqual(lines)
      }),
    )
  })

  it("keeps 1024 characters of a line that never ends", () => {
    const reader = new ConsoleLines()
    for (let index = 0; index < 100; index++) expect(reader.push(Buffer.from("x".repeat(1000)))).toEqual([])
    expect(reader.push(Buffer.from("\nnext\n"))).toEqual(["x".repeat(1024), "next"])
  })
})
