/**
 * What is kept beyond a process, and what is not trusted.
 *
 * @module
 */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { StateFile } from "../../src/virtiofs/index.ts"

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "state-"))
})
afterEach(() => rmSync(directory, { recursive: true }))

describe("a state file", () => {
  it("keeps what was agreed upon, and forgets it", () => {
    const path = join(directory, "state")
    const agreed = { minor: 38, flags: 0xdead_beef, flags2: 7, maxWrite: 1 << 20 }
    {
      using file = new StateFile({ path, queues: 2 })
      expect(file.negotiated).toBeUndefined()
      file.setNegotiated(agreed)
    }
    using file = new StateFile({ path, queues: 2 })
    expect([file.negotiated, file.setAside]).toEqual([agreed, undefined])
    file.setNegotiated(undefined)
    using after = new StateFile({ path, queues: 2 })
    expect(after.negotiated).toBeUndefined()
  })

  it("keeps what became of each request, by its number", () => {
    const u32 = fc.nat(0xffff_ffff)
    const request = fc.record({
      slot: fc.nat(2047),
      low: u32,
      high: u32,
      result: fc.integer({ min: -511, max: 1 << 20 }),
      node: fc.maxSafeNat(),
      handle: fc.oneof(fc.constant(-1), fc.nat(Number.MAX_SAFE_INTEGER - 1)),
    })
    fc.assert(
      fc.property(fc.uniqueArray(request, { maxLength: 20, selector: ({ slot }) => slot }), (requests) => {
        const path = join(directory, "state")
        {
          using file = new StateFile({ path, queues: 2 })
          for (const { slot, low, high, result, node, handle } of requests) {
            file.begin(slot, low, high)
            expect(file.recall(slot, low, high).phase).toBe("begun")
            file.end(slot, result, node, handle)
          }
        }
        using file = new StateFile({ path, queues: 2 })
        for (const { slot, low, high, result, node, handle } of requests) {
          expect(file.recall(slot, low, high)).toEqual({ phase: "done", result, node, handle })
          expect(file.recall(slot, low ^ 1, high).phase).toBe("unknown")
        }
      }),
      { numRuns: 20 },
    )
  })

  it.each([
    ["something else", (path: string) => writeFileSync(path, "some text")],
    ["as long, but something else", (path: string) => writeFileSync(path, readFileSync(path).fill(7, 0, 16))],
    ["cut short", (path: string) => truncateSync(path, 4096)],
    [
      "of a device with more queues",
      (path: string) => new StateFile({ path: path, queues: 3 })[Symbol.dispose](),
    ],
  ])("that is %s is set aside with a sentence", (_what, spoil) => {
    const path = join(directory, "state")
    new StateFile({ path, queues: 2 })[Symbol.dispose]()
    if (_what.includes("queues")) rmSync(path)
    spoil(path)
    const spoilt = readFileSync(path)
    using file = new StateFile({ path, queues: 2 })
    expect(file.setAside).toMatch(/was set aside as .*\.bad$/)
    expect(file.negotiated).toBeUndefined()
    expect(readFileSync(`${path}.bad`)).toEqual(spoilt)
  })

  it("that was only begun is taken", () => {
    const path = join(directory, "state")
    writeFileSync(path, "")
    using file = new StateFile({ path, queues: 2 })
    expect(file.setAside).toBeUndefined()
  })

  it("without a path is there as long as the device", () => {
    using file = new StateFile({ queues: 1 })
    file.begin(3, 1, 2)
    expect(file.recall(3, 1, 2).phase).toBe("begun")
    expect(() => file.begin(1024, 1, 2)).toThrow(RangeError)
  })
})
