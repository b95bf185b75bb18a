import { type Frame, Parts, PoolMemory } from "@skep/link"
import { sum } from "@skep/wire/checksum"
import * as transport from "@skep/wire/transport"
import * as udp from "@skep/wire/udp"
import fc from "fast-check"
import { beforeEach, describe, expect, it } from "vitest"
import { Cutter } from "../../src/ip/cutter.ts"
import { type Expired, Reassembly, type ReassemblyOptions } from "../../src/ip/reassembly.ts"
import { frameOf, packetBytes, packetOf, said, wholeOf } from "./guest.ts"

/** RFC 3692: a protocol of nobody, without a checksum. */
const EXPERIMENT = 253
const HEAP = 4 * 1024 * 1024

let memory: PoolMemory
let reassembly: Reassembly
beforeEach(() => {
  memory = new PoolMemory({ heapBytes: HEAP })
  reassembly = new Reassembly(memory)
})

const V4 = { from: "192.168.64.2", to: "192.168.64.1" }
const V6 = { from: "fd00:64::2", to: "fd00:64::1" }

interface Part {
  readonly offset: number
  readonly payload: Uint8Array
  readonly more: boolean
  readonly identification?: number
  readonly protocol?: number
}

/** A fragment as a machine sends it. */
function fragment(
  ends: typeof V4,
  { offset, payload, more, identification = 7, protocol = EXPERIMENT }: Part,
): Uint8Array {
  if (ends.from.includes(".")) {
    return packetBytes({
      ...ends,
      protocol,
      payload,
      identification,
      fragmentOffset: offset,
      moreFragments: more,
    })
  }
  const header = Uint8Array.from([
    protocol,
    0,
    offset >> 8,
    (offset & 0xf8) | (more ? 1 : 0),
    0,
    0,
    0,
    identification,
  ])
  return packetBytes({ ...ends, protocol: 44, payload: Uint8Array.from([...header, ...payload]) })
}

/** Gives it a frame; the link's memory is free again when it has taken it. */
function receive(
  bytes: Uint8Array,
  { machine = 1, nowMs = 0, cuts = [] as number[] } = {},
): Uint8Array | undefined {
  const frame = frameOf(memory, bytes, cuts)
  const whole = reassembly.receive(frame, packetOf(frame), machine, nowMs)
  give(frame)
  return whole === undefined ? undefined : take(whole)
}

function give(frame: Frame): void {
  for (let index = 0; index < frame.parts.count; index++) {
    memory.free(frame.parts.addressAt(index), Math.max(1, frame.parts.lengthAt(index)))
  }
}

function take(whole: Frame): Uint8Array {
  const bytes = wholeOf(memory, new Uint8Array(0), 0, 0, whole.parts)
  expect(whole.length).toBe(bytes.length)
  expect(whole.head).toBe(Math.min(256, bytes.length))
  expect([...whole.bytes.subarray(whole.at, whole.at + whole.head)]).toEqual([
    ...bytes.subarray(0, whole.head),
  ])
  expect(whole).toMatchObject({ trusted: false, offload: { checksumStart: 0, gso: 0 } })
  return bytes
}

/** Whether every byte of the heap can be had. */
function isAllFree(): boolean {
  const blocks = Array.from({ length: HEAP / 1024 }, () => memory.allocate(1024))
  const all = blocks.every((address) => address !== 0)
  for (const address of blocks) if (address !== 0) memory.free(address, 1024)
  return all
}

function count(length: number, from = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => from + index)
}

