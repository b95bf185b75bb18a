import fc from "fast-check"
import { describe, expect, it } from "vitest"
import {
  Finisher,
  type Forwarded,
  GSO_TCP4,
  GSO_TCP6,
  MemoryLink,
  NO_OFFLOADS,
  type Offload,
  type Offloads,
  PoolMemory,
} from "../src/index.ts"
import * as packets from "./packets.ts"

const A = "02:00:00:00:00:0a"
const B = "02:00:00:00:00:0b"
const memory = new PoolMemory({ heapBytes: 4 * 1024 * 1024 })
const ALL: Offloads = { checksum: true, tcp4: true, tcp6: true }

/** Sends one frame of a machine on to another link by a finisher. */
function forward(
  bytes: Uint8Array,
  offload: Partial<Offload>,
  options: { pieces?: number; to?: Offloads; mtu?: number; room?: number } = {},
) {
  const { pieces = 70_000, to = NO_OFFLOADS, mtu = 1500, room = 2000 } = options
  const one = new MemoryLink({ memory, pieces })
  const two = new MemoryLink({ memory, offloads: to, mtu, room })
  const finisher = new Finisher()
  let result: Forwarded | undefined
  one.receiver = {
    onFrame: (frame) => {
      result = finisher.forward(frame, two)
    },
    onSettle: () => undefined,
    onRoom: () => undefined,
    onCarrier: () => undefined,
  }
  one.start()
  two.start()
  one.machine.send(bytes, offload)
  one.settle()
  two.settle()
  return { result, frames: two.machine.takeAll() }
}

const ends4 = { from: "10.0.0.1", to: "10.0.0.2", fromPort: 1234, toPort: 80 }
const ends6 = {
  from: "fd00:0:0:0:0:0:0:1",
  to: "fd00:0:0:0:0:0:0:2",
  fromPort: 1234,
  toPort: 80,
}

interface Giant {
  readonly version6: boolean
  readonly payload: Uint8Array
  readonly segmentSize: number
  readonly flags?: number
  readonly sequence?: number
  readonly options?: readonly number[]
}

function giant({ version6, payload, segmentSize, flags = packets.ACK, sequence = 1, options = [] }: Giant) {
  const fields = { sequence, acknowledgement: 99, flags, payload, options, partial: true }
  const packet = version6 ? packets.tcp6({ ...ends6, ...fields }) : packets.tcp4({ ...ends4, ...fields })
  const start = version6 ? 54 : 34
  return {
    frame: packets.ethernet(B, A, version6 ? 0x86dd : 0x0800, packet),
    offload: {
      checksumStart: start,
      checksumOffset: 16,
      gso: version6 ? GSO_TCP6 : GSO_TCP4,
      segmentSize,
      headerLength: start + 20 + options.length,
    },
    header: start + 20 + options.length,
  }
}

