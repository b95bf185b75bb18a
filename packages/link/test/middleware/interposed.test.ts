import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  Capture,
  type Faults,
  InterposedLink,
  MemoryLink,
  type Observer,
  PoolMemory,
} from "../../src/index.ts"
import * as packets from "../packets.ts"
import { Recorder } from "../recorder.ts"
import { VirtualClock } from "./virtual-clock.ts"

function rig(room = 1024) {
  const memory = new PoolMemory({ heapBytes: 32 * 1024 * 1024 })
  const clock = new VirtualClock()
  const inner = new MemoryLink({ memory, room })
  const link = new InterposedLink(inner, clock)
  const recorder = new Recorder(link)
  link.start()
  const send = (index: number, length = 100): boolean => link.send(numbered(index, length), 0, length)
  const lent = (index: number): boolean => {
    const lends = link.lend(14, 86)
    if (lends) {
      memory.write(numbered(index), 14, 86, link.lent.addressAt(0))
      link.use(numbered(index), 0, 14, 86)
    }
    link.unlend()
    return lends
  }
  return { memory, clock, inner, machine: inner.machine, link, recorder, send, lent }
}

/** A frame that says its number. */
function numbered(index: number, length = 100): Uint8Array {
  const frame = new Uint8Array(length)
  frame.set(packets.u16(index), 14)
  return frame
}
const numberOf = ({ bytes }: { readonly bytes: Uint8Array }): number => packets.read16(bytes, 14)
const both = (faults: Faults, seed?: number) => ({
  incoming: faults,
  outgoing: faults,
  ...(seed === undefined ? {} : { seed }),
})

/** Writes down the numbers of what it sees. */
class Watcher implements Observer {
  readonly incoming: number[] = []
  readonly outgoing: number[] = []

  onIncoming: Observer["onIncoming"] = (frame, memory) => {
    const bytes = new Uint8Array(16)
    memory.read(frame.parts.addressAt(0), 16, bytes, 0)
    this.incoming.push(numberOf({ bytes }))
  }

  onOutgoing: Observer["onOutgoing"] = ({ headers, at, length, payload }, memory) => {
    const bytes = new Uint8Array(length + payload.bytes)
    bytes.set(headers.subarray(at, at + length))
    if (payload.count > 0) memory.read(payload.addressAt(0), payload.bytes, bytes, length)
    this.outgoing.push(numberOf({ bytes }))
  }
}

