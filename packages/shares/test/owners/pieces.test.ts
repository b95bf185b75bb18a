import * as fc from "fast-check"
import { expect, test } from "vitest"
import { LINE_MAX, piecesOf } from "../../src/owners/pieces.ts"

/** What a control socket reads of one request. */
const BODY_MAX = 1 << 20

async function all(lines: readonly string[]): Promise<readonly (readonly string[])[]> {
  const pieces = []
  for await (const piece of piecesOf(lines)) pieces.push(piece)
  return pieces
}

test("pieces have every line in its order, and each is a request's body", async () => {
  const line = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.integer({ min: 0, max: 40_000 }).map((length) => "\u0001".repeat(length)),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(line, { maxLength: 20 }), async (lines) => {
      const pieces = await all(lines)
      expect(pieces.flat()).toEqual(lines.map((text) => text.slice(0, LINE_MAX)))
      for (const piece of pieces) {
        expect(piece.length).toBeGreaterThan(0)
        expect(Buffer.byteLength(JSON.stringify({ lines: piece }))).toBeLessThan(BODY_MAX)
      }
    }),
    { numRuns: 20 },
  )
})

test("many short lines are more than one piece", async () => {
  const pieces = await all(Array.from({ length: 5000 }, () => "{}"))
  expect(pieces.map(({ length }) => length)).toEqual([4096, 904])
  expect(await all([])).toEqual([])
})
