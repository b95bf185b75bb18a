import fc from "fast-check"
import { describe, expect, it } from "vitest"
import * as bytes from "../src/bytes.ts"
import { hex, toHex } from "./hex.ts"

describe("integers", () => {
  it("are read in the order that the name says", () => {
    const eight = hex("fe dcba9876 5432 10")
    expect(bytes.u8(eight, 0)).toBe(0xfe)
    expect(bytes.u16(eight, 0)).toBe(0xfedc)
    expect(bytes.u32(eight, 0)).toBe(0xfedc_ba98)
    expect(bytes.u48(eight, 1)).toBe(0xdcba_9876_5432)
    expect(bytes.u16le(eight, 0)).toBe(0xdcfe)
    expect(bytes.u32le(eight, 0)).toBe(0x98ba_dcfe)
  })

  it.each([
    ["U8", 1, bytes.putU8, bytes.u8],
    ["U16", 2, bytes.putU16, bytes.u16],
    ["U32", 4, bytes.putU32, bytes.u32],
    ["U48", 6, bytes.putU48, bytes.u48],
    ["U16le", 2, bytes.putU16le, bytes.u16le],
    ["U32le", 4, bytes.putU32le, bytes.u32le],
  ])("are what put%s() put, and nothing beside them changes", (_, size, put, get) => {
    fc.assert(
      fc.property(fc.nat(2 ** (8 * size) - 1), fc.nat(3), (value, at) => {
        const within = new Uint8Array(at + size + 3).fill(0xa5)
        put(within, at, value)
        expect(get(within, at)).toBe(value)
        expect(toHex(within.subarray(0, at)) + toHex(within.subarray(at + size))).toMatch(/^(a5)+$/)
      }),
    )
  })
})

describe("copy()", () => {
  it("copies to elsewhere, and onto itself", () => {
    const from = hex("0102030405060708")
    const to = new Uint8Array(6)
    bytes.copy(from, 2, 4, to, 1)
    expect(toHex(to)).toBe("000304050600")
    bytes.copy(from, 0, 6, from, 2)
    expect(toHex(from)).toBe("0102010203040506")
  })
})

describe("same()", () => {
  it("compares so many and no more", () => {
    const a = hex("00 010203 04")
    const b = hex("010203 05")
    expect(bytes.same(a, 1, b, 0, 3)).toBe(true)
    expect(bytes.same(a, 1, b, 0, 4)).toBe(false)
    expect(bytes.same(a, 0, b, 0, 0)).toBe(true)
  })
})

describe("readable()", () => {
  it("is false where anything lies outside", () => {
    const eight = new Uint8Array(8)
    expect(bytes.readable(eight, 4, 8, 4)).toBe(true)
    expect(bytes.readable(eight, 4, 8, 5)).toBe(false)
    expect(bytes.readable(eight, 4, 99, 5)).toBe(false)
    expect(bytes.readable(eight, -1, 8, 2)).toBe(false)
    expect(bytes.readable(eight, 9, 8, 0)).toBe(false)
  })
})
