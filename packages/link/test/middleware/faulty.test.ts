import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { type Faults, FaultyLink, MemoryLink, PoolMemory } from "../../src/index.ts"
import { Impairment } from "../../src/middleware/impairment.ts"
import { seededRandom } from "../../src/middleware/random.ts"
import * as packets from "../packets.ts"
import { Recorder } from "../recorder.ts"
import { VirtualClock } from "./virtual-clock.ts"

function rig(incoming: Faults, outgoing: Faults = {}, seed = 1) {
  const memory = new PoolMemory({ heapBytes: 16 * 1024 * 1024 })
  const clock = new VirtualClock()
  const inner = new MemoryLink({ memory, offloads: { checksum: true, tcp4: true, tcp6: true } })
  const link = new FaultyLink(inner, { clock, seed, incoming, outgoing })
  const recorder = new Recorder(link)
  link.start()
  return { memory, clock, inner, machine: inner.machine, link, recorder }
}

/** A frame that says its number. */
const numbered = (index: number, length = 100): Uint8Array => {
  const frame = new Uint8Array(length)
  frame.set(packets.u16(index), 14)
  return frame
}
const numberOf = ({ bytes }: { readonly bytes: Uint8Array }): number => packets.read16(bytes, 14)

describe("seededRandom()", () => {
  it("is the same for the same seed, and spread evenly", () => {
    const draw = (seed: number): number[] => Array.from({ length: 10_000 }, seededRandom(seed))
    expect(draw(7)).toEqual(draw(7))
    expect(draw(7)).not.toEqual(draw(8))
    const tenths = Array.from({ length: 10 }, () => 0)
    for (const value of draw(1)) tenths[Math.floor(value * 10)]!++
    for (const count of tenths) expect(Math.abs(count - 1000)).toBeLessThan(120)
  })
})

describe("Impairment", () => {
  it("loses, corrupts and doubles as many as it is told", () => {
    const impairment = new Impairment({ loss: 0.1, corrupt: 0.05, duplicate: 0.2 }, seededRandom(3))
    for (let count = 0; count < 10_000; count++) impairment.decide(100, 0)
    const { lost, corrupted, duplicated, delayed } = impairment.counts
    expect(Math.abs(lost - 1000)).toBeLessThan(120)
    expect(Math.abs(corrupted - 450)).toBeLessThan(90)
    expect(Math.abs(duplicated - 1800)).toBeLessThan(150)
    expect(delayed).toBe(0)
  })

  it("loses the same frames whatever else happens to them", () => {
    const lost = (faults: Faults): number[] => {
      const impairment = new Impairment({ loss: 0.1, ...faults }, seededRandom(5))
      return Array.from({ length: 500 }, (_, index) => index).filter(
        () => impairment.decide(100, 0).copies === 0,
      )
    }
    expect(lost({ delayMs: 10, jitterMs: 5, duplicate: 0.5, corrupt: 0.5, reorder: 0.3 })).toEqual(lost({}))
  })

  it("is a line of so many bits a second, with a queue", () => {
    const impairment = new Impairment({ bitsPerSecond: 8_000_000, queueBytes: 3000 }, seededRandom(1))
    // A byte takes a microsecond.
    const arrivals = Array.from({ length: 6 }, () => {
      const { at, copies } = impairment.decide(1000, 0)
      return copies === 0 ? undefined : at
    })
    expect(arrivals).toEqual([1, 2, 3, 4, undefined, undefined])
    expect(impairment.decide(1000, 10).at).toBe(11)
    expect(impairment.counts.overflowed).toBe(2)
  })
})

