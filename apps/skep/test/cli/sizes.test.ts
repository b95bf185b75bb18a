/**
 * @module
 */
import { describe, expect, test } from "vitest"
import { parseCpus, parseDisk, parseLines, parseMemory } from "../../src/cli/sizes.ts"

describe("parseMemory() in MiB", () => {
  test.each([
    ["512m", 512],
    ["512", 512],
    ["2g", 2048],
    ["2G", 2048],
    ["2GiB", 2048],
    ["1.5g", 1536],
    ["1 t", 1 << 20],
    [" 3gb ", 3072],
  ])("%j is %d", (text, mib) => {
    expect(parseMemory(text)).toBe(mib)
  })

  test.each(["", "lots", "-5", "2x", "g", "1,5g", "0x10", "1e3"])("%j is no size", (text) => {
    expect(() => parseMemory(text)).toThrow(
      expect.objectContaining({ code: "bad-options", next: "Say it as 2g or 512m" }),
    )
  })
})

describe("parseDisk() in GiB", () => {
  test.each([
    ["20", 20],
    ["20g", 20],
    ["2048m", 2],
    ["1t", 1024],
    ["0.5t", 512],
  ])("%j is %d", (text, gib) => {
    expect(parseDisk(text)).toBe(gib)
  })

  test.each(["1.5g", "100m", "much"])("%j is refused", (text) => {
    expect(() => parseDisk(text)).toThrow(expect.objectContaining({ code: "bad-options" }))
  })
})

describe("counts", () => {
  test.each([parseCpus, parseLines])("are whole numbers", (parse) => {
    expect(parse("12")).toBe(12)
    for (const text of ["", "1.5", "-1", "two", "1e2", " 3"])
      expect(() => parse(text)).toThrow(expect.objectContaining({ code: "bad-options" }))
  })

  test("say what they count, and how to say it", () => {
    expect(() => parseCpus("x")).toThrow(
      expect.objectContaining({
        message: 'Cannot use "x" as a number of processors: it is no whole number',
        next: "Say it as in --cpus 2",
      }),
    )
    expect(() => parseLines("x")).toThrow(
      expect.objectContaining({
        message: 'Cannot use "x" as a number of lines: it is no whole number',
        next: "Say it as in -n 50",
      }),
    )
  })
})