describe.each([
  ["IPv4", V4],
  ["IPv6", V6],
])("Reassembly of %s", (_, ends) => {
  const a = fragment(ends, { offset: 0, payload: count(16), more: true })
  const b = fragment(ends, { offset: 16, payload: count(16, 16), more: true })
  const c = fragment(ends, { offset: 32, payload: count(5, 32), more: false })

  it.each([
    ["in order", [a, b, c]],
    ["the other way round", [c, b, a]],
    ["in any order, some twice", [b, b, c, c, a]],
  ])("makes a packet whole: %s", (__, list) => {
    const results = list.map((bytes) => receive(bytes))
    expect(results.slice(0, -1)).toEqual(results.slice(0, -1).map(() => undefined))
    const whole = said(results.at(-1) ?? new Uint8Array(0))
    expect(whole).toMatchObject(ends)
    expect(whole.packet).toMatchObject({
      protocol: EXPERIMENT,
      moreFragments: false,
      fragmentOffset: 0,
      hopLimit: 64,
    })
    expect([...whole.payload]).toEqual([...count(37)])
    expect(reassembly.size).toBe(0)
    reassembly.settle()
    expect(isAllFree()).toBe(true)
  })

  it("keeps the memory of a whole packet until the turn is over", () => {
    for (const bytes of [a, b, c]) receive(bytes)
    expect(isAllFree()).toBe(false)
    reassembly.settle()
    expect(isAllFree()).toBe(true)
  })

  it.each([
    ["into what came before", fragment(ends, { offset: 8, payload: count(16), more: true })],
    ["around it", fragment(ends, { offset: 0, payload: count(24), more: true })],
    ["within it", fragment(ends, { offset: 0, payload: count(8), more: true })],
    ["beyond the end", fragment(ends, { offset: 32, payload: count(8), more: true })],
    ["with another end", fragment(ends, { offset: 16, payload: count(20), more: false })],
  ])(
    "gives up a packet when a fragment overlaps %s, and all that still comes of it (RFC 5722)",
    (__, wrong) => {
      receive(a)
      receive(c)
      expect(receive(wrong)).toBeUndefined()
      expect(receive(b)).toBeUndefined()
      expect(receive(a)).toBeUndefined()
      expect(reassembly.counts.snapshot()).toMatchObject({
        "fragment-overlap": 1,
        "fragment-of-broken": 2,
        whole: 0,
      })
      expect(isAllFree()).toBe(true)
    },
  )

  it("gives up a packet of which a part lies behind its end", () => {
    receive(fragment(ends, { offset: 64, payload: count(8), more: true }))
    receive(c)
    expect(reassembly.counts.get("fragment-overlap")).toBe(1)
  })

  it("tells packets apart by addresses, identification and machine", () => {
    const others = [
      fragment(
        { ...ends, from: ends.from.replace(/2$/, "3") },
        { offset: 16, payload: count(5), more: false },
      ),
      fragment(ends, { offset: 16, payload: count(5), more: false, identification: 8 }),
    ]
    receive(a)
    for (const other of others) expect(receive(other)).toBeUndefined()
    expect(
      receive(fragment(ends, { offset: 16, payload: count(5), more: false }), { machine: 2 }),
    ).toBeUndefined()
    expect(reassembly.size).toBe(4)
    expect(receive(fragment(ends, { offset: 16, payload: count(5), more: false }))).toBeDefined()
  })

  it("drops fragments of nothing, and those whose frame ends too early", () => {
    receive(fragment(ends, { offset: 8, payload: count(0), more: true }))
    const frame = frameOf(memory, c)
    const packet = packetOf(frame)
    frame.parts.clear()
    reassembly.receive(frame, packet, 1, 0)
    expect(reassembly.counts.snapshot()).toMatchObject({ "fragment-empty": 1, "fragment-truncated": 1 })
  })

  it("gives up after its time, and tells of it if the first fragment came", () => {
    const lifetime = ends === V4 ? 30_000 : 60_000
    receive(a, { nowMs: 100, machine: 5 })
    receive(fragment(ends, { offset: 16, payload: count(8), more: true, identification: 9 }), { nowMs: 200 })
    const told: Expired[] = []
    expect(reassembly.pollAt()).toBe(100 + lifetime)
    reassembly.dispatch(99 + lifetime, (expired) => told.push(expired))
    expect(told).toEqual([])
    reassembly.dispatch(200 + lifetime, (expired) => told.push(expired))
    expect(told).toMatchObject([{ machine: 5, original: { at: 14, mac: 0x0200_0000_0001 } }])
    expect([...(told[0]?.original.bytes ?? [])]).toEqual([...a])
    expect(reassembly.counts.get("fragment-timeout")).toBe(2)
    expect(reassembly.pollAt()).toBe(Number.POSITIVE_INFINITY)
    expect(isAllFree()).toBe(true)
    expect(receive(c)).toBeUndefined()
  })

  it("holds so many packets of a machine, whose oldest go, and harms no other", () => {
    receive(a, { machine: 2 })
    receive(b, { machine: 2 })
    for (let identification = 0; identification < 40; identification++) {
      receive(fragment(ends, { offset: 0, payload: count(8), more: true, identification }))
    }
    expect(reassembly.size).toBe(17)
    expect(reassembly.counts.get("fragment-crowded")).toBe(24)
    expect(receive(c, { machine: 2 })).toBeDefined()
    reassembly.settle()
    reassembly.forget(1)
    expect(reassembly.size).toBe(0)
    expect(isAllFree()).toBe(true)
  })

  it("holds so many pieces of a packet", () => {
    for (let index = 0; index < 200; index++) {
      receive(fragment(ends, { offset: 8 + index * 8, payload: count(8), more: true }))
    }
    expect(reassembly.counts.snapshot()).toMatchObject({ "fragment-pieces": 1, "fragment-of-broken": 71 })
    expect(isAllFree()).toBe(true)
  })

  it("holds so many bytes, and no more than there is memory", () => {
    const limited = (options: ReassemblyOptions) => {
      reassembly = new Reassembly(memory, options)
      for (let index = 0; index < 4; index++) {
        receive(
          fragment(ends, { offset: 0, payload: new Uint8Array(40_000), more: true, identification: index }),
        )
      }
      return reassembly.counts.get("fragment-memory")
    }
    expect(limited({ bytesMax: 100_000 })).toBe(2)
    reassembly.forget(1)
    expect(isAllFree()).toBe(true)
    for (let left = HEAP; left > 128 * 1024; left -= 64 * 1024) memory.allocate(64 * 1024)
    expect(limited({})).toBeGreaterThan(1)
  })
})

