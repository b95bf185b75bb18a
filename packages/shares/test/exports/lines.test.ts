import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { fromFile, linesOf, logicalLines, toFile } from "../../src/exports/lines.ts"
import { BY_HAND, foreignFile } from "./files.ts"

describe("linesOf()", () => {
  it("loses no byte of any file", () => {
    fc.assert(
      fc.property(fc.oneof(foreignFile, fc.string({ unit: "binary" })), (file) => {
        expect(
          linesOf(file)
            .map(({ text, end }) => text + end)
            .join(""),
        ).toBe(file)
      }),
    )
  })

  it("knows lines that go on", () => {
    const lines = linesOf("a \\\nb\n# c \\\r\nd\\")
    expect(lines.map(({ continues, continued }) => [continues, continued])).toStrictEqual([
      [true, false],
      [false, true],
      [true, false],
      [true, true],
    ])
  })
})

describe("logicalLines()", () => {
  it("joins them, and leaves out comments", () => {
    expect(logicalLines(BY_HAND).map(({ number }) => number)).toStrictEqual([3, 4, 5, 8, 9])
    expect(logicalLines("# c \\\n/not an entry\n/x")).toStrictEqual([{ number: 3, text: "/x" }])
    expect(logicalLines("/x \\")).toStrictEqual([{ number: 1, text: "/x  " }])
  })
})

it("paths keep their bytes in a file", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      expect(fromFile(toFile(text))).toBe(text)
    }),
  )
})
