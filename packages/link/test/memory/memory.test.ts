import { readFileSync } from "node:fs"
import { Loop } from "@skep/loop"
import { mapAnonymous } from "@skep/loop/memory"
import fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import { type Memory, PoolMemory, SystemMemory } from "../../src/index.ts"

const MIB = 1024 * 1024
const system = new SystemMemory({ heapBytes: 8 * MIB })
const mapping = mapAnonymous(256 * 1024)
const outside = new Uint8Array(mapping.view(0, mapping.length))
afterAll(() => {
  mapping[Symbol.dispose]()
  system[Symbol.dispose]()
})

/** RFC 1071, section 4.1, word by word. */
function plainSum(bytes: Uint8Array, seed: number): number {
  let total = seed
  for (const [index, byte] of bytes.entries()) {
    total += index % 2 === 0 ? byte << 8 : byte
    total = (total & 0xffff) + (total >>> 16)
  }
  return total
}

describe.each<[string, Memory]>([
  ["SystemMemory", system],
  ["PoolMemory", new PoolMemory({ heapBytes: 8 * MIB })],
])("%s", (_, memory) => {
  it("gives back what was written, and copies it", () => {
    const lengths = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 70_000 }))
    fc.assert(
      fc.property(lengths, fc.nat({ max: 7 }), fc.nat({ max: 255 }), (length, skew, value) => {
        const from = memory.allocate(length + skew)
        const to = memory.allocate(length)
        const bytes = Uint8Array.from({ length: length + 5 }, (__, index) => index + value)
        memory.write(bytes, 5, length, from + skew)
        memory.copy(from + skew, to, length)
        const back = new Uint8Array(length + 2)
        memory.read(to, length, back, 1)
        expect(Buffer.compare(back.subarray(1, -1), bytes.subarray(5))).toBe(0)
        expect([back[0], back.at(-1)]).toEqual([0, 0])
        memory.free(from, length + skew)
        memory.free(to, length)
      }),
    )
  })

  it("sums up as RFC 1071 does, odd lengths and places as well", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ min: 0, maxLength: 3000 }),
        fc.nat({ max: 3 }),
        fc.nat({ max: 0xffff }),
        (bytes, skew, seed) => {
          const at = memory.allocate(bytes.length + skew)
          memory.write(bytes, 0, bytes.length, at + skew)
          // 0 and 0xffff are the same number in one's complement.
          expect(memory.sum(at + skew, bytes.length, seed) % 0xffff).toBe(plainSum(bytes, seed) % 0xffff)
          memory.free(at, bytes.length + skew)
        },
      ),
    )
  })

  it("says 0 where the bound is reached, and has room again afterwards", () => {
    const blocks = Array.from({ length: 8 }, () => memory.allocate(MIB))
    expect(blocks.every((block) => block > 0)).toBe(true)
    expect(memory.allocate(1)).toBe(0)
    for (const block of blocks) memory.free(block, MIB)
    expect(memory.allocate(5 * MIB)).toBe(0)
    const block = memory.allocate(4 * MIB)
    expect(block).toBeGreaterThan(0)
    memory.free(block, 4 * MIB)
  })
})

describe("SystemMemory outside its arena", () => {
  it("reads, writes, copies and sums up by address", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 4000 }), fc.nat({ max: 5 }), (bytes, skew) => {
        const there = mapping.address + skew
        system.write(bytes, 0, bytes.length, there)
        expect(Buffer.compare(outside.subarray(skew, skew + bytes.length), bytes)).toBe(0)
        expect(system.sum(there, bytes.length, 7) % 0xffff).toBe(plainSum(bytes, 7) % 0xffff)
        const inside = system.allocate(bytes.length)
        system.copy(there, inside, bytes.length)
        system.copy(inside, there + 8192, bytes.length)
        const back = new Uint8Array(bytes.length)
        system.read(there + 8192, bytes.length, back, 0)
        expect(Buffer.compare(back, bytes)).toBe(0)
        system.free(inside, bytes.length)
      }),
    )
  })

  it("sums up more than it takes at once", () => {
    for (let index = 0; index < outside.length; index++) outside[index] = index * 7
    const sum = system.sum(mapping.address + 1, 200_001, 3)
    expect(sum % 0xffff).toBe(plainSum(outside.subarray(1, 200_002), 3) % 0xffff)
  })
})

describe("SystemMemory and the system's pages", () => {
  const residentKiB = (): number =>
    Number(/^Rss:\s+(\d+)/m.exec(readFileSync("/proc/self/smaps_rollup", "latin1"))?.[1])

  it("has none before they are used, and gives them back when they are idle", () => {
    let now = 0
    using loop = new Loop({ clock: { now: () => now } })
    using memory = new SystemMemory({ scope: loop.root, heapBytes: 64 * MIB })
    const before = residentKiB()
    const blocks = Array.from({ length: 16 }, () => memory.allocate(4 * MIB))
    expect(residentKiB() - before).toBeLessThan(8 * 1024)
    for (const block of blocks) memory.bytes.fill(1, block - memory.base, block - memory.base + 4 * MIB)
    expect(residentKiB() - before).toBeGreaterThan(56 * 1024)
    for (const block of blocks) memory.free(block, 4 * MIB)
    for (let second = 0; second < 4; second++) {
      now += 1000
      loop.step()
    }
    expect(residentKiB() - before).toBeLessThan(8 * 1024)
    expect(loop.heap.nextAt).toBe(Number.POSITIVE_INFINITY)
    const again = memory.allocate(4 * MIB)
    expect(memory.bytes[again - memory.base]).toBe(0)
  })
})
