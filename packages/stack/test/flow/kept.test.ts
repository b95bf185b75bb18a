/**
 * What is kept of a stream, against a plain model: bytes in order, memory that is in proportion and comes back.
 *
 * @module
 */
import { Parts } from "@skep/link"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Allowance } from "../../src/flow/allowance.ts"
import { Kept } from "../../src/flow/kept.ts"
import { add } from "../../src/tcp/seq.ts"
import { FlatMemory } from "../rig/flat-memory.ts"

const FIRST = 0xffff_ff00
const STREAM = 8192
const GRAIN = 2048

function streamByte(at: number): number {
  return (at * 31 + (at >> 8)) & 0xff
}

/** The stream from 0 to `STREAM`, in memory. */
function rig(capacity = 16_384, allowance = new Allowance(1 << 20)) {
  const memory = new FlatMemory(1 << 20)
  const stream = memory.allocate(STREAM)
  const bytes = Uint8Array.from({ length: STREAM }, (_, at) => streamByte(at))
  memory.write(bytes, 0, STREAM, stream)
  const part = (from: number, length: number): Parts => {
    const parts = new Parts()
    const half = length >> 1
    if (half > 0) parts.push(stream + from, half)
    parts.push(stream + from + half, length - half)
    return parts
  }
  const free = (): number => {
    memory.free(stream, STREAM)
    return memory.inUse
  }
  const held = (): number => memory.inUse - STREAM
  return { memory, kept: new Kept(memory, allowance, capacity), part, free, held }
}

describe("what is kept", () => {
  it("comes out in order, whatever came early and however it overlapped", () => {
    const piece = fc.record({
      kind: fc.constantFrom("append", "hold", "take"),
      ahead: fc.nat(600),
      length: fc.integer({ min: 1, max: 700 }),
    })
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), (steps) => {
        const { memory, kept, part, free, held } = rig()
        let next = 0
        let out = 0
        for (const { kind, ahead, length } of steps) {
          if (kind === "append") {
            const size = Math.min(length, STREAM - next)
            if (size > 0) expect(kept.append(part(next, size), 0, size)).toBe(size)
            next += size
            const end = kept.join(add(FIRST, next))
            next = (end - FIRST) >>> 0
          } else if (kind === "hold") {
            const from = next + 1 + ahead
            const size = Math.min(length, STREAM - from)
            if (size > 0) kept.hold(part(from, size), 0, size, add(FIRST, from))
          } else {
            const pending = kept.pending(4)
            const size = Math.min(length, pending.bytes)
            let at = out
            for (let index = 0; index < pending.count; index++) {
              const bytes = new Uint8Array(pending.lengthAt(index))
              memory.read(pending.addressAt(index), bytes.length, bytes, 0)
              for (const byte of bytes) expect(byte).toBe(streamByte(at++))
            }
            kept.taken(size)
            out += size
          }
          expect(kept.bytes).toBe(next - out)
          expect(held()).toBeLessThanOrEqual(2 * kept.bytes + 4 * GRAIN + 2 * 16_384)
        }
        kept.clear()
        expect([kept.bytes, held(), free()]).toEqual([0, 0, 0])
      }),
      { numRuns: 300 },
    )
  })

  it("shares blocks among single bytes", () => {
    const { kept, part, held, free } = rig()
    for (let at = 0; at < STREAM; at++) kept.append(part(at, 1), 0, 1)
    expect([kept.bytes, held()]).toEqual([STREAM, STREAM])
    kept.taken(STREAM)
    expect([held(), free()]).toEqual([0, 0])
  })

  it("shares blocks among early bytes that follow each other, and refuses more than twice the window of others", () => {
    const { kept, part, held } = rig(4096)
    for (let at = 1; at < 2000; at++) expect(kept.hold(part(at, 1), 0, 1, add(FIRST, at))).toBe(true)
    expect(held()).toBe(GRAIN)
    const refused = Array.from({ length: 20 }, (_, index) => {
      const at = 3000 + 10 * index
      return kept.hold(part(at, 1), 0, 1, add(FIRST, at))
    }).filter((held) => !held)
    expect([refused.length, held()]).toEqual([17, 8192])
    kept.clear()
    expect(held()).toBe(0)
  })

  it("is what the machine may keep, and what all may keep together", () => {
    const all = new Allowance(3 * GRAIN)
    const one = rig(16_384, new Allowance(2 * GRAIN, all))
    const other = rig(16_384, new Allowance(2 * GRAIN, all))
    expect(one.kept.append(one.part(0, 2 * GRAIN), 0, 2 * GRAIN)).toBe(2 * GRAIN)
    expect(one.kept.append(one.part(0, 1), 0, 1)).toBe(0)
    expect(other.kept.hold(other.part(5, 5), 0, 5, add(FIRST, 5))).toBe(true)
    expect(other.kept.append(other.part(0, 1), 0, 1)).toBe(0)
    one.kept.taken(2 * GRAIN)
    expect(other.kept.append(other.part(0, 1), 0, 1)).toBe(1)
    other.kept.clear()
    expect([all.take(3 * GRAIN), all.take(1)]).toEqual([true, false])
  })

  it("is what memory allows", () => {
    const allowance = new Allowance(3 * GRAIN)
    const { memory, kept, part } = rig(16_384, allowance)
    const hog: number[] = []
    for (let block = memory.allocate(GRAIN); block !== 0; block = memory.allocate(GRAIN)) hog.push(block)
    expect(kept.append(part(0, 100), 0, 100)).toBe(0)
    expect(kept.hold(part(5, 5), 0, 5, add(FIRST, 5))).toBe(false)
    expect(allowance.take(3 * GRAIN)).toBe(true)
    allowance.give(3 * GRAIN)
    memory.free(hog[0] ?? 0, GRAIN)
    expect(kept.append(part(0, 100), 0, 100)).toBe(100)
    expect(kept.append(part(100, 4000), 0, 4000)).toBe(GRAIN - 100)
    expect(kept.bytes).toBe(GRAIN)
  })
})
