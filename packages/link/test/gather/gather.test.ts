import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Frame, Gather, MemoryLink, type Offload, PoolMemory, Switch } from "../../src/index.ts"
import * as packets from "../packets.ts"

const GATEWAY = "02:00:00:00:00:01"
const MACHINE = "02:00:00:00:00:02"
const FLOW4 = { from: "192.168.64.2", to: "10.1.2.3", fromPort: 40_000, toPort: 443 }
const FLOW6 = { from: "fd00:0:0:0:0:0:0:2", to: "fd00:0:0:0:0:0:0:9", fromPort: 40_000, toPort: 443 }
const IP = 14

interface Heard {
  readonly bytes: Uint8Array
  readonly trusted: boolean
}

/** What a frame is when its headers are those to be read and its payload is where its parts say. */
function readOf(frame: Frame, memory: PoolMemory): Uint8Array {
  const bytes = new Uint8Array(frame.length)
  let at = 0
  for (let index = 0; index < frame.parts.count; index++) {
    memory.read(frame.parts.addressAt(index), frame.parts.lengthAt(index), bytes, at)
    at += frame.parts.lengthAt(index)
  }
  expect(at).toBe(frame.length)
  bytes.set(frame.bytes.subarray(frame.at, frame.at + frame.head))
  return bytes
}

/** Lays frames into memory in pieces and gathers them, as a switch does in one turn. */
function gathered(
  frames: readonly Uint8Array[],
  pieces: number,
  offload: Partial<Offload> = {},
): readonly Heard[] {
  const memory = new PoolMemory({ heapBytes: 16 * 1024 * 1024 })
  const gather = new Gather()
  const heard: Heard[] = []
  const hear = (frame: Frame | undefined): void => {
    if (frame !== undefined) heard.push({ bytes: readOf(frame, memory), trusted: frame.trusted })
  }
  const frame = new Frame()
  Object.assign(frame.offload, offload)
  for (const bytes of frames) {
    const address = memory.allocate(bytes.length)
    memory.write(bytes, 0, bytes.length, address)
    // Nobody may look at the headers of a frame once it was handed on.
    frame.bytes = bytes.slice(0, 256)
    frame.head = frame.bytes.length
    frame.length = bytes.length
    frame.trusted = false
    frame.parts.clear()
    for (let at = 0; at < bytes.length; at += pieces)
      frame.parts.push(address + at, Math.min(pieces, bytes.length - at))
    if (!gather.join(frame, memory)) {
      hear(gather.take())
      if (!gather.keep(frame, memory)) hear(frame)
    }
    frame.bytes.fill(0)
  }
  hear(gather.take())
  return heard
}

interface Piece {
  readonly length: number
  /** What is odd about it, "" for nothing. */
  readonly odd: string
}

const ODDITIES: Readonly<Record<string, (frame: Uint8Array, tcpAt: number) => void>> = {
  "tcp checksum": (frame) => flip(frame, frame.length - 1),
  "ip checksum, or hop limit": (frame, tcpAt) => flip(frame, tcpAt === IP + 20 ? IP + 10 : IP + 7),
  "traffic class": (frame, tcpAt) => {
    flip(frame, IP + 1)
    if (tcpAt === IP + 20) frame.set(packets.u16(~packets.sum(cleared(frame)) & 0xffff), IP + 10)
  },
  window: (frame, tcpAt) => change(frame, tcpAt, 14, 0x7f),
  acknowledgement: (frame, tcpAt) => change(frame, tcpAt, 11, 0x7f),
  fin: (frame, tcpAt) => change(frame, tcpAt, 13, packets.ACK | packets.FIN),
  urgent: (frame, tcpAt) => change(frame, tcpAt, 13, packets.ACK | 0x20),
  congestion: (frame, tcpAt) => change(frame, tcpAt, 13, packets.ACK | 0x40),
  reset: (frame, tcpAt) => change(frame, tcpAt, 13, packets.ACK | packets.RST),
  gap: (frame, tcpAt) => change(frame, tcpAt, 7, ((frame[tcpAt + 7] ?? 0) + 1) & 0xff),
  "another port": (frame, tcpAt) => change(frame, tcpAt, 1, 1),
  "another MAC": (frame) => flip(frame, 11),
}

function flip(frame: Uint8Array, at: number): void {
  frame[at] = (frame[at] ?? 0) ^ 1
}

