// A queue of bytes that is read at an offset: judged against a plain array, and by what it gives back.

import { type Parts, Parts as Pieces, PoolMemory } from "@skep/link"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Backlog } from "../../src/host/backlog.ts"

const MIB = 1024 * 1024

function rig(heapBytes = 4 * MIB) {
  const memory = new PoolMemory({ heapBytes, slots: 8 })
  return { memory, backlog: new Backlog(memory) }
}

/** Bytes that tell where they come from. */
function bytesFrom(start: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (start + index) * 31 + ((start + index) >> 8))
}

function pieces(memory: PoolMemory, lengths: readonly number[]): Parts {
  const parts = new Pieces()
  let at = memory.arena.scratch
  for (const length of lengths) {
    parts.push(at, length)
    at += length + 3
  }
  return parts
}

function contentOf(memory: PoolMemory, parts: Parts, count: number): Uint8Array {
  const found = new Uint8Array(count)
  let at = 0
  for (let index = 0; index < parts.count && at < count; index++) {
    const part = Math.min(parts.lengthAt(index), count - at)
    memory.read(parts.addressAt(index), part, found, at)
    at += part
  }
  return found
}

describe("Backlog", () => {
  it("is a queue that can be read at any offset, however it is filled", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("append" as const), size: fc.integer({ min: 1, max: 200_000 }) }),
      fc.record({
        kind: fc.constant("put" as const),
        size: fc.integer({ min: 1, max: 200_000 }),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
      fc.record({ kind: fc.constant("discard" as const), share: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({
        kind: fc.constant("copy" as const),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
        lengths: fc.array(fc.integer({ min: 0, max: 9000 }), { maxLength: 5 }),
      }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const { memory, backlog } = rig()
        const source = memory.arena.inbox
        let first = 0
        let end = 0
        for (const each of steps) {
          if (each.kind === "append") {
            memory.write(bytesFrom(end, each.size), 0, each.size, source)
            end += backlog.append(source, each.size)
          } else if (each.kind === "put") {
            const places = backlog.reserve(each.size)
            const count = Math.floor(places.bytes * each.share)
            const bytes = bytesFrom(end, count)
            for (let index = 0, at = 0; index < places.count; index++) {
              const part = Math.min(places.lengthAt(index), count - at)
              memory.write(bytes, at, part, places.addressAt(index))
              at += part
            }
            backlog.put(count)
            end += count
          } else if (each.kind === "discard") {
            const count = Math.floor((end - first) * each.share)
            backlog.discard(count)
            first += count
          } else {
            const offset = Math.floor((end - first) * each.share)
            const into = pieces(memory, each.lengths)
            const count = backlog.copy(into, offset)
            expect(count).toBe(Math.min(into.bytes, end - first - offset))
            expect(contentOf(memory, into, count)).toEqual(bytesFrom(first + offset, count))
          }
          expect(backlog.bytes).toBe(end - first)
        }
        backlog.clear()
        expect(memory.arena.heap.used).toBe(0)
      }),
      { numRuns: 60 },
    )
  })

  it("holds no memory while it is empty, and little for a few bytes", () => {
    const { memory, backlog } = rig()
    backlog.reserve(64 * 1024)
    backlog.put(0)
    expect(memory.arena.heap.used).toBe(0)
    backlog.reserve(64 * 1024)
    backlog.put(5)
    expect(memory.arena.heap.used).toBe(1024)
    backlog.discard(5)
    expect(memory.arena.heap.used).toBe(0)
  })

  it("may hold a share of what is free, and a little whatever the others do", () => {
    const { memory, backlog } = rig(32 * MIB)
    expect(backlog.room).toBe(MIB)
    const taken = Array.from({ length: 7 }, () => memory.allocate(4 * MIB))
    expect(backlog.room).toBe(512 * 1024)
    const last = memory.allocate(4 * MIB)
    expect(backlog.room).toBe(16 * 1024)
    expect(backlog.append(memory.arena.inbox, 1000)).toBe(0)
    expect(backlog.reserve(1000).count).toBe(0)
    backlog.put(0)
    expect(backlog.bytes).toBe(0)
    for (const address of [...taken, last]) memory.free(address, 4 * MIB)
  })

  it("takes what there is memory for", () => {
    const { memory, backlog } = rig()
    const big = memory.allocate(2 * MIB)
    const more = memory.allocate(MIB)
    const source = memory.arena.inbox
    expect(backlog.append(source, 1000 * 1024)).toBe(1000 * 1024)
    expect(backlog.append(source, 100 * 1024)).toBe(24 * 1024)
    expect(backlog.bytes).toBe(MIB)
    backlog.clear()
    memory.free(big, 2 * MIB)
    memory.free(more, MIB)
    expect(memory.arena.heap.used).toBe(0)
  })
})
