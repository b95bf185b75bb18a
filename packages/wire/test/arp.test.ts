import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { emit, type Fields, parse, pretty, REPLY, REQUEST, SIZE, view } from "../src/arp.ts"
import { hex, toHex } from "./hex.ts"
import { surviving } from "./hostile.ts"

/** scapy: ARP(op=1, hwsrc="02:00:00:00:00:01", psrc="192.168.64.2", pdst="192.168.64.1") */
const ASK = hex("0001 0800 06 04 0001 020000000001 c0a84002 000000000000 c0a84001")
/** scapy: ARP(op=2, hwsrc="5a:94:ef:e4:0c:dd", psrc="192.168.64.1", hwdst="02:00:00:00:00:01", pdst="192.168.64.2") */
const ANSWER = hex("0001 0800 06 04 0002 5a94efe40cdd c0a84001 020000000001 c0a84002")

function changed(at: number, value: number): Uint8Array {
  const bytes = Uint8Array.from(ASK)
  bytes[at] = value
  return bytes
}

function read(bytes: Uint8Array, head: number = bytes.length) {
  return parse(bytes, 0, head, bytes.length, view())
}

describe("parse()", () => {
  it("reads a request and a reply", () => {
    expect(read(ASK)).toEqual({
      operation: REQUEST,
      senderMac: 0x0200_0000_0001,
      senderAt: 14,
      targetMac: 0,
      targetAt: 24,
    })
    expect(read(ANSWER)).toMatchObject({ operation: REPLY, senderMac: 0x5a94_efe4_0cdd })
  })

  it("says truncated", () => {
    expect(read(ASK, 27)).toBe("truncated")
    expect(read(ASK.subarray(0, 27))).toBe("truncated")
  })

  it("says bad-hardware", () => {
    expect(read(changed(1, 6))).toBe("bad-hardware")
    expect(read(changed(4, 8))).toBe("bad-hardware")
  })

  it("says bad-protocol", () => {
    expect(read(changed(3, 6))).toBe("bad-protocol")
    expect(read(changed(5, 16))).toBe("bad-protocol")
  })

  it("says bad-operation", () => {
    expect(read(changed(7, 0))).toBe("bad-operation")
    expect(read(changed(7, 3))).toBe("bad-operation")
  })

  it("takes any bytes, and emit() gives them back", () => {
    surviving(
      [ASK, ANSWER],
      (bytes, at, head, end) => parse(bytes, at, head, end, view()),
      (packet, { bytes, at }) => {
        const again = new Uint8Array(SIZE)
        emit(again, 0, {
          operation: packet.operation,
          senderMac: packet.senderMac,
          sender: bytes.slice(packet.senderAt, packet.senderAt + 4),
          targetMac: packet.targetMac,
          target: bytes.slice(packet.targetAt, packet.targetAt + 4),
        })
        expect(toHex(again)).toBe(toHex(bytes.subarray(at, at + SIZE)))
      },
    )
  })

  it("gives back what emit() wrote", () => {
    const four = fc.uint8Array({ minLength: 4, maxLength: 4 })
    const macs = fc.nat(0xffff_ffff_ffff)
    const packets: fc.Arbitrary<Fields> = fc.record({
      operation: fc.constantFrom(REQUEST, REPLY),
      senderMac: macs,
      sender: four,
      targetMac: macs,
      target: four,
    })
    fc.assert(
      fc.property(packets, (fields) => {
        const bytes = new Uint8Array(SIZE)
        emit(bytes, 0, fields)
        const packet = read(bytes)
        if (typeof packet === "string") throw new Error(packet)
        expect(packet).toMatchObject({ operation: fields.operation, senderMac: fields.senderMac })
        expect(packet.targetMac).toBe(fields.targetMac)
        expect(toHex(bytes.subarray(packet.senderAt, packet.senderAt + 4))).toBe(toHex(fields.sender))
        expect(toHex(bytes.subarray(packet.targetAt, packet.targetAt + 4))).toBe(toHex(fields.target))
      }),
    )
  })
})

describe("pretty()", () => {
  it("is one line", () => {
    const lines = [ASK, ANSWER].map((bytes) => {
      const packet = read(bytes)
      return typeof packet === "string" ? packet : pretty(bytes, packet)
    })
    expect(lines).toEqual([
      "arp who-has 192.168.64.1 tell 192.168.64.2",
      "arp 192.168.64.1 is-at 5a:94:ef:e4:0c:dd",
    ])
  })
})