describe("FaultyLink", () => {
  it("changes nothing where it has nothing to do, and copies nothing", () => {
    const { machine, link, inner, recorder, memory } = rig({})
    for (let index = 0; index < 20; index++) machine.send(numbered(index), { checksumStart: 34 })
    inner.settle()
    expect(recorder.frames.map(numberOf)).toEqual(Array.from({ length: 20 }, (_, index) => index))
    expect(recorder.frames[3]).toMatchObject({ trusted: true, offload: { checksumStart: 34 } })
    expect(recorder.settles).toBe(2)
    expect([link.lend(14, 86), link.lend(14, 86)]).toEqual([true, true])
    expect(link.lent.addressAt(1)).toBe(inner.lent.addressAt(1))
    memory.write(numbered(9), 14, 86, link.lent.addressAt(0))
    link.use(numbered(0), 0, 14, 86)
    link.unlend()
    inner.settle()
    expect(machine.takeAll().map(numberOf)).toEqual([9])
    expect(memory.arena.heap.used).toBe(0)
  })

  it("delays in order, jitter or not", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat({ max: 50 }), (seed, jitterMs) => {
        const { machine, inner, recorder, clock, memory, link } = rig({ delayMs: 20, jitterMs }, {}, seed)
        const heardAt: number[] = []
        recorder.answer = () => heardAt.push(clock.now)
        for (let index = 0; index < 30; index++) {
          machine.send(numbered(index))
          inner.settle()
          clock.pass(clock.now + 1)
        }
        clock.pass(1000)
        expect(recorder.frames.map(numberOf)).toEqual(Array.from({ length: 30 }, (_, index) => index))
        for (const [index, at] of heardAt.entries()) {
          expect(at).toBeGreaterThanOrEqual(index + 20)
          expect(at).toBeLessThanOrEqual(index + 20 + 30 + jitterMs)
        }
        expect(link.faults.incoming.delayed).toBe(30)
        expect(memory.arena.heap.used).toBe(0)
      }),
      { numRuns: 20 },
    )
  })

  it("lets others pass those that it reorders", () => {
    const { machine, inner, recorder, clock, link } = rig({ reorder: 0.2, reorderMs: 3 })
    for (let index = 0; index < 100; index++) {
      machine.send(numbered(index))
      inner.settle()
      clock.pass(clock.now + 1)
    }
    clock.pass(1000)
    const order = recorder.frames.map(numberOf)
    expect(order.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, index) => index))
    const { reordered } = link.faults.incoming
    expect(reordered).toBeGreaterThan(5)
    // Those that were late come after a greater number.
    const late = order.filter((number, index) => order.slice(0, index).some((before) => before > number))
    expect(late.length).toBeGreaterThan(0)
    expect(late.length).toBeLessThanOrEqual(reordered)
  })

  it("does the same again with the same seed, and to the machine as well", () => {
    const faults = { loss: 0.1, duplicate: 0.1, delayMs: 5, jitterMs: 9, reorder: 0.1 }
    const run = (seed: number): readonly number[] => {
      const { machine, inner, link, clock, memory } = rig({}, faults, seed)
      for (let index = 0; index < 200; index++) {
        if (index % 2 === 0) link.send(numbered(index), 0, 100)
        else if (link.lend(14, 86)) {
          memory.write(numbered(index), 14, 86, link.lent.addressAt(0))
          link.use(numbered(0), 0, 14, 86)
        }
        link.unlend()
        clock.pass(clock.now + 1)
      }
      clock.pass(5000)
      inner.settle()
      expect(memory.arena.heap.used).toBe(0)
      const { lost, duplicated } = link.faults.outgoing
      const got = machine.takeAll().map(numberOf)
      expect(got).toHaveLength(200 - lost + duplicated)
      return got
    }
    expect(run(1)).toEqual(run(1))
    expect(run(1)).not.toEqual(run(2))
  })

  it("corrupts so that checksums tell, though they were to be finished", () => {
    const { machine, inner, link, recorder, clock } = rig({ corrupt: 1 }, { corrupt: 1 })
    const ends = { from: "10.0.0.1", to: "10.0.0.2", fromPort: 1, toPort: 2 }
    const datagram = packets.udp4(ends, new Uint8Array(500), true)
    const frame = packets.ethernet("02:00:00:00:00:01", "02:00:00:00:00:02", 0x0800, datagram)
    const offload = { checksumStart: 34, checksumOffset: 6, gso: 0, segmentSize: 0, headerLength: 0 }
    for (let count = 0; count < 50; count++) {
      machine.send(frame, offload)
      link.send(frame, 0, frame.length, undefined, offload)
      inner.settle()
    }
    // What is due at once comes with the next timers.
    clock.pass(1)
    inner.settle()
    const out = machine.takeAll()
    expect([recorder.frames.length, out.length]).toEqual([50, 50])
    for (const { bytes, offload } of out) {
      expect(offload.checksumStart).toBe(0)
      expect(packets.complaint(bytes.subarray(14))).not.toBe("")
    }
    for (const { bytes, offload, trusted } of recorder.frames) {
      expect([offload.checksumStart, trusted]).toEqual([0, false])
      expect(packets.complaint(bytes.subarray(14))).not.toBe("")
    }
  })

  it("partitions, and heals", () => {
    const { machine, inner, link, recorder } = rig({ partition: true }, { partition: true })
    machine.send(numbered(1))
    expect(link.send(numbered(1), 0, 100)).toBe(true)
    inner.settle()
    expect([recorder.frames, machine.takeAll(), recorder.settles]).toEqual([[], [], 0])
    link.setFaults({}, {})
    machine.send(numbered(2))
    expect(link.send(numbered(3), 0, 100)).toBe(true)
    inner.settle()
    expect([recorder.frames.map(numberOf), machine.takeAll().map(numberOf)]).toEqual([[2], [3]])
    expect(link.faults).toMatchObject({ incoming: { lost: 1 }, outgoing: { lost: 1 } })
  })

  it("lends its own memory, bounded, and tells of room", () => {
    const { clock, link, recorder, memory } = rig({}, { delayMs: 10 })
    let lent = 0
    while (link.lend(54, 1400)) lent++
    expect(lent).toBe(64)
    link.unlend()
    expect(memory.arena.heap.used).toBe(0)
    clock.pass(1)
    expect(recorder.rooms).toBe(1)
    expect(() => {
      link.lend(14, 1)
      link.use(numbered(0), 0, 14, 1)
      link.use(numbered(0), 0, 14, 1)
    }).toThrow(/not lent/)
  })

  it("gives back what it holds when it ends", () => {
    const { machine, inner, link, memory } = rig({ delayMs: 10 }, { delayMs: 10 })
    machine.send(numbered(1))
    inner.settle()
    link.send(numbered(1), 0, 100)
    expect(memory.arena.heap.used).toBeGreaterThan(0)
    link[Symbol.dispose]()
    expect(memory.arena.heap.used).toBe(0)
  })
})
