// The stream link on Node's sockets: a machine that connects, goes, floods, does not read, sends what is no frame.

import { once } from "node:events"
import { existsSync, statSync, writeFileSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { setImmediate as turn } from "node:timers/promises"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import {
  NodeStreamIo,
  type NodeTurns,
  Parts,
  PoolMemory,
  StreamLink,
  type StreamReason,
} from "../../src/index.ts"
import { Recorder } from "../recorder.ts"
import { framed, frameOf } from "./peer.ts"

const MIB = 1024 * 1024
const HEADERS = 54

/** As the driver's: everything of one round, then the hooks. */
class RoundTurns implements NodeTurns {
  readonly #hooks = new Set<() => void>()
  #begun = false

  begin(): void {
    if (this.#begun) return
    this.#begun = true
    setImmediate(() => {
      for (const hook of this.#hooks) hook()
      this.#begun = false
    })
  }

  onEnd(callback: () => void): () => void {
    this.#hooks.add(callback)
    return () => void this.#hooks.delete(callback)
  }
}

async function rig(mtu = 1500) {
  const directory = await temporaryDirectory()
  const listen = directory.at("net.sock")
  const memory = new PoolMemory({ heapBytes: 8 * MIB, slots: 4 })
  const reasons: StreamReason[] = []
  const io = new NodeStreamIo({ turns: new RoundTurns(), memory, listen })
  const onEnd = (reason: StreamReason): void => void reasons.push(reason)
  const link = new StreamLink({ name: "node", memory, mtu, io, onEnd })
  const recorder = new Recorder(link)
  link.start()
  const machines: Socket[] = []
  return {
    listen,
    memory,
    reasons,
    link,
    recorder,
    machine: async () => {
      const socket = connect(listen)
      socket.on("error", () => undefined)
      machines.push(socket)
      await once(socket, "connect")
      return socket
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of machines) socket.destroy()
      link[Symbol.dispose]()
      expect(memory.arena.heap.used).toBe(0)
      await until(() => !existsSync(listen))
      await directory[Symbol.asyncDispose]()
    },
  }
}

async function until(condition: () => boolean): Promise<void> {
  for (let left = 100_000; left > 0 && !condition(); left--) await turn()
  expect(condition()).toBe(true)
}

/** The frames that come to a machine. */
function framesTo(socket: Socket): () => Buffer[] {
  const chunks: Buffer[] = []
  socket.on("data", (chunk: Buffer) => chunks.push(chunk))
  return () => {
    const bytes = Buffer.concat(chunks)
    const frames: Buffer[] = []
    for (let at = 0; at + 4 <= bytes.length; at += 4 + bytes.readUInt32BE(at))
      frames.push(bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at)))
    return frames
  }
}

