import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Lines } from "../src/lines.ts"

describe("Lines", () => {
  it("gives back the same lines however the bytes are cut", () => {
    const line = fc.string({ unit: "grapheme", maxLength: 40 }).filter((text) => !text.includes("\n"))
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat({ max: 400 })), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(""))
        const at = [
          0,
          ...cuts.map((cut) => Math.min(cut, bytes.length)).toSorted((a, b) => a - b),
          bytes.length,
        ]
        const reader = new Lines(1 << 20)
        const got = at.slice(1).flatMap((end, index) => reader.push(bytes.subarray(at[index], end)))
        expect(got).toEqual(lines)
      }),
    )
  })

  it("says too-long once a line passes the bound, ended or not", () => {
    expect(new Lines(4).push(Buffer.from("12345"))).toBe("too-long")
    expect(new Lines(4).push(Buffer.from("12345\n"))).toBe("too-long")
    expect(new Lines(4).push(Buffer.from("1234\n1234\n"))).toEqual(["1234", "1234"])
  })
})
