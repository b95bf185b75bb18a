// One machine's part of memory: half of it alone, a third each for two, and always something for the next.

import { PoolMemory } from "@skep/link"
import { describe, expect, it } from "vitest"
import { Backlog } from "../../src/host/backlog.ts"
import { HeapShare } from "../../src/host/heap-share.ts"

const MIB = 1024 * 1024
const HEAP = 16 * MIB
const SOURCE = 64 * 1024

/** Fills backlogs of one machine until none takes more. Returns them. */
function greedy(memory: PoolMemory, share: HeapShare): readonly Backlog[] {
  const backlogs: Backlog[] = []
  for (let stream = 0; stream < 200; stream++) {
    const backlog = new Backlog(memory, share)
    backlogs.push(backlog)
    for (let turn = 0; turn < 16; turn++) backlog.append(memory.arena.inbox, SOURCE)
  }
  return backlogs
}

describe("a machine's part of the heap", () => {
  it("is half of it where nobody else wants any, a third each for two, and never all", () => {
    const memory = new PoolMemory({ heapBytes: HEAP, slots: 8 })
    const [one, two] = [new HeapShare(), new HeapShare()]
    greedy(memory, one)
    expect(one.taken).toBeGreaterThan(0.48 * HEAP)
    expect(one.taken).toBeLessThanOrEqual(HEAP / 2)
    greedy(memory, two)
    expect(two.taken).toBeGreaterThan(0.23 * HEAP)
    expect(memory.arena.heap.used).toBeLessThan(0.8 * HEAP)
    // A third still has something, though the others take all that they can.
    const three = new Backlog(memory, new HeapShare())
    expect(three.append(memory.arena.inbox, 4096)).toBe(4096)
    expect(three.room).toBeGreaterThan(0)
  })

  it("is given back with what was discarded, cleared, or made smaller", () => {
    const memory = new PoolMemory({ heapBytes: HEAP, slots: 8 })
    const share = new HeapShare()
    const backlogs = greedy(memory, share)
    for (const [index, backlog] of backlogs.entries()) {
      if (index % 2 === 0) backlog.clear()
      else backlog.discard(backlog.bytes)
    }
    const trickle = new Backlog(memory, share)
    trickle.reserve(SOURCE)
    trickle.put(10)
    expect(share.taken).toBe(1024)
    trickle.clear()
    expect(share.taken).toBe(0)
    expect(memory.arena.heap.used).toBe(0)
  })
})