describe("Finisher", () => {
  it("cuts a segment into what TCP would have sent", () => {
    const arbitrary = fc.record({
      version6: fc.boolean(),
      length: fc.integer({ min: 1, max: 20_000 }),
      segmentSize: fc.integer({ min: 88, max: 1428 }),
      sequence: fc.integer({ min: 0, max: 0xffff_ffff }),
      flags: fc.constantFrom(16, 17, 24, 25, 16 + 128, 25 + 128),
      stamped: fc.boolean(),
      pieces: fc.oneof(fc.integer({ min: 1, max: 200 }), fc.constant(70_000)),
    })
    fc.assert(
      fc.property(arbitrary, ({ version6, length, segmentSize, sequence, flags, stamped, pieces }) => {
        const payload = Uint8Array.from({ length }, (_, index) => index * 11 + (index >>> 8))
        const options = stamped ? [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8] : []
        const { frame, offload, header } = giant({ version6, payload, segmentSize, flags, sequence, options })
        const { result, frames } = forward(frame, offload, { pieces })
        expect(result).toBe("sent")
        const count = Math.ceil(length / segmentSize)
        expect(frames).toHaveLength(count)
        const ipAt = 14
        const tcpAt = version6 ? 54 : 34
        const got = frames.map(({ bytes }, index) => {
          expect(packets.complaint(bytes.subarray(ipAt))).toBe("")
          expect(packets.read32(bytes, tcpAt + 4)).toBe((sequence + index * segmentSize) >>> 0)
          const first = index === 0 ? 128 : 0
          const last = index === count - 1 ? 9 : 0
          expect(bytes[tcpAt + 13]).toBe(flags & (16 | first | last))
          if (!version6) expect(packets.read16(bytes, ipAt + 4)).toBe(7 + index)
          // All else in the headers is as it was.
          const changed = new Set([tcpAt + 13, tcpAt + 16, tcpAt + 17])
          for (let at = tcpAt + 4; at < tcpAt + 8; at++) changed.add(at)
          for (const at of version6 ? [18, 19] : [16, 17, 18, 19, 24, 25]) changed.add(at)
          for (let at = 0; at < header; at++) if (!changed.has(at)) expect(bytes[at]).toBe(frame[at])
          return bytes.subarray(header)
        })
        expect(Buffer.compare(Buffer.concat(got), payload)).toBe(0)
        for (const part of got.slice(0, -1)) expect(part).toHaveLength(segmentSize)
      }),
      { numRuns: 150 },
    )
  })

  it("passes on uncut what the other side cuts, as it came", () => {
    for (const version6 of [false, true]) {
      const payload = new Uint8Array(20_000).fill(7)
      const { frame, offload } = giant({ version6, payload, segmentSize: 1400 })
      const { result, frames } = forward(frame, offload, { to: ALL })
      expect(result).toBe("sent")
      expect(frames).toEqual([{ bytes: frame, offload }])
      // Only the other version is taken.
      const other = { checksum: true, tcp4: version6, tcp6: !version6 }
      expect(forward(frame, offload, { to: other }).frames).toHaveLength(15)
    }
  })

  it.each([1, 3, 70_000])("finishes a checksum over pieces of %i, even and odd", (pieces) => {
    for (const length of [0, 1, 2, 301, 1000]) {
      const datagram = packets.udp4(ends4, new Uint8Array(length).fill(0xa5), true)
      const frame = packets.ethernet(B, A, 0x0800, datagram)
      const offload = { checksumStart: 34, checksumOffset: 6 }
      const { result, frames } = forward(frame, offload, { pieces })
      expect(result).toBe("sent")
      const [finished] = frames
      expect(packets.complaint(finished?.bytes.subarray(14) ?? new Uint8Array())).toBe("")
      expect(finished?.offload.checksumStart).toBe(0)
      const [passed] = forward(frame, offload, { pieces, to: ALL }).frames
      expect(passed?.bytes).toEqual(frame)
      expect(passed?.offload).toMatchObject(offload)
    }
  })

  it("writes a UDP checksum of 0 as 0xffff", () => {
    const datagram = packets.udp4(ends4, Uint8Array.of(0, 0), true)
    // The payload that makes it 0.
    const open = packets.sum(datagram.subarray(20))
    datagram.set(packets.u16(~open & 0xffff), 28)
    const frame = packets.ethernet(B, A, 0x0800, datagram)
    const [finished] = forward(frame, { checksumStart: 34, checksumOffset: 6 }).frames
    expect(packets.read16(finished?.bytes ?? new Uint8Array(), 40)).toBe(0xffff)
  })

  it("drops what is longer than the other side takes", () => {
    const frame = packets.ethernet(B, A, 0x0800, packets.udp4(ends4, new Uint8Array(1473)))
    expect(forward(frame, {}).result).toBe("tooLong")
    expect(forward(frame, {}, { mtu: 1501 }).result).toBe("sent")
    const { frame: cut, offload } = giant({
      version6: false,
      payload: new Uint8Array(9000),
      segmentSize: 1461,
    })
    for (const to of [NO_OFFLOADS, ALL]) {
      expect(forward(cut, offload, { to }).result).toBe("tooLong")
      expect(forward(cut, offload, { to, mtu: 1501 }).result).toBe("sent")
    }
  })

  it("says noRoom, and sends what there is room for", () => {
    const { frame, offload } = giant({ version6: false, payload: new Uint8Array(9000), segmentSize: 1000 })
    const { result, frames } = forward(frame, offload, { room: 4 })
    expect([result, frames.length]).toEqual(["noRoom", 4])
  })

  it("says unfinished where the frame is not what it is said to be", () => {
    const payload = new Uint8Array(5000)
    const good = giant({ version6: false, payload, segmentSize: 1000 })
    const changed = (at: number, value: number): Uint8Array => {
      const frame = good.frame.slice()
      frame[at] = value
      return frame
    }
    const wrong: readonly [string, Uint8Array, Partial<Offload>][] = [
      ["no TCP", changed(23, 17), {}],
      ["a fragment", changed(20, 0x20), {}],
      ["no IPv4", changed(14, 0x65), {}],
      ["a length beyond the frame", changed(16, 0xff), {}],
      ["a header beyond the segment", changed(46, 0x40), {}],
      ["SYN", changed(47, 2), {}],
      ["tiny segments", good.frame, { segmentSize: 87 }],
      ["a checksum elsewhere", good.frame, { checksumStart: 36 }],
      ["no checksum", good.frame, { checksumStart: 0 }],
      ["another version", good.frame, { gso: GSO_TCP6 }],
    ]
    for (const to of [NO_OFFLOADS, ALL])
      for (const [, frame, offload] of wrong)
        expect(forward(frame, { ...good.offload, ...offload }, { to })).toEqual({
          result: "unfinished",
          frames: [],
        })
    const datagram = packets.ethernet(B, A, 0x0800, packets.udp4(ends4, new Uint8Array(600), true))
    expect(forward(datagram, { checksumStart: 34, checksumOffset: 400 }).result).toBe("unfinished")
  })

  it("takes any bytes", () => {
    const offload = fc.record({
      checksumStart: fc.nat({ max: 700 }),
      checksumOffset: fc.nat({ max: 700 }),
      gso: fc.constantFrom(0, GSO_TCP4, GSO_TCP6),
      segmentSize: fc.nat({ max: 2000 }),
    })
    const base = giant({ version6: false, payload: new Uint8Array(500), segmentSize: 100 })
    const mutations = fc.array(fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 255 })), { maxLength: 4 })
    fc.assert(
      fc.property(offload, mutations, fc.boolean(), (each, changes, keep) => {
        const frame = base.frame.slice()
        for (const [at, value] of changes) frame[at] = value
        const { frames, result } = forward(frame, keep ? base.offload : each, { pieces: 50 })
        if (result !== "sent") expect(frames).toEqual([])
        for (const { bytes } of frames) expect(bytes.length).toBeLessThanOrEqual(1514)
      }),
      { numRuns: 400 },
    )
  })
})
