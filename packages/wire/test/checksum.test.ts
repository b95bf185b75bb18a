import fc from "fast-check"
import { beforeAll, describe, expect, it } from "vitest"
import {
  append,
  finish,
  fixedMemory,
  fold,
  pseudo,
  type Summer,
  sum,
  update,
  wasmSummer,
} from "../src/checksum/index.ts"
import { hex } from "./hex.ts"
import { runs } from "./hostile.ts"

/** As RFC 1071 says it, in integers without bound. */
function reference(bytes: Uint8Array, seed = 0): number {
  let total = BigInt(seed)
  bytes.forEach((byte, at) => {
    total += BigInt(at % 2 === 0 ? byte * 256 : byte)
  })
  while (total > 0xffffn) total = (total & 0xffffn) + (total >> 16n)
  return Number(total)
}

const some = fc.uint8Array({ maxLength: 300 })
const seeds = fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 0xffff))

describe("sum()", () => {
  it("gives the example of RFC 1071, section 3", () => {
    const bytes = hex("0001 f203 f4f5 f6f7")
    expect(sum(bytes, 0, bytes.length)).toBe(0xddf2)
    expect(finish(sum(bytes, 0, bytes.length))).toBe(0x220d)
  })

  it("is what the definition says, anywhere in the bytes", () => {
    fc.assert(
      fc.property(some, fc.nat(5), seeds, (bytes, at, seed) => {
        const within = new Uint8Array(bytes.length + at + 5).fill(0xff)
        within.set(bytes, at)
        expect(sum(within, at, at + bytes.length, seed)).toBe(reference(bytes, seed))
      }),
      runs(1000),
    )
  })

  it("does not overflow within 16 MiB", () => {
    const bytes = new Uint8Array(16 * 1024 * 1024).fill(0xff)
    expect(sum(bytes, 0, bytes.length, 0xffff)).toBe(0xffff)
    bytes[bytes.length - 1] = 0xfe
    expect(sum(bytes, 0, bytes.length)).toBe(0xfffe)
  })

  it("is 0 of zeros only", () => {
    expect(sum(new Uint8Array(40), 0, 40)).toBe(0)
    expect(sum(hex("ffff 0000"), 0, 4)).toBe(0xffff)
    expect(sum(hex("fffe 0001"), 0, 4)).toBe(0xffff)
  })
})

describe("fold()", () => {
  it("takes all carries in", () => {
    expect(fold(0xffff_ffff)).toBe(0xffff)
    expect(fold(0x1_ffff)).toBe(1)
    expect(fold(0x1_0000)).toBe(1)
    expect(fold(0)).toBe(0)
  })
})

describe("append()", () => {
  it("puts the sums of parts together, of odd lengths too", () => {
    fc.assert(
      fc.property(some, some, some, (a, b, c) => {
        const whole = Uint8Array.from([...a, ...b, ...c])
        const two = append(reference(a), reference(b), a.length)
        expect(append(two, reference(c), a.length + b.length)).toBe(reference(whole))
      }),
    )
  })
})

describe("update()", () => {
  it("gives the example of RFC 1624, section 4", () => {
    expect(update(0xdd2f, 0x5555, 0x3285)).toBe(0x0000)
  })

  it("is the checksum of what changed", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 8, maxLength: 40 }), fc.nat(0xffff), (bytes, word) => {
        // A field of zeros among zeros only would have the other zero.
        const before = Uint8Array.from([0x45, ...bytes.subarray(1)])
        const after = Uint8Array.from(before)
        new DataView(after.buffer).setUint16(2, word)
        const from = new DataView(before.buffer).getUint16(2)
        expect(update(finish(reference(before)), from, word)).toBe(finish(reference(after)))
      }),
    )
  })
})

describe("pseudo()", () => {
  it("sums addresses, protocol and a length of up to 32 bits", () => {
    const addresses = hex("c0a84002 c0a84001")
    expect(pseudo(addresses, 0, 4, 17, 13)).toBe(reference(hex("c0a84002 c0a84001 0011 000d")))
    const long = hex("fd000000000000000000000000000002 fd000000000000000000000000000001")
    const header = Uint8Array.from([...long, ...hex("00012345 00000006")])
    expect(pseudo(long, 0, 16, 6, 0x1_2345)).toBe(reference(header))
  })
})

describe("wasmSummer()", () => {
  const SIZE = 2 * 1024 * 1024
  const memory = fixedMemory(SIZE)
  const bytes = new Uint8Array(memory.buffer)
  let summer: Summer

  beforeAll(() => {
    summer = wasmSummer(memory)
    let state = 1
    for (let at = 0; at < SIZE; at++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
      bytes[at] = state >>> 16
    }
  })

  it("is the plain sum, at any place and of any length", () => {
    fc.assert(
      fc.property(fc.nat(200), fc.nat(70_000), fc.nat(0xffff), (offset, length, seed) => {
        expect(summer(offset, length, seed)).toBe(sum(bytes, offset, offset + length, seed))
      }),
      runs(300),
    )
    for (let length = 0; length < 200; length++) {
      expect(summer(length % 7, length, 0)).toBe(sum(bytes, length % 7, (length % 7) + length))
    }
  })

  it("is the plain sum of as much as there is", () => {
    expect(summer(3, SIZE - 3, 5)).toBe(sum(bytes, 3, SIZE, 5))
    expect(summer(SIZE - 1, 1, 0)).toBe(sum(bytes, SIZE - 1, SIZE))
  })

  it("does not overflow where every bit is set, and knows both zeros", () => {
    const ones = fixedMemory(SIZE)
    new Uint8Array(ones.buffer).fill(0xff)
    expect(wasmSummer(ones)(0, SIZE, 0xffff)).toBe(0xffff)
    expect(wasmSummer(fixedMemory(SIZE))(0, SIZE, 0)).toBe(0)
  })

  it("traps outside the memory", () => {
    expect(() => summer(SIZE - 10, 20, 0)).toThrow("out of bounds")
  })
})
