import { features } from "@skep/vhost-user"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { emit } from "./driver.ts"
import { openNet, pattern } from "./rig.ts"

const TCP4 = { flags: 1, gso: 1, headerLength: 66, segmentSize: 1448, checksumStart: 34, checksumOffset: 16 }

/** A frame whose TCP header is where TCP4 says. */
function segment(length: number): Uint8Array {
  const frame = pattern(length)
  frame[34 + 12] = 0x80
  return frame
}

describe("a frame from the machine", () => {
  test.each([
    ["in one piece", []],
    ["with the virtio header apart", [12]],
    ["with headers apart from payload", [12, 66]],
    ["with the virtio header cut", [5, 9, 100]],
    ["in pieces of one byte", Array.from({ length: 60 }, () => 1)],
  ])("%s comes whole, with its first bytes to be read", (_what, cuts) => {
    using rig = openNet()
    const frame = pattern(1514)
    expect(rig.driver.send(frame, { cuts })).toBe(true)
    rig.transmit()
    const [seen] = rig.receiver.frames
    expect(seen?.bytes).toEqual(frame)
    expect(seen?.head).toEqual(frame.subarray(0, 256))
    expect(seen?.trusted).toBe(false)
    expect(rig.receiver.told).toEqual(["up", "frame", "settle"])
    expect(rig.driver.tx.collect()).toHaveLength(1)
    expect(rig.link.counters).toMatchObject({ framesIn: 1, bytesIn: 1514, malformed: 0 })
  })

  test("in an indirect table comes whole", () => {
    using rig = openNet()
    const frame = pattern(60_000)
    rig.driver.send(frame, { cuts: [12, 54, 4096, 4096], indirect: true })
    rig.transmit()
    expect(rig.receiver.frames[0]?.bytes).toEqual(frame)
    expect(rig.receiver.frames[0]?.parts).toBe(4)
  })

  test("says what is left to be done, in all lengths and alignments", () => {
    using rig = openNet()
    for (let length = 66; length < 330; length++) {
      const frame = segment(length)
      rig.driver.send(frame, { header: TCP4, cuts: [12 + (length % 50)] })
      rig.transmit()
      const seen = rig.receiver.frames.pop()
      expect(seen?.bytes).toEqual(frame)
      expect(seen?.head).toEqual(frame.subarray(0, 256))
      expect(seen?.trusted).toBe(true)
      expect(seen?.offload).toEqual({
        checksumStart: 34,
        checksumOffset: 16,
        gso: 1,
        segmentSize: 1448,
        headerLength: 66,
      })
      expect(rig.driver.tx.collect()).toHaveLength(1)
    }
  })

  test("comes with others of its turn, and one call says that the chains are back", () => {
    using rig = openNet({ driver: { size: 256 }, link: { turn: 10 } })
    rig.driver.tx.calls()
    for (let index = 0; index < 25; index++) rig.driver.send(pattern(100, index))
    rig.transmit()
    expect(rig.receiver.frames.map(({ bytes }) => bytes)).toEqual(
      Array.from({ length: 25 }, (_, index) => pattern(100, index)),
    )
    const { told } = rig.receiver
    expect(told.filter((each) => each === "settle")).toHaveLength(3)
    expect(told.slice(1, 12)).toEqual([...Array.from({ length: 10 }, () => "frame"), "settle"])
    // The driver asked for a call with the first; it has asked for none since.
    expect(rig.driver.tx.calls()).toBe(1)
    expect(rig.driver.tx.collect()).toHaveLength(25)
  })

  test("can be had for as long as its turn lasts", () => {
    using rig = openNet()
    rig.driver.send(pattern(100))
    let back = -1
    rig.receiver.onSettle = () => {
      back = rig.driver.tx.collect().length
    }
    rig.transmit()
    expect(back).toBe(0)
    expect(rig.driver.tx.collect()).toHaveLength(1)
  })

  test("is not asked for by kicks while it is expected anyway", () => {
    using rig = openNet()
    rig.driver.send(pattern(100))
    expect(rig.transmit()).toBe(true)
    rig.driver.send(pattern(100))
    expect(rig.driver.tx.kick()).toBe(true)
    rig.driver.send(pattern(100))
    expect(rig.driver.tx.kick()).toBe(false)
    rig.settle()
    expect(rig.receiver.frames).toHaveLength(3)
  })
})

