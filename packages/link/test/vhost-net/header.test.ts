import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { Frame, GSO_TCP4, GSO_TCP6, type Offload, type Offloads } from "../../src/index.ts"
import { emit, HEADER, type MalformedHeader, parse, pretty } from "../../src/vhost-net/header.ts"

const ALL: Offloads = { checksum: true, tcp4: true, tcp6: true }
const LENGTH = 2000

/** A frame of 2000 bytes, of which the first 256 can be read, with a TCP header of 32 bytes at 34. */
function frameWith(header: Uint8Array, length = LENGTH): Frame {
  const frame = new Frame()
  frame.bytes = new Uint8Array(HEADER + 256)
  frame.bytes.set(header)
  frame.bytes[HEADER + 34 + 12] = 0x80
  frame.at = HEADER
  frame.head = Math.min(256, length)
  frame.length = length
  return frame
}

/** As a Linux guest sends the first segment of a long write over IPv4: checksum at 34 + 16, cut by 1448 after 66 bytes. */
const GOLDEN = Uint8Array.of(0x01, 0x01, 0x42, 0x00, 0xa8, 0x05, 0x22, 0x00, 0x10, 0x00, 0x00, 0x00)
const OFFLOAD: Offload = {
  checksumStart: 34,
  checksumOffset: 16,
  gso: GSO_TCP4,
  segmentSize: 1448,
  headerLength: 66,
}

describe("a virtio header", () => {
  test("is read as a guest wrote it", () => {
    const frame = frameWith(GOLDEN)
    expect(parse(frame, 0, ALL)).toBeUndefined()
    expect(frame.offload).toEqual(OFFLOAD)
    expect(frame.trusted).toBe(true)
    expect(pretty(GOLDEN, 0)).toBe("checksum at 34+16, tcp4 in segments of 1448 after 66, 0 buffers")
  })

  test("is written as a guest reads it, over what was there", () => {
    const bytes = new Uint8Array(HEADER).fill(0xff)
    emit(bytes, 0, 0, OFFLOAD)
    expect(bytes).toEqual(GOLDEN)
    emit(bytes, 0, 259, undefined)
    expect(bytes).toEqual(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1))
    expect(pretty(bytes, 0)).toBe("complete, 259 buffers")
  })

  test("without wishes says that all is complete, and vouches for nothing", () => {
    const frame = frameWith(GOLDEN)
    parse(frame, 0, ALL)
    frame.bytes.fill(0, 0, HEADER)
    expect(parse(frame, 0, ALL)).toBeUndefined()
    expect(frame.offload).toEqual({
      checksumStart: 0,
      checksumOffset: 0,
      gso: 0,
      segmentSize: 0,
      headerLength: 0,
    })
    expect(frame.trusted).toBe(false)
  })

  test("tells a header's length that is not the header's", () => {
    const lied = GOLDEN.slice()
    lied[2] = 200
    const frame = frameWith(lied)
    expect(parse(frame, 0, ALL)).toBeUndefined()
    expect(frame.offload.headerLength).toBe(66)
  })

  test("parse ∘ emit = id", () => {
    fc.assert(
      fc.property(
        fc.record({
          checksumStart: fc.integer({ min: 14, max: 200 }),
          gso: fc.constantFrom(GSO_TCP4, GSO_TCP6),
          segmentSize: fc.integer({ min: 8, max: 65_535 }),
          words: fc.integer({ min: 5, max: 15 }),
        }),
        ({ words, ...rest }) => {
          const offload = { ...rest, checksumOffset: 16, headerLength: rest.checksumStart + words * 4 }
          const frame = frameWith(new Uint8Array(HEADER))
          emit(frame.bytes, 0, 1, offload)
          frame.bytes[HEADER + offload.checksumStart + 12] = words << 4
          expect(parse(frame, 0, ALL)).toBeUndefined()
          expect(frame.offload).toEqual(offload)
        },
      ),
    )
  })

  test("of any bytes says either what is wrong or something that lies inside the frame", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: HEADER, maxLength: HEADER }),
        fc.integer({ min: 14, max: 65_593 }),
        fc.boolean(),
        (header, length, tso) => {
          const frame = frameWith(header, length)
          if (parse(frame, 0, { ...ALL, tcp4: tso }) !== undefined) return
          const { checksumStart, checksumOffset, gso, segmentSize, headerLength } = frame.offload
          expect(checksumStart === 0 || checksumStart >= 14).toBe(true)
          expect(checksumStart === 0 || checksumStart + checksumOffset + 2 <= length).toBe(true)
          expect([0, GSO_TCP6, ...(tso ? [GSO_TCP4] : [])]).toContain(gso)
          expect(gso === 0 || (segmentSize >= 8 && headerLength <= length && headerLength >= 34)).toBe(true)
        },
      ),
      { numRuns: 2000 },
    )
  })

  const changed = (at: number, value: number): Uint8Array => {
    const bytes = GOLDEN.slice()
    bytes[at] = value
    return bytes
  }
  test.each<[MalformedHeader, Uint8Array, Offloads, number]>([
    ["checksum-not-offered", GOLDEN, { checksum: false, tcp4: false, tcp6: false }, LENGTH],
    ["checksum-outside", changed(6, 13), ALL, LENGTH],
    ["checksum-outside", GOLDEN, ALL, 51],
    ["gso-not-offered", GOLDEN, { ...ALL, tcp4: false }, LENGTH],
    ["gso-not-offered", changed(1, 3), ALL, LENGTH],
    ["gso-not-offered", changed(1, 0x81), ALL, LENGTH],
    ["gso-without-checksum", changed(0, 0), ALL, LENGTH],
    ["gso-without-checksum", changed(8, 6), ALL, LENGTH],
    [
      "gso-segment-size",
      Uint8Array.from(GOLDEN, (byte, at) => (at === 4 ? 7 : at === 5 ? 0 : byte)),
      ALL,
      LENGTH,
    ],
    ["gso-header", changed(6, 240), ALL, LENGTH],
    ["gso-header", GOLDEN, ALL, 65],
    ["gso-header", changed(6, 35), ALL, LENGTH],
  ])("is %s", (reason, header, offered, length) => {
    expect(parse(frameWith(header, length), 0, offered)).toBe(reason)
  })
})