function cleared(frame: Uint8Array): Uint8Array {
  const header = frame.slice(IP, IP + 20)
  header.set([0, 0], 10)
  return header
}

/** Another byte of the TCP header, and the checksum for it. */
function change(frame: Uint8Array, tcpAt: number, offset: number, value: number): void {
  frame[tcpAt + offset] = value
  frame.set([0, 0], tcpAt + 16)
  const addresses = tcpAt === IP + 20 ? frame.slice(IP + 12, IP + 20) : frame.slice(IP + 8, IP + 40)
  const pseudo = Uint8Array.from([...addresses, 0, 6, ...packets.u16(frame.length - tcpAt)])
  frame.set(packets.u16(~packets.sum(frame.subarray(tcpAt), packets.sum(pseudo)) & 0xffff), tcpAt + 16)
}

function built(v6: boolean, sequence: number, { length, odd }: Piece, push: boolean): Uint8Array {
  const fields = {
    ...(v6 ? FLOW6 : FLOW4),
    sequence,
    acknowledgement: 99,
    flags: push ? packets.ACK | packets.PSH : packets.ACK,
    payload: Uint8Array.from({ length }, (_, index) => sequence + index),
    options: odd === "options" ? [1, 1, 1, 1] : [],
  }
  const packet = v6 ? packets.tcp6(fields) : packets.tcp4(fields)
  const frame = packets.ethernet(GATEWAY, MACHINE, v6 ? 0x86dd : 0x0800, packet)
  ODDITIES[odd]?.(frame, v6 ? 54 : 34)
  return odd === "padding" ? Uint8Array.from([...frame, 0, 0]) : frame
}

const NAMES = [...Object.keys(ODDITIES), "options", "padding"]

function run(v6: boolean, pieces: readonly Piece[], pushes: ReadonlySet<number>, first = 1000) {
  let sequence = first
  return pieces.map((piece, index) => {
    const frame = built(v6, sequence, piece, pushes.has(index))
    sequence = (sequence + piece.length) >>> 0
    return frame
  })
}

const plain = (...lengths: readonly number[]): readonly Piece[] =>
  lengths.map((length) => ({ length, odd: "" }))