describe("what is no frame", () => {
  test.each([
    ["truncated", "nothing but a piece of a header", new Uint8Array(5)],
    ["truncated", "a header alone", new Uint8Array(12)],
    ["truncated", "less than Ethernet's", new Uint8Array(12 + 13)],
    ["too-long", "more than IP can say", new Uint8Array(12 + 65_554)],
    [
      "checksum-outside",
      "a checksum behind its end",
      Buffer.concat([emit({ ...TCP4, gso: 0 }), pattern(51)]),
    ],
    ["gso-not-offered", "a segment of UDP", Buffer.concat([emit({ ...TCP4, gso: 3 }), pattern(500)])],
    ["gso-without-checksum", "a segment and no checksum", Buffer.concat([emit({ gso: 1 }), pattern(500)])],
    [
      "gso-segment-size",
      "segments of nothing",
      Buffer.concat([emit({ ...TCP4, segmentSize: 0 }), segment(500)]),
    ],
    ["gso-header", "a segment that is all header", Buffer.concat([emit(TCP4), segment(60)])],
  ] as const)("is counted as %s: %s", (reason, _what, bytes) => {
    using rig = openNet({ ram: { sizes: [1 << 20, 1 << 20] } })
    rig.driver.sendRaw(bytes, [20_000, 20_000, 20_000])
    rig.driver.send(pattern(100))
    rig.transmit()
    expect(rig.receiver.frames.map(({ bytes: got }) => got.length)).toEqual([100])
    expect(rig.link.malformed[reason]).toBe(1)
    expect(rig.link.counters.malformed).toBe(1)
    expect(rig.driver.tx.collect()).toHaveLength(2)
    expect(rig.events).toEqual([])
  })

  test("what the driver never agreed on is refused too", () => {
    using rig = openNet({ without: 1n | (1n << 11n) })
    rig.driver.send(segment(500), { header: { ...TCP4, gso: 0 } })
    rig.transmit()
    expect(rig.link.malformed["checksum-not-offered"]).toBe(1)
  })

  test("a chain that lies outside of the memory takes the carrier away until the queues start anew", () => {
    using rig = openNet()
    rig.driver.tx.setDescriptor(63, { address: 2 ** 40, length: 100 }, 0, 0)
    rig.driver.send(pattern(100))
    rig.driver.tx.offerHead(63)
    rig.transmit()
    expect(rig.events).toEqual(["queue 1: address-outside"])
    expect(rig.receiver.told).toEqual(["up", "frame", "settle", "down"])
    expect(rig.link.carrier).toBe(false)
    expect(rig.link.send(pattern(60), 0, 60)).toBe(false)
    expect(rig.link.counters.droppedOut).toBe(1)
  })
})

describe("drivers that take less", () => {
  test("a legacy driver without merged buffers has headers of ten bytes", () => {
    const without = features.VIRTIO_F_VERSION_1 | (1n << 15n)
    using rig = openNet({ without, driver: { header: 10 } })
    rig.driver.send(pattern(200), { header: { flags: 1, checksumStart: 34, checksumOffset: 6 } })
    rig.transmit()
    expect(rig.receiver.frames[0]?.bytes).toEqual(pattern(200))
    expect(rig.receiver.frames[0]?.offload.checksumStart).toBe(34)
    rig.driver.offer(1600)
    rig.refill()
    expect(rig.link.send(pattern(60), 0, 60)).toBe(true)
    rig.settle()
    expect(rig.driver.receive().map(({ bytes }) => Uint8Array.from(bytes))).toEqual([pattern(60)])
  })

  test("without event indices kicks are muted by a flag", () => {
    using rig = openNet({ without: features.VIRTIO_RING_F_EVENT_IDX })
    rig.driver.send(pattern(100))
    expect(rig.transmit()).toBe(true)
    rig.driver.offer(2000)
    expect(rig.driver.rx.kick()).toBe(false)
    expect(rig.receiver.frames).toHaveLength(1)
  })
})

test("frames in any pieces come as they were sent, in their order", () => {
  const sent = fc.record({
    length: fc.integer({ min: 14, max: 5000 }),
    cuts: fc.array(fc.integer({ min: 1, max: 2000 }), { maxLength: 5 }),
    indirect: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(fc.array(sent, { maxLength: 10 }), { maxLength: 12 }), (batches) => {
      using rig = openNet({ driver: { size: 32 }, ram: { sizes: [1 << 20, 4 << 20] } })
      const wanted: Uint8Array[] = []
      for (const batch of batches) {
        for (const [index, { length, cuts, indirect }] of batch.entries()) {
          const frame = pattern(length, index)
          if (rig.driver.send(frame, { cuts, indirect })) wanted.push(frame)
        }
        rig.transmit()
        rig.driver.tx.collect()
      }
      const frames = rig.receiver.frames.map(({ bytes }) => bytes)
      expect(frames.map(({ length }) => length)).toEqual(wanted.map(({ length }) => length))
      expect(Buffer.concat(frames).equals(Buffer.concat(wanted))).toBe(true)
      expect(rig.driver.tx.freeDescriptors).toBe(32)
    }),
    { numRuns: 40 },
  )
})
