import { describe, expect, it } from "vitest"
import { HEAD, MemoryLink, type MemoryLinkOptions, Parts, PoolMemory } from "../src/index.ts"
import { Recorder } from "./recorder.ts"

const frameOf = (length: number, value: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => index * 7 + value)

function rig(options: Partial<MemoryLinkOptions> = {}) {
  const memory = new PoolMemory({ heapBytes: 4 * 1024 * 1024 })
  const link = new MemoryLink({ memory, ...options })
  const recorder = new Recorder(link)
  link.start()
  return { memory, link, recorder, machine: link.machine }
}

describe("MemoryLink", () => {
  it.each([undefined, 1, 100])(
    "brings what the machine sends, a turn at a time, in pieces of %s",
    (pieces) => {
      const { memory, link, recorder, machine } = rig(pieces === undefined ? {} : { pieces })
      for (let index = 0; index < 20; index++) machine.send(frameOf(600 + index, index))
      machine.send(frameOf(13, 0))
      expect(recorder.frames).toEqual([])
      expect(link.deliver()).toBe(true)
      expect([recorder.frames.length, recorder.settles, memory.arena.heap.used]).toEqual([16, 1, 0])
      link.settle()
      expect([recorder.frames.length, recorder.settles]).toEqual([20, 2])
      for (const [index, { bytes }] of recorder.frames.entries())
        expect(bytes).toEqual(frameOf(600 + index, index))
      expect(link.counters).toMatchObject({ framesIn: 20, malformed: 1 })
    },
  )

  it("shows no more of a frame than its head, and vouches for what is left to the receiver", () => {
    const { link, machine } = rig()
    const seen: unknown[] = []
    link.receiver = {
      onFrame: ({ bytes, head, trusted, offload }) =>
        seen.push([bytes.length, head, trusted, offload.checksumStart]),
      onSettle: () => undefined,
      onRoom: () => undefined,
      onCarrier: () => undefined,
    }
    machine.send(frameOf(1000, 1))
    machine.send(frameOf(60, 1), { checksumStart: 34, checksumOffset: 6 })
    link.deliver()
    expect(seen).toEqual([
      [HEAD, HEAD, false, 0],
      [60, 60, true, 34],
    ])
  })

  it("takes to the machine what is sent and lent, in order", () => {
    const { memory, link, machine } = rig({ pieces: 64 })
    const payload = memory.allocate(10)
    memory.write(frameOf(10, 3), 0, 10, payload)
    const parts = new Parts()
    parts.push(payload, 4)
    parts.push(payload + 6, 4)
    expect(link.send(frameOf(20, 0), 1, 14, parts)).toBe(true)
    expect([link.lend(54, 100), link.lend(54, 100), link.lent.bytes, link.lent.count]).toEqual([
      true,
      true,
      200,
      4,
    ])
    memory.write(frameOf(64, 9), 0, 64, link.lent.addressAt(0))
    memory.write(frameOf(36, 19), 0, 36, link.lent.addressAt(1))
    link.use(frameOf(14, 0), 0, 14, 70)
    link.unlend()
    expect(machine.received).toEqual([])
    link.settle()
    expect(machine.takeAll().map(({ bytes }) => [...bytes])).toEqual([
      [...frameOf(20, 0).subarray(1, 15), ...frameOf(4, 3), ...frameOf(10, 3).subarray(6)],
      [...frameOf(14, 0), ...frameOf(64, 9), ...frameOf(6, 19)],
    ])
    memory.free(payload, 10)
    expect(memory.arena.heap.used).toBe(0)
    expect(() => link.use(frameOf(14, 0), 0, 14, 0)).toThrow(/not lent/)
  })

  it("has so much room, and tells when there is some again", () => {
    const { link, recorder, machine } = rig({ room: 3 })
    const send = (): boolean => link.send(frameOf(60, 0), 0, 60)
    expect([send(), link.lend(54, 10), link.lend(54, 10), link.lend(54, 10), send()]).toEqual([
      true,
      true,
      true,
      false,
      false,
    ])
    link.unlend()
    expect([send(), send(), send()]).toEqual([true, true, false])
    link.settle()
    expect(recorder.rooms).toBe(0)
    machine.takeAll()
    link.settle()
    expect([recorder.rooms, send(), link.counters.droppedOut]).toEqual([1, true, 2])
  })

  it("loses what is under way when the machine is unplugged", () => {
    const { link, recorder, machine } = rig()
    machine.send(frameOf(60, 0))
    link.send(frameOf(60, 0), 0, 60)
    machine.unplug()
    expect(link.send(frameOf(60, 0), 0, 60)).toBe(false)
    link.settle()
    machine.plug()
    link.settle()
    expect([recorder.frames.length, machine.received.length]).toEqual([0, 0])
    expect([recorder.carriers, recorder.rooms]).toEqual([[true, false, true], 1])
  })

  it("asks to be scheduled once, and answers go the same way", () => {
    const due: (() => void)[] = []
    const { link, recorder, machine } = rig({ schedule: (deliver) => due.push(deliver) })
    const answers: number[] = []
    machine.onFrame = ({ bytes }) => answers.push(bytes.length)
    recorder.answer = ({ bytes }) => link.send(bytes, 0, bytes.length)
    machine.send(frameOf(60, 0))
    machine.send(frameOf(61, 0))
    expect(due).toHaveLength(1)
    due.shift()?.()
    expect(answers).toEqual([60, 61])
    for (let count = 0; count < 5; count++) due.shift()?.()
    expect(due).toEqual([])
  })
})