describe("a stream link on Node's sockets", () => {
  it("carries frames both ways", async () => {
    await using it = await rig()
    const { link, recorder } = it
    expect(statSync(it.listen).mode & 0o777).toBe(0o600)
    const machine = await it.machine()
    await until(() => link.carrier)
    const got = framesTo(machine)
    const frames = [60, 1514, 14, 900].map((length, index) => frameOf(length, index))
    recorder.answer = ({ bytes }) => void link.send(bytes, 0, bytes.length)
    for (const frame of frames) machine.write(framed(frame))
    await until(() => got().length === frames.length)
    expect(recorder.frames.map(({ bytes }) => Buffer.from(bytes))).toEqual(
      frames.map((frame) => Buffer.from(frame)),
    )
    expect(got()).toEqual(frames.map((frame) => Buffer.from(frame)))
    expect(link.counters).toMatchObject({ framesIn: 4, framesOut: 4, malformed: 0, droppedOut: 0, peers: 1 })
  })

  it("sends what was lent, headers shorter than was thought among them", async () => {
    await using it = await rig()
    const { link, memory } = it
    const machine = await it.machine()
    await until(() => link.carrier)
    const got = framesTo(machine)
    const headers = frameOf(HEADERS, 5)
    for (let frame = 0; frame < 3; frame++) expect(link.lend(HEADERS + 12, 1000)).toBe(true)
    for (let frame = 0; frame < 2; frame++) {
      memory.write(frameOf(1000, 50 + frame), 0, 1000, link.lent.addressAt(frame))
      link.use(headers, 0, HEADERS, 1000 - frame)
    }
    link.unlend()
    await until(() => got().length === 2)
    const expected = [0, 1].map((frame) =>
      Buffer.concat([headers, frameOf(1000, 50 + frame).subarray(0, 1000 - frame)]),
    )
    expect(got()).toEqual(expected)
    await until(() => memory.arena.heap.used === 0)
  })

  it("holds back for a machine that does not read, and tells of room", async () => {
    await using it = await rig()
    const { link, recorder, memory } = it
    const machine = await it.machine()
    await until(() => link.carrier)
    const headers = frameOf(HEADERS, 1)
    const payload = new Parts()
    payload.push(memory.arena.scratch, 1400)
    let sent = 0
    let refused = 0
    await until(() => {
      memory.bytes.fill(sent, memory.arena.scratch, memory.arena.scratch + 1400)
      if (link.send(headers, 0, HEADERS, payload)) {
        sent++
        refused = 0
      } else refused++
      return refused > 2000
    })
    expect(memory.arena.heap.used).toBeLessThanOrEqual(512 * 1024)
    expect(recorder.rooms).toBe(0)
    const got = framesTo(machine)
    await until(() => recorder.rooms > 0 && got().length === sent)
    for (const [index, frame] of got().entries()) {
      expect(frame.length).toBe(HEADERS + 1400)
      expect([frame[HEADERS], frame.at(-1)]).toEqual([index & 0xff, index & 0xff])
    }
    expect(link.send(headers, 0, HEADERS, payload)).toBe(true)
  })

  it("lets one machine in at a time, the next when the first has gone, in the midst of a frame", async () => {
    await using it = await rig()
    const { link, recorder } = it
    const first = await it.machine()
    await until(() => link.carrier)
    const second = await it.machine()
    second.write(framed(frameOf(60, 2)))
    first.write(framed(frameOf(3000, 1)).subarray(0, 1500))
    await until(() => it.memory.arena.heap.used > 0)
    expect(recorder.frames.length).toBe(0)
    first.destroy()
    await until(() => recorder.frames.length === 1)
    expect(Buffer.from(recorder.frames[0]?.bytes ?? [])).toEqual(Buffer.from(frameOf(60, 2)))
    expect(recorder.carriers).toEqual([true, false, true])
    expect(it.reasons).toEqual(["hung-up"])
  })

  it("hangs up on a machine whose bytes are no frames", async () => {
    await using it = await rig()
    for (const [bytes, reason] of [
      [Buffer.of(0xff, 0xff, 0xff, 0xff), "too-long"],
      [Buffer.alloc(100), "too-short"],
    ] as const) {
      const machine = await it.machine()
      machine.write(bytes)
      await until(() => machine.closed)
      expect(it.reasons.at(-1)).toBe(reason)
    }
    expect(it.link.counters).toMatchObject({ peers: 2, broken: 2, malformed: 2 })
    const machine = await it.machine()
    machine.write(framed(frameOf(60, 1)))
    await until(() => it.recorder.frames.length === 1)
  })

  it("keeps nothing of what waits for a machine that goes", async () => {
    await using it = await rig()
    const { link, memory } = it
    const machine = await it.machine()
    await until(() => link.carrier)
    const headers = frameOf(1000, 1)
    await until(() => !link.send(headers, 0, 1000))
    machine.destroy()
    await until(() => !link.carrier)
    expect(memory.arena.heap.used).toBe(0)
    expect(link.send(headers, 0, 1000)).toBe(false)
  })

  it("ends when whoever hears of frames throws, and tells why, and nobody else is harmed", async () => {
    await using directory = await temporaryDirectory()
    const listen = directory.at("net.sock")
    const memory = new PoolMemory({ heapBytes: 4 * MIB, slots: 1 })
    const errors: unknown[] = []
    const onError = (error: unknown): void => void errors.push(error)
    const io = new NodeStreamIo({ turns: new RoundTurns(), memory, listen, onError })
    using link = new StreamLink({ name: "node", memory, mtu: 1500, io })
    const bug = new Error("a bug")
    new Recorder(link).answer = () => {
      throw bug
    }
    link.start()
    const machine = connect(listen)
    machine.on("error", () => undefined)
    machine.write(framed(frameOf(60, 1)))
    await until(() => machine.closed)
    expect(errors).toEqual([bug])
    await until(() => !existsSync(listen))
    expect(memory.arena.heap.used).toBe(0)
  })

  it("is refused where the path is taken", async () => {
    await using directory = await temporaryDirectory()
    const listen = directory.at("net.sock")
    writeFileSync(listen, "")
    const memory = new PoolMemory({ heapBytes: 4 * MIB, slots: 1 })
    const io = new NodeStreamIo({ turns: new RoundTurns(), memory, listen })
    using link = new StreamLink({ name: "node", memory, mtu: 1500, io })
    expect(() => link.start()).toThrow(/EADDRINUSE/)
    expect(existsSync(listen)).toBe(true)
  })
})