describe("Reassembly", () => {
  it("counts no bytes of packets that are whole, or given up", () => {
    reassembly = new Reassembly(memory, { bytesMax: 40 })
    const first = fragment(V4, { offset: 0, payload: count(16), more: true })
    for (let round = 0; round < 5; round++) {
      receive(first)
      expect(receive(fragment(V4, { offset: 16, payload: count(16), more: false }))).toBeDefined()
      receive(first)
      receive(fragment(V4, { offset: 8, payload: count(16), more: true }))
      reassembly.dispatch(30_000, () => undefined)
      reassembly.settle()
    }
    expect(reassembly.counts.get("fragment-memory")).toBe(0)
  })

  it("tells protocols apart in IPv4", () => {
    receive(fragment(V4, { offset: 0, payload: count(8), more: true, protocol: 17 }))
    expect(receive(fragment(V4, { offset: 8, payload: count(8), more: false, protocol: 6 }))).toBeUndefined()
    expect(receive(fragment(V4, { offset: 8, payload: count(8), more: false, protocol: 17 }))).toBeDefined()
  })

  it("takes the largest packet there can be", () => {
    const payload = new Uint8Array(65_515)
    const results: (Uint8Array | undefined)[] = []
    for (let offset = 0; offset < payload.length; offset += 1480) {
      const end = Math.min(payload.length, offset + 1480)
      results.push(
        receive(fragment(V4, { offset, payload: payload.slice(offset, end), more: end < payload.length })),
      )
    }
    expect(results.findIndex((each) => each !== undefined)).toBe(results.length - 1)
    expect(results.at(-1)).toHaveLength(14 + 65_535)
  })

  it("survives anything, gives all memory back, and makes whole only what was sent", () => {
    // Mostly a packet of two pieces and a last one, in units of 8 bytes.
    const sound = fc.constantFrom([0, 1, true] as const, [1, 1, true] as const, [2, 1, false] as const)
    const parts = fc.record({
      ends: fc.constantFrom(V4, V6),
      piece: fc.oneof({ weight: 6, arbitrary: sound }, fc.tuple(fc.nat(3), fc.nat(2), fc.boolean())),
      odd: fc.nat(7),
      identification: fc.nat(1),
      machine: fc.nat(1),
      cuts: fc.array(fc.nat(120), { maxLength: 3 }),
      wait: fc.oneof(fc.constant(0), fc.nat(20_000)),
    })
    let wholes = 0
    fc.assert(
      fc.property(fc.array(parts, { minLength: 10, maxLength: 60 }), (list) => {
        memory = new PoolMemory({ heapBytes: HEAP })
        reassembly = new Reassembly(memory, { perMachine: 2, piecesMax: 3, bytesMax: 90 })
        let nowMs = 0
        for (const { ends, piece, odd, identification, machine, cuts, wait } of list) {
          const [place, units, more] = piece
          const offset = place * 8
          nowMs += wait
          reassembly.dispatch(nowMs, ({ original }) => expect(original.bytes.length).toBeGreaterThan(34))
          const length = units * 8 + (more ? 0 : odd)
          if (offset === 0 && !more) continue
          // Every byte says where it belongs.
          const bytes = fragment(ends, { offset, payload: count(length, offset), more, identification })
          const whole = receive(bytes, { machine, nowMs, cuts })
          if (whole === undefined) continue
          wholes++
          const { payload } = said(whole)
          expect([...payload]).toEqual([...count(payload.length)])
          expect(reassembly.size).toBeLessThanOrEqual(4)
          if (odd === 0) reassembly.settle()
        }
        reassembly.dispatch(nowMs + 60_000, () => undefined)
        reassembly.settle()
        expect(reassembly.size).toBe(0)
        expect(isAllFree()).toBe(true)
      }),
      { numRuns: 200 },
    )
    expect(wholes).toBeGreaterThan(10)
  })
})

