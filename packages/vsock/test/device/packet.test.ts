import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { emit, HEADER, type Packet, packetView, parse, pretty } from "../../src/device/packet.ts"

const u16 = fc.nat(0xffff)
const u32 = fc.nat(0xffff_ffff)
const packets: fc.Arbitrary<Packet> = fc.record({
  srcCid: u32,
  dstCid: u32,
  srcPort: u32,
  dstPort: u32,
  len: u32,
  type: u16,
  op: u16,
  flags: u32,
  bufAlloc: u32,
  fwdCnt: u32,
})

/** A request as Linux 6.1 sends it: guest 3, port 0x4a7b1c22, to port 2376 of the host, a buffer of 256 KiB. */
const REQUEST = hex(
  "0300000000000000 0200000000000000 221c7b4a 48090000 00000000 0100 0100 00000000 00000400 00000000",
)
const RW = hex(
  "0200000000000000 0300000000000000 00000040 48090000 05000000 0100 0500 00000000 00000400 feffffff",
)

describe("parse()", () => {
  it("reads a request", () => {
    expect(parse(REQUEST, 0, REQUEST.length)).toEqual({
      srcCid: 3,
      dstCid: 2,
      srcPort: 0x4a7b1c22,
      dstPort: 2376,
      len: 0,
      type: 1,
      op: 1,
      flags: 0,
      bufAlloc: 262_144,
      fwdCnt: 0,
    })
  })

  it("reads data in the midst of other bytes, and numbers over 2^31", () => {
    const bytes = new Uint8Array(100).fill(0xff)
    bytes.set(RW, 13)
    expect(parse(bytes, 13, 100)).toMatchObject({ srcPort: 2 ** 30, len: 5, op: 5, fwdCnt: 0xffff_fffe })
  })

  it("fills the packet it is given", () => {
    const into = packetView()
    expect(parse(RW, 0, HEADER, into)).toBe(into)
    expect(into.len).toBe(5)
  })

  it("says truncated", () => {
    expect(parse(RW, 0, HEADER - 1)).toBe("truncated")
    expect(parse(RW, 1, HEADER)).toBe("truncated")
    expect(parse(RW.subarray(0, 10), 0, HEADER)).toBe("truncated")
    expect(parse(RW, -1, HEADER)).toBe("truncated")
  })

  it("says bad-cid when anything is set above 32 bits", () => {
    for (const at of [4, 5, 6, 7, 12, 13, 14, 15]) {
      const bytes = Uint8Array.from(RW)
      bytes[at] = 0x80
      expect(parse(bytes, 0, HEADER)).toBe("bad-cid")
    }
  })

  it("gives back what emit() wrote", () => {
    fc.assert(
      fc.property(packets, fc.nat(20), (packet, at) => {
        const bytes = new Uint8Array(at + HEADER + 3).fill(0xa5)
        emit(packet, bytes, at)
        expect(parse(bytes, at, at + HEADER)).toEqual(packet)
        expect([...bytes.subarray(0, at), ...bytes.subarray(at + HEADER)]).toEqual(
          Array.from({ length: at + 3 }, () => 0xa5),
        )
      }),
    )
  })

  it("takes any bytes, reads none past the end, and emit() gives them back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(60), fc.nat(110), (bytes, at, end) => {
        const read = new Set<number>()
        const watched = new Proxy(bytes, {
          get: (target, key) => {
            if (typeof key === "string" && /^\d+$/.test(key)) read.add(Number(key))
            const value: unknown = Reflect.get(target, key, target)
            return value
          },
        })
        const packet = parse(watched, at, end)
        expect(Math.max(-1, ...read)).toBeLessThan(Math.max(0, Math.min(end, bytes.length)))
        if (typeof packet === "string") return
        expect(pretty(packet)).toContain(" > ")
        const again = new Uint8Array(HEADER)
        emit(packet, again, 0)
        expect([...again]).toEqual([...bytes.subarray(at, at + HEADER)])
      }),
    )
  })
})

describe("emit()", () => {
  it("writes the bytes that Linux writes", () => {
    for (const golden of [REQUEST, RW]) {
      const packet = parse(golden, 0, HEADER)
      if (typeof packet === "string") throw new Error(packet)
      const bytes = new Uint8Array(HEADER).fill(0xff)
      emit(packet, bytes, 0)
      expect([...bytes]).toEqual([...golden])
    }
  })
})

describe("pretty()", () => {
  it("says in a line what the packet is", () => {
    const shown = (fields: Partial<Packet>) =>
      pretty({ ...packetView(), srcCid: 3, srcPort: 1024, dstCid: 2, dstPort: 2376, ...fields })
    expect(shown({ op: 5, len: 5, bufAlloc: 262_144 })).toBe("3.1024 > 2.2376 rw, len 5, buf 262144 fwd 0")
    expect(shown({ op: 4, flags: 3 })).toBe("3.1024 > 2.2376 shutdown receive+send, len 0, buf 0 fwd 0")
    expect(shown({ op: 4, flags: 9 })).toContain("shutdown 9")
    expect(shown({ op: 99, type: 2, flags: 1 })).toBe(
      "3.1024 > 2.2376 op 99, flags 1, type 2, len 0, buf 0 fwd 0",
    )
  })
})

function hex(text: string): Uint8Array {
  return Uint8Array.from(text.replaceAll(" ", "").match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}