describe("Gather", () => {
  it.each([false, true])("makes one segment of a run whose checksums are right, IPv6 %s", (v6) => {
    const frames = run(v6, plain(1400, 1400, 700), new Set([2]), 0xffff_ff00)
    const [only, ...more] = gathered(frames, 4096)
    expect(more).toEqual([])
    const header = v6 ? 74 : 54
    const bytes = only?.bytes ?? new Uint8Array()
    expect(only?.trusted).toBe(true)
    expect(bytes.length).toBe(header + 3500)
    expect(packets.read16(bytes, v6 ? IP + 4 : IP + 2)).toBe(v6 ? 3520 : 3540)
    if (!v6) expect(packets.sum(bytes.subarray(IP, IP + 20))).toBe(0xffff)
    expect(bytes[header - 7]).toBe(packets.ACK | packets.PSH)
    expect(packets.read32(bytes, header - 16)).toBe(0xffff_ff00)
    expect(bytes.subarray(header)).toEqual(
      Uint8Array.from(frames.flatMap((frame) => [...frame.subarray(header)])),
    )
  })

  it("ends with a push", () => {
    expect(gathered(run(false, plain(10, 10, 10, 10), new Set([1])), 4096)).toHaveLength(2)
  })

  it("makes no packet that is longer than the longest", () => {
    const heard = gathered(run(false, plain(...Array.from({ length: 50 }, () => 1460)), new Set()), 4096)
    expect(heard.map(({ bytes }) => bytes.length)).toEqual([54 + 44 * 1460, 54 + 6 * 1460])
  })

  it("has a bound for the places of one frame", () => {
    const heard = gathered(run(false, plain(...Array.from({ length: 130 }, () => 1)), new Set()), 4096)
    expect(heard.map(({ bytes }) => bytes.length)).toEqual([54 + 128, 54 + 2])
  })

  it("leaves alone what its sender left to be finished or cut", () => {
    const frames = run(false, plain(1400, 1400), new Set())
    expect(gathered(frames, 4096, { checksumStart: 34 })).toHaveLength(2)
    expect(gathered(frames, 4096, { gso: 1 })).toHaveLength(2)
  })

  it("leaves fragments alone", () => {
    const frames = run(false, plain(1400, 1400), new Set())
    for (const frame of frames) {
      frame[IP + 6] = 0x20
      frame.set(packets.u16(~packets.sum(cleared(frame)) & 0xffff), IP + 10)
    }
    expect(gathered(frames, 4096).map(({ bytes }) => bytes)).toEqual(frames)
  })

  it.each(NAMES)("lets go on as it came, and in its place, what is odd: %s", (odd) => {
    for (const v6 of [false, true]) {
      const frames = run(v6, [...plain(100, 100), { length: 100, odd }, ...plain(100, 100)], new Set())
      const heard = gathered(frames, 4096)
      expect(heard.map(({ bytes }) => bytes.length)).toEqual([
        frames[0]!.length + 100,
        frames[2]!.length,
        frames[3]!.length + 100,
      ])
      expect(heard[1]?.bytes).toEqual(frames[2])
    }
  })

  it("says the same as the segments one by one", () => {
    const piece = fc.record({
      length: fc.oneof(fc.integer({ min: 1, max: 1460 }), fc.constant(0)),
      odd: fc.oneof({ weight: 6, arbitrary: fc.constant("") }, fc.constantFrom(...NAMES)),
    })
    const options = [
      fc.boolean(),
      fc.array(piece, { maxLength: 30 }),
      fc.array(fc.nat(29)),
      fc.integer({ min: 7, max: 2000 }),
    ] as const
    fc.assert(
      fc.property(...options, (v6, pieces, pushes, size) => {
        const frames = run(v6, pieces, new Set(pushes))
        const header = v6 ? 74 : 54
        let at = 0
        for (const { bytes, trusted } of gathered(frames, size)) {
          const first = frames[at]!
          if (bytes.length === first.length) {
            expect(bytes).toEqual(first)
            // Whoever is not vouched for is checked further up.
            if (trusted) expect(packets.complaint(bytes.subarray(IP))).toBe("")
            at++
            continue
          }
          expect(bytes.subarray(0, 12)).toEqual(first.subarray(0, 12))
          let done = header
          for (; done < bytes.length; at++) {
            const frame = frames[at]!
            expect(packets.complaint(frame.subarray(IP))).toBe("")
            expect(packets.read32(frame, header - 16)).toBe(
              (packets.read32(bytes, header - 16) + done - header) >>> 0,
            )
            expect(bytes.subarray(done, done + frame.length - header)).toEqual(frame.subarray(header))
            done += frame.length - header
          }
          expect(done).toBe(bytes.length)
        }
        expect(at).toBe(frames.length)
      }),
    )
  })
})

describe("Switch", () => {
  const SETTLE = "settle"

  function rig() {
    const memory = new PoolMemory({ heapBytes: 16 * 1024 * 1024 })
    const heard: (string | number)[] = []
    const gateway = {
      onFrame: (_port: unknown, frame: Frame) => void heard.push(frame.length),
      onSettle: () => void heard.push(SETTLE),
      onRoom: () => undefined,
      onCarrier: () => undefined,
    }
    const fabric = new Switch({ gatewayAddress: 0x020000000001, gateway, clock: { now: 0 } })
    const link = new MemoryLink({ memory })
    const port = fabric.attach(link)
    return { heard, link, port }
  }

  it("brings its gateway a turn's segments as one, before the turn is settled", () => {
    const { heard, link, port } = rig()
    for (const frame of run(false, plain(1000, 1000, 1000), new Set())) link.machine.send(frame)
    link.settle()
    expect(heard).toEqual([54 + 3000, SETTLE])
    expect(port.counters.toGateway).toBe(3)
  })

  it("keeps nothing of a machine that has gone", () => {
    const { heard, link } = rig()
    const { receiver } = link
    const frame = new Frame()
    const [bytes] = run(false, plain(1000), new Set())
    const address = link.memory.allocate(bytes!.length)
    link.memory.write(bytes!, 0, bytes!.length, address)
    Object.assign(frame, { bytes, head: bytes!.length, length: bytes!.length })
    frame.parts.push(address, bytes!.length)
    receiver.onFrame(frame)
    receiver.onCarrier(false)
    receiver.onSettle()
    expect(heard).toEqual([SETTLE])
  })
})
