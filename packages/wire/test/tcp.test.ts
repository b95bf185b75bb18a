import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as tcp from "../src/tcp.ts"
import { hex, toHex } from "./hex.ts"
import { surviving } from "./hostile.ts"

// Made by scapy 2.5 over IP(src="192.168.64.2", dst="192.168.64.1"), as said beside each; the IP header left out.
/** TCP(sport=40000, dport=80, seq=0xfffffff0, flags="S", window=64240, options=[MSS 1460, SAckOK, Timestamp (1000, 0), NOP, WScale 7]) */
const SYN = hex("9c40 0050 fffffff0 00000000 a002 faf0 ab51 0000 020405b4 0402080a000003e800000000 01030307")
/** TCP(…, seq=100, ack=0x80000001, flags="A", window=501, options=[NOP, NOP, SAck (1000, 2000, 3000, 0xffffffff)])/b"q" */
const SACK = hex(
  "9c40 0050 00000064 80000001 a010 01f5 b0fc 0000 01010512 000003e8000007d000000bb8ffffffff 71",
)
/** TCP(sport=1, dport=2, seq=5, ack=6, flags="PAEC", window=7)/b"data!" */
const PLAIN = hex("0001 0002 00000005 00000006 50d8 0007 bb2b 0000 6461746121")

function read(bytes: Uint8Array, head: number = bytes.length, end: number = bytes.length) {
  return tcp.parse(bytes, 0, head, end, tcp.view())
}

function changed(bytes: Uint8Array, at: number, ...values: number[]): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy.set(values, at)
  return copy
}

/** A header with these options, padded. */
function withOptions(options: string): Uint8Array {
  const padded = hex(
    options.replaceAll(" ", "").padEnd(Math.ceil(options.replaceAll(" ", "").length / 8) * 8, "0"),
  )
  return Uint8Array.from([...changed(PLAIN, 12, ((20 + padded.length) / 4) << 4).subarray(0, 20), ...padded])
}

const u32 = fc.nat(0xffff_ffff)
const u16 = fc.nat(0xffff)
const blocks = fc.array(fc.tuple(u32, u32), { maxLength: 4 })
const segments: fc.Arbitrary<tcp.Fields> = fc
  .record({
    source: u16,
    destination: u16,
    sequence: u32,
    acknowledgement: u32,
    flags: fc.nat(255),
    window: u16,
    urgent: u16,
    mss: u16,
    windowScale: fc.integer({ min: -1, max: 255 }),
    sackPermitted: fc.boolean(),
    timestamps: fc.option(fc.tuple(u32, u32)),
    blocks,
  })
  .map(({ timestamps, blocks, ...rest }) => ({
    ...rest,
    timestamps: timestamps !== null,
    timestampValue: timestamps?.[0] ?? 0,
    timestampEcho: timestamps?.[1] ?? 0,
    sackCount: blocks.length,
    sackLeft: blocks.map(([left]) => left),
    sackRight: blocks.map(([, right]) => right),
  }))