describe("Cutter", () => {
  const cutter = new Cutter()

  /** A finished UDP packet, its payload in pieces. */
  function datagram(ends: typeof V4, payload: Uint8Array, cuts: readonly number[]) {
    const bytes = packetBytes({ ...ends, protocol: 17, payload: new Uint8Array(udp.HEADER + payload.length) })
    const headerEnd = bytes.length - payload.length
    udp.emit(bytes, headerEnd - udp.HEADER, 5000, 6000, payload.length)
    transport.finish(bytes, 14, headerEnd, sum(payload, 0, payload.length))
    bytes.set(payload, headerEnd)
    const parts = payload.length === 0 ? new Parts() : frameOf(memory, payload, cuts).parts
    return { bytes, outgoing: { bytes, at: 0, length: headerEnd }, parts }
  }

  function cut(ends: typeof V4, length: number, mtu: number, cuts: readonly number[] = []) {
    const payload = Uint8Array.from({ length }, (_, index) => (index * 7) >> 3)
    const { bytes, outgoing, parts } = datagram(ends, payload, cuts)
    const frames: Uint8Array[] = []
    const isDone = cutter.cut(outgoing, parts, mtu, 0x1_2345, (headers, at, size, part) => {
      frames.push(wholeOf(memory, headers, at, size, part))
      return true
    })
    expect(isDone).toBe(true)
    return { bytes, frames }
  }

  it.each([
    ["IPv4", V4, 1500, [1500, 1500, 1068]],
    ["IPv6", V6, 1500, [1496, 1496, 1160]],
    ["IPv6 at the least MTU", V6, 1280, [1280, 1280, 1280, 360]],
  ])("cuts %s as large as the MTU has room for", (_, ends, mtu, lengths) => {
    const { frames } = cut(ends, 4000, mtu)
    expect(frames.map(({ length }) => length - 14)).toEqual(lengths)
    const packets = frames.map((frame) => said(frame).packet)
    expect(packets.map(({ moreFragments }) => moreFragments)).toEqual(
      lengths.map((__, index) => index + 1 < lengths.length),
    )
    expect(packets.every(({ identification }) => identification === (ends === V4 ? 0x2345 : 0x1_2345))).toBe(
      true,
    )
  })

  it("cuts what is put together again the same", () => {
    const sizes = fc.integer({ min: 68, max: 3000 })
    fc.assert(
      fc.property(
        fc.constantFrom(V4, V6),
        fc.nat(9000),
        sizes,
        fc.array(fc.nat(9000), { maxLength: 4 }),
        (ends, length, size, cuts) => {
          memory = new PoolMemory({ heapBytes: HEAP })
          reassembly = new Reassembly(memory, { piecesMax: 1000 })
          const mtu = ends === V4 ? size : Math.max(1280, size)
          const { bytes, frames } = cut(ends, length, mtu, cuts)
          expect(frames.every((frame) => frame.length <= 14 + mtu)).toBe(true)
          if (frames.length === 1) return
          const results = frames.toReversed().map((frame) => receive(frame, { cuts }))
          const whole = results.at(-1)
          if (whole === undefined) throw new Error("not whole")
          // The checksum of UDP is checked too.
          expect([...said(whole).payload]).toEqual([...said(bytes).payload])
        },
      ),
      { numRuns: 100 },
    )
  })

  it("stops where a fragment is not taken", () => {
    const { outgoing, parts } = datagram(V4, new Uint8Array(4000), [])
    let calls = 0
    expect(cutter.cut(outgoing, parts, 1500, 1, () => ++calls < 2)).toBe(false)
    expect(calls).toBe(2)
  })

  it("throws where not even headers fit", () => {
    const { outgoing, parts } = datagram(V4, new Uint8Array(100), [])
    expect(() => cutter.cut(outgoing, parts, 28, 1, () => true)).toThrow("no room for headers")
  })
})
