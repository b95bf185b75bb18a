import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { framed, Messages } from "../../src/dns/stream.ts"

describe("Messages", () => {
  it("finds the messages again, however the stream was cut", () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 })
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (sent, cuts) => {
        const stream = Buffer.concat(sent.map(framed))
        const reader = new Messages(40)
        const received: Uint8Array[] = []
        let at = 0
        for (let turn = 0; at < stream.length; turn++) {
          const end = at + (cuts[turn % cuts.length] ?? 1)
          const read = reader.read(stream.subarray(at, end))
          if (read === "oversize") throw new Error(read)
          received.push(...read)
          at = end
        }
        expect(received.map((bytes) => [...bytes])).toEqual(sent.map((bytes) => [...bytes]))
        expect(reader.pending).toBe(false)
      }),
    )
  })

  it("says oversize as soon as a length is announced that is", () => {
    const reader = new Messages(512)
    expect(reader.read(Uint8Array.of(0x02))).toEqual([])
    expect(reader.pending).toBe(true)
    expect(reader.read(Uint8Array.of(0x01))).toBe("oversize")
  })

  it("gives copies: the chunk may be used again", () => {
    const chunk = Buffer.from(framed(Uint8Array.of(1, 2, 3)))
    const read = new Messages(9).read(chunk)
    chunk.fill(0)
    expect(read).toEqual([Uint8Array.of(1, 2, 3)])
  })
})

describe("framed()", () => {
  it("refuses what has no length in sixteen bits", () => {
    expect(() => framed(new Uint8Array(65_536))).toThrow(/65536/)
    expect(framed(new Uint8Array(65_535))).toHaveLength(65_537)
  })
})