describe("parse()", () => {
  it("reads a SYN with its options", () => {
    expect(read(SYN)).toEqual({
      source: 40000,
      destination: 80,
      sequence: 0xffff_fff0,
      acknowledgement: 0,
      flags: tcp.SYN,
      window: 64_240,
      urgent: 0,
      mss: 1460,
      windowScale: 7,
      sackPermitted: true,
      sackCount: 0,
      sackLeft: [0, 0, 0, 0],
      sackRight: [0, 0, 0, 0],
      timestamps: true,
      timestampValue: 1000,
      timestampEcho: 0,
      payloadAt: 40,
      payloadEnd: 40,
    })
  })

  it("reads selective acknowledgements, and numbers over 2^31", () => {
    expect(read(SACK)).toMatchObject({
      acknowledgement: 0x8000_0001,
      sackCount: 2,
      sackLeft: [1000, 3000, 0, 0],
      sackRight: [2000, 0xffff_ffff, 0, 0],
      payloadAt: 40,
      payloadEnd: 41,
    })
  })

  it("reads flags, and needs no more than the header to be readable", () => {
    const flags = tcp.PSH | tcp.ACK | tcp.ECE | tcp.CWR
    expect(read(PLAIN.subarray(0, 20), 20, 25)).toMatchObject({ flags, payloadAt: 20, payloadEnd: 25 })
  })

  it("forgets the options of the segment before", () => {
    const into = tcp.view()
    tcp.parse(SYN, 0, SYN.length, SYN.length, into)
    tcp.parse(SACK, 0, SACK.length, SACK.length, into)
    expect(into).toMatchObject({ mss: 0, windowScale: -1, sackPermitted: false, timestamps: false })
    expect(tcp.parse(PLAIN, 0, PLAIN.length, PLAIN.length, into)).toMatchObject({ sackCount: 0 })
  })

  it("passes over options that are unknown, or known and of another length", () => {
    const options = { mss: 0, windowScale: -1, sackPermitted: false, sackCount: 0, timestamps: false }
    expect(read(withOptions("fe04abcd"))).toMatchObject(options)
    expect(read(withOptions("0203 05 0302 0403 00 0507 0000000000 0803 00"))).toMatchObject(options)
    expect(read(withOptions("01 00 0203"))).toMatchObject(options)
  })

  it("says truncated", () => {
    expect(read(PLAIN, 19)).toBe("truncated")
    expect(read(PLAIN, 25, 19)).toBe("truncated")
    expect(read(SYN, 39)).toBe("truncated")
  })

  it("says bad-header-length", () => {
    expect(read(changed(PLAIN, 12, 0x40))).toBe("bad-header-length")
    expect(read(changed(PLAIN, 12, 0x70))).toBe("bad-header-length")
  })

  it("says bad-option", () => {
    for (const options of ["02000000", "02010000", "01010102", "02050000", "01010205"]) {
      expect(read(withOptions(options))).toBe("bad-option")
    }
  })

  it("takes any bytes, and emit() says the same again", () => {
    surviving(
      [SYN, SACK, PLAIN],
      (bytes, at, head, end) => tcp.parse(bytes, at, head, end, tcp.view()),
      (segment, { end }) => {
        expect(segment.payloadEnd).toBe(end)
        expect(segment.payloadAt).toBeLessThanOrEqual(end)
        expect(tcp.pretty(segment)).toContain(" > ")
        const again = new Uint8Array(tcp.HEADER_MAX)
        const size = tcp.emit(again, 0, segment)
        expect(size % 4).toBe(0)
        expect(read(again, size, size)).toMatchObject({
          sequence: segment.sequence,
          flags: segment.flags,
          mss: segment.mss,
          windowScale: segment.windowScale,
          timestamps: segment.timestamps,
        })
      },
    )
  })

  it("gives back what emit() wrote", () => {
    fc.assert(
      fc.property(segments, fc.nat(5), (fields, at) => {
        const bytes = new Uint8Array(at + tcp.HEADER_MAX + 5).fill(0xa5)
        const end = at + tcp.emit(bytes, at, fields)
        const segment = tcp.parse(bytes, at, end, end, tcp.view())
        if (typeof segment === "string") throw new Error(segment)
        const { sackCount, sackLeft, sackRight, payloadAt, payloadEnd, ...rest } = segment
        const { sackCount: wanted, sackLeft: left, sackRight: right, ...others } = fields
        expect(rest).toEqual(others)
        expect([payloadAt, payloadEnd]).toEqual([end, end])
        // What does not fit into 40 bytes of options is left out.
        const before =
          (fields.mss === 0 ? 0 : 4) +
          (fields.windowScale === -1 ? 0 : 4) +
          (fields.sackPermitted ? 4 : 0) +
          (fields.timestamps ? 12 : 0)
        expect(sackCount).toBe(Math.min(wanted, Math.floor((40 - before - 4) / 8)))
        expect(sackLeft.slice(0, sackCount)).toEqual(left.slice(0, sackCount))
        expect(sackRight.slice(0, sackCount)).toEqual(right.slice(0, sackCount))
        expect(toHex(bytes.subarray(end))).toMatch(/^(a5)+$/)
      }),
    )
  })
})

describe("emit()", () => {
  it("writes headers that others read the same", () => {
    const bytes = new Uint8Array(tcp.HEADER_MAX)
    for (const golden of [SACK, PLAIN]) {
      const segment = read(golden)
      if (typeof segment === "string") throw new Error(segment)
      const size = tcp.emit(bytes, 0, segment)
      const expected = changed(golden, 16, 0, 0).subarray(0, size)
      expect(toHex(bytes.subarray(0, size))).toBe(toHex(expected))
    }
  })
})

describe("pretty()", () => {
  it("is one line", () => {
    const lines = [SYN, SACK, PLAIN].map((bytes) => {
      const segment = read(bytes)
      return typeof segment === "string" ? segment : tcp.pretty(segment)
    })
    expect(lines).toEqual([
      "tcp 40000 > 80 [S], seq 4294967280, ack 0, win 64240, len 0, mss 1460, ws 7, sackOK, ts 1000/0",
      "tcp 40000 > 80 [.], seq 100, ack 2147483649, win 501, len 1, sack 1000-2000, sack 3000-4294967295",
      "tcp 1 > 2 [P.EW], seq 5, ack 6, win 7, len 5",
    ])
  })
})
