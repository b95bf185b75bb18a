import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Backlog } from "../../src/console/backlog.ts"

describe("Backlog", () => {
  it("holds the last bytes of everything that was pushed", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 64 }),
        fc.array(fc.uint8Array({ maxLength: 100 })),
        (max, chunks) => {
          const backlog = new Backlog(max)
          for (const chunk of chunks) backlog.push(chunk)
          expect(Buffer.from(backlog.bytes())).toEqual(Buffer.concat(chunks).subarray(-max))
        },
      ),
    )
  })

  it("is empty after clear()", () => {
    const backlog = new Backlog(4)
    backlog.push(Buffer.from("12345"))
    backlog.clear()
    expect(backlog.bytes()).toHaveLength(0)
  })
})
