// Frames out of bytes, however these are cut: both ways of reading find the same ones.

import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { PoolMemory } from "../../src/index.ts"
import { Parts } from "../../src/parts.ts"
import { Inflow } from "../../src/stream/inflow.ts"
import { framed, frameOf } from "./peer.ts"

type Way = "into places" | "in one"

/** Reads `bytes` in pieces of these lengths, over and over. */
function read(way: Way, bytes: Uint8Array, cuts: readonly number[]) {
  const memory = new PoolMemory({ heapBytes: 4 * 1024 * 1024, slots: 1 })
  const inflow = new Inflow(memory)
  const places = new Parts()
  const frames: Buffer[] = []
  const onFrame = (at: number, length: number): boolean => {
    frames.push(Buffer.from(memory.bytes.subarray(at, at + length)))
    return true
  }
  let at = 0
  for (let turn = 0; at < bytes.length; turn++) {
    const length = Math.min(cuts[turn % cuts.length] ?? 1, bytes.length - at)
    const piece = bytes.subarray(at, at + length)
    at += length
    if (way === "in one") {
      // What lies in the inbox between turns is another link's.
      memory.bytes.fill(0x11, memory.arena.inbox, memory.arena.inbox + 1000)
      memory.bytes.set(piece, memory.arena.inbox)
      const broken = inflow.takeInOne(length, onFrame)
      inflow.settle()
      if (broken !== undefined) return { frames, broken, memory, inflow }
      continue
    }
    inflow.prepare(places)
    let done = 0
    for (let index = 0; index < places.count; index++) {
      const part = piece.subarray(done, done + places.lengthAt(index))
      memory.bytes.set(part, places.addressAt(index))
      done += part.length
    }
    const broken = inflow.take(length, onFrame)
    inflow.settle()
    if (broken !== undefined) return { frames, broken, memory, inflow }
  }
  return { frames, broken: undefined, memory, inflow }
}

for (const way of ["into places", "in one"] as const) {
  describe(`Inflow, read ${way}`, () => {
    it("finds every frame, wherever the reads are cut", () => {
      fc.assert(
        fc.property(
          fc.array(fc.oneof(fc.integer({ min: 14, max: 200 }), fc.integer({ min: 14, max: 65_553 })), {
            maxLength: 12,
          }),
          fc.array(fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 150_000 })), {
            minLength: 1,
            maxLength: 8,
          }),
          (lengths, cuts) => {
            const sent = lengths.map((length, index) => Buffer.from(frameOf(length, index)))
            const { frames, broken, memory, inflow } = read(way, Buffer.concat(sent.map(framed)), cuts)
            expect(broken).toBeUndefined()
            expect(frames.map((frame) => frame.toString("latin1"))).toEqual(
              sent.map((frame) => frame.toString("latin1")),
            )
            inflow.clear()
            expect(memory.arena.heap.used).toBe(0)
          },
        ),
        { numRuns: 40 },
      )
    })

    it("says what no frame is", () => {
      const good = framed(frameOf(60, 1))
      for (const [length, reason] of [
        [13, "too-short"],
        [0, "too-short"],
        [65_554, "too-long"],
        [0xffff_ffff, "too-long"],
      ] as const) {
        const prefix = Buffer.alloc(4)
        prefix.writeUInt32BE(length)
        for (const cut of [1, 3, 1000]) {
          const { frames, broken } = read(way, Buffer.concat([good, prefix, Buffer.alloc(20)]), [cut])
          expect([frames.length, broken]).toEqual([1, reason])
        }
      }
    })

    it("passes over a frame that there is no memory for, and over no more", () => {
      const memory = new PoolMemory({ heapBytes: 4 * 1024 * 1024, slots: 1 })
      expect(memory.allocate(4 * 1024 * 1024)).toBeGreaterThan(0)
      const inflow = new Inflow(memory)
      const lengths: number[] = []
      const feed = (bytes: Uint8Array): void => {
        const places = new Parts()
        if (way === "into places") inflow.prepare(places)
        memory.bytes.set(bytes, memory.arena.inbox)
        const onFrame = (_at: number, length: number): boolean => lengths.push(length) > 0
        if (way === "in one") inflow.takeInOne(bytes.length, onFrame)
        else inflow.take(bytes.length, onFrame)
        inflow.settle()
      }
      const long = framed(frameOf(3000, 1))
      feed(long.subarray(0, 1000))
      feed(long.subarray(1000, 2000))
      feed(Buffer.concat([long.subarray(2000), framed(frameOf(70, 2))]))
      expect([lengths, inflow.lost]).toEqual([[70], 1])
    })
  })
}