describe("InterposedLink", () => {
  it("lends the machine's own memory and copies nothing while nothing is in it", () => {
    const { link, inner, machine, recorder, memory, send } = rig()
    machine.send(numbered(1))
    inner.settle()
    expect(recorder.frames.map(numberOf)).toEqual([1])
    expect([recorder.settles, recorder.carriers]).toEqual([1, [true]])
    expect(link.lend(14, 86)).toBe(true)
    expect(link.lent).toBe(inner.lent)
    link.unlend()
    send(2)
    inner.settle()
    expect(machine.takeAll().map(numberOf)).toEqual([2])
    expect(memory.arena.heap.used).toBe(0)
  })

  it("shows frames to whoever watches, for as long as they do", () => {
    const { link, inner, machine, recorder, send, lent } = rig()
    const [one, two] = [new Watcher(), new Watcher()]
    const round = (index: number): void => {
      machine.send(numbered(index))
      send(index + 1)
      lent(index + 2)
      inner.settle()
    }
    round(10)
    const forgetOne = link.observe(one)
    round(20)
    const forgetTwo = link.observe(two)
    round(30)
    forgetOne()
    forgetOne()
    round(40)
    forgetTwo()
    round(50)
    expect([one.incoming, one.outgoing]).toEqual([
      [20, 30],
      [21, 22, 31, 32],
    ])
    expect([two.incoming, two.outgoing]).toEqual([
      [30, 40],
      [31, 32, 41, 42],
    ])
    expect(recorder.frames.map(numberOf)).toEqual([10, 20, 30, 40, 50])
    expect(machine.takeAll().map(numberOf)).toEqual([11, 12, 21, 22, 31, 32, 41, 42, 51, 52])
  })

  it("takes no UDP that is still to be cut while somebody watches, or there are faults", () => {
    const offloads = { checksum: true, tcp4: true, tcp6: true, udp: true }
    const inner = new MemoryLink({ memory: new PoolMemory({ heapBytes: 4 * 1024 * 1024 }), offloads })
    const link = new InterposedLink(inner, new VirtualClock())
    link.start()
    const without = { checksum: true, tcp4: true, tcp6: true }
    expect(link.offloads).toEqual(offloads)
    const forget = link.observe(new Watcher())
    expect(link.offloads).toEqual(without)
    forget()
    expect(link.offloads).toEqual(offloads)
    link.setFaults(both({ loss: 0.5 }))
    expect(link.offloads).toEqual(without)
    link.setFaults(undefined)
    expect(link.offloads).toEqual(offloads)
  })

  it("delays with faults in, and lets what is under way arrive when they are out", () => {
    const { link, inner, machine, recorder, clock, memory, send, lent } = rig()
    link.setFaults(both({ delayMs: 1000 }))
    machine.send(numbered(1))
    send(2)
    lent(3)
    inner.settle()
    clock.pass(500)
    expect([recorder.frames.length, machine.received.length]).toEqual([0, 0])
    link.setFaults(undefined)
    clock.pass(clock.now)
    inner.settle()
    expect(recorder.frames.map(numberOf)).toEqual([1])
    expect(machine.takeAll().map(numberOf)).toEqual([2, 3])
    send(4)
    inner.settle()
    expect(machine.takeAll().map(numberOf)).toEqual([4])
    expect(memory.arena.heap.used).toBe(0)
    expect(link.faultCounts.delayed).toBe(3)
    expect(link.lend(14, 86)).toBe(true)
    expect(link.lent).toBe(inner.lent)
    link.unlend()
  })

  it("leaves what is under way to its time when faults become others", () => {
    const { link, inner, machine, clock, send } = rig()
    link.setFaults(both({ delayMs: 100 }))
    send(1)
    link.setFaults(both({ delayMs: 10 }))
    send(2)
    clock.pass(99)
    inner.settle()
    expect(machine.received).toEqual([])
    clock.pass(100)
    inner.settle()
    expect(machine.takeAll().map(numberOf)).toEqual([1, 2])
  })

  it("draws the same numbers again with a seed, and goes on without one", () => {
    const { link, inner, machine, send } = rig()
    const lost = (seed?: number): readonly number[] => {
      link.setFaults(both({ loss: 0.5 }, seed))
      for (let index = 0; index < 64; index++) send(index)
      inner.settle()
      return machine.takeAll().map(numberOf)
    }
    const first = lost(7)
    expect(first.length).toBeGreaterThan(0)
    expect(first.length).toBeLessThan(64)
    expect(lost()).not.toEqual(first)
    expect(lost(7)).toEqual(first)
    expect(lost(8)).not.toEqual(first)
  })

  it("shows who watches what the machine sends and gets, faults or not", () => {
    const { link, inner, machine, send, clock, recorder } = rig()
    const watcher = new Watcher()
    link.setFaults(both({ loss: 1 }))
    link.observe(watcher)
    machine.send(numbered(1))
    send(2)
    inner.settle()
    expect([watcher.incoming, watcher.outgoing, recorder.frames]).toEqual([[1], [], []])
    link.setFaults(both({ delayMs: 5 }))
    send(3)
    expect(watcher.outgoing).toEqual([])
    clock.pass(5)
    expect(watcher.outgoing).toEqual([3])
  })

  it("tells of room that was missed while frames were lent by the faults", () => {
    const { link, machine, recorder, clock } = rig()
    link.setFaults(both({ delayMs: 1 }))
    machine.unplug()
    expect(link.lend(14, 86)).toBe(false)
    link.unlend()
    machine.plug()
    clock.pass(clock.now)
    expect(recorder.rooms).toBe(1)
    machine.unplug()
    expect(link.lend(14, 86)).toBe(false)
    link.unlend()
    link.setFaults(undefined)
    clock.pass(clock.now)
    expect(recorder.rooms).toBe(2)
  })

  it("moves nothing within a turn, or between lending and giving back", () => {
    const { link, inner, machine, recorder, memory, clock } = rig()
    // A turn whose first frame puts a watcher and faults in, and whose third takes them out.
    const watcher = new Watcher()
    let forget = (): void => undefined
    recorder.answer = (heard) => {
      if (numberOf(heard) === 1) {
        forget = link.observe(watcher)
        link.setFaults(both({ delayMs: 50 }))
      }
      if (numberOf(heard) === 3) link.setFaults(undefined)
    }
    for (let index = 0; index < 5; index++) machine.send(numbered(index))
    inner.settle()
    expect([recorder.frames.map(numberOf), recorder.settles]).toEqual([[0, 1, 2, 3, 4], 1])
    expect(watcher.incoming).toEqual([])
    machine.send(numbered(9))
    inner.settle()
    expect([watcher.incoming, recorder.settles]).toEqual([[9], 2])

    expect([link.lend(14, 86), link.lend(14, 86)]).toEqual([true, true])
    forget()
    link.setFaults(both({ loss: 1 }))
    memory.write(numbered(5), 14, 86, link.lent.addressAt(0))
    link.use(numbered(5), 0, 14, 86)
    link.unlend()
    inner.settle()
    expect(machine.takeAll().map(numberOf)).toEqual([5])
    expect(watcher.outgoing).toEqual([])
    link.setFaults(undefined)
    clock.pass(clock.now)
    expect(memory.arena.heap.used).toBe(0)
  })

  it("takes no more than its share of memory for what is late", () => {
    const { link, machine, clock, memory, send, inner } = rig(40_000)
    link.setFaults({ incoming: {}, outgoing: { delayMs: 3_600_000 } })
    for (let index = 0; index < 20_000; index++) send(index)
    expect(memory.arena.heap.used).toBe(16 * 1024 * 1024)
    link.setFaults(undefined)
    clock.pass(clock.now)
    inner.settle()
    expect(machine.takeAll()).toHaveLength(16 * 1024)
    expect(memory.arena.heap.used).toBe(0)
  })

  it("gives back all memory when it ends, whatever is under way", () => {
    const { link, machine, inner, memory, send } = rig()
    link.setFaults(both({ delayMs: 10 }))
    machine.send(numbered(1))
    inner.settle()
    send(1)
    link.setFaults(undefined)
    link.setFaults(both({ delayMs: 10 }))
    send(2)
    link.lend(14, 86)
    link[Symbol.dispose]()
    expect(memory.arena.heap.used).toBe(0)
  })

  it("loses and doubles nothing by itself, whatever is plugged in and out", () => {
    const step = fc.oneof(
      fc.constant("in" as const),
      fc.constant("out" as const),
      fc.constant("lent" as const),
      fc.constant("watch" as const),
      fc.constant("forget" as const),
      fc.constant("healthy" as const),
      fc.integer({ min: 0, max: 20 }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { link, machine, inner, recorder, clock, memory, send, lent } = rig()
        const forgets: (() => void)[] = []
        let sent = 0
        let received = 0
        for (const each of steps) {
          if (each === "in") machine.send(numbered(received++))
          else if (each === "out") send(sent++)
          else if (each === "lent") lent(sent++)
          else if (each === "watch") forgets.push(link.observe(new Watcher()))
          else if (each === "forget") forgets.pop()?.()
          else if (each === "healthy") link.setFaults(undefined)
          else link.setFaults(both({ delayMs: each, jitterMs: each }))
          inner.settle()
          clock.pass(clock.now + 1)
        }
        clock.pass(clock.now + 1000)
        inner.settle()
        const order = (numbers: readonly number[]): readonly number[] => numbers.toSorted((a, b) => a - b)
        const all = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index)
        expect(order(recorder.frames.map(numberOf))).toEqual(all(received))
        expect(order(machine.takeAll().map(numberOf))).toEqual(all(sent))
        expect(memory.arena.heap.used).toBe(0)
      }),
      { numRuns: 200 },
    )
  })

  it("goes on when a capture ends by itself, in whatever it is just sending", () => {
    const { link, inner, machine, recorder, send, lent } = rig()
    const ends: string[] = []
    let forget = (): void => undefined
    const capture = new Capture(() => true, {
      maxBytes: 600,
      onEnd: (reason) => {
        ends.push(reason)
        forget()
      },
    })
    forget = link.observe(capture.observer("one"))
    for (let index = 0; index < 10; index++) {
      lent(index)
      machine.send(numbered(index))
      send(index)
      inner.settle()
    }
    expect(ends).toEqual(["the file is as long as it may be"])
    expect(capture.bytes).toBeLessThanOrEqual(600)
    expect(capture.frames).toBe(3)
    expect(recorder.frames).toHaveLength(10)
    expect(machine.takeAll()).toHaveLength(20)
  })
})
