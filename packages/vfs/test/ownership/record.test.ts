import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as record from "../../src/ownership/record.ts"

const REGULAR = 0o100000
const DIRECTORY = 0o040000

const ids = fc.integer({ min: 0, max: 2 ** 32 - 1 })
const modes = fc.integer({ min: 0, max: 0o7777 })
const records = fc.record({
  owner: fc.option(fc.record({ uid: ids, gid: ids }), { nil: undefined }),
  mode: fc.option(fc.record({ asked: modes, real: modes }), { nil: undefined }),
})

describe("records of owners", () => {
  it("come back from their text", () => {
    fc.assert(
      fc.property(records, (value) => {
        expect(record.parse(record.emit(value))).toEqual(value)
      }),
    )
  })

  it("are not read from anything else, and reading throws nothing", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const value = record.parse(text)
        if (value !== undefined) expect(record.parse(record.emit(value))).toEqual(value)
      }),
    )
    for (const text of ["", ":", "::", "1:2:3:", ":::7", "1::7:7", "4294967296:0::", "0:0:8:8", " 0:0::"])
      expect(record.parse(text)).toBe(undefined)
  })

  it("ask of the host no identity, and what this process needs", () => {
    fc.assert(
      fc.property(modes, (asked) => {
        const file = record.realMode(asked, REGULAR)
        const directory = record.realMode(asked, DIRECTORY)
        expect([file & 0o7000, file & 0o600, file & 0o177]).toEqual([0, 0o600, asked & 0o177])
        expect([directory & 0o6000, directory & 0o700, directory & 0o1077]).toEqual([
          0,
          0o700,
          asked & 0o1077,
        ])
      }),
    )
  })

  it("show the mode that was asked for, as long as the host's is what it was then", () => {
    const mode = { asked: 0o4400, real: 0o600 }
    expect(record.shownMode(REGULAR | 0o600, { owner: undefined, mode })).toBe(REGULAR | 0o4400)
    expect(record.shownMode(REGULAR | 0o644, { owner: undefined, mode })).toBe(REGULAR | 0o644)
    expect(record.shownMode(REGULAR | 0o6755, record.NO_RECORD)).toBe(REGULAR | 0o755)
    expect(record.shownMode(DIRECTORY | 0o2755, record.NO_RECORD)).toBe(DIRECTORY | 0o2755)
  })
})
