import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { GSO_TCP4, GSO_TCP6, noOffload } from "../../src/index.ts"
import * as vnet from "../../src/tap/vnet-header.ts"

// As Linux sends them for a TCP segment of 20,000 bytes over IPv4: NEEDS_CSUM, TCPV4, 66 bytes of headers, 1448 a segment, checksum at 34 + 16.
const TCP4 = Uint8Array.of(1, 1, 66, 0, 0xa8, 0x05, 34, 0, 16, 0)

describe("parse()", () => {
  it("reads what the kernel writes", () => {
    const offload = noOffload()
    expect(vnet.parse(TCP4, 0, 20_066, offload)).toBe(true)
    expect(offload).toEqual({
      checksumStart: 34,
      checksumOffset: 16,
      gso: GSO_TCP4,
      segmentSize: 1448,
      headerLength: 66,
    })
    expect(vnet.parse(Uint8Array.of(0, 0, 9, 9, 9, 9, 9, 9, 9, 9), 0, 60, offload)).toBe(false)
    expect(offload).toEqual(noOffload())
    expect(vnet.parse(Uint8Array.of(2, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0, 60, offload)).toBe(true)
    const ecn = Uint8Array.from(TCP4)
    ecn[1] = 0x84
    expect(vnet.parse(ecn, 0, 20_066, offload)).toBe(true)
    expect(offload.gso).toBe(GSO_TCP6)
  })

  it("says bad-checksum-place", () => {
    for (const [start, offset] of [
      [0, 16],
      [34, 65],
      [99, 0],
      [98, 1],
    ] as const) {
      const bytes = Uint8Array.of(1, 0, 0, 0, 0, 0, start, 0, offset, 0)
      expect(vnet.parse(bytes, 0, 100, noOffload())).toBe("bad-checksum-place")
    }
  })

  it("says unknown-gso and bad-segment", () => {
    expect(vnet.parse(Uint8Array.of(1, 3, 0, 0, 9, 0, 34, 0, 6, 0), 0, 100, noOffload())).toBe("unknown-gso")
    expect(vnet.parse(Uint8Array.of(1, 1, 0, 0, 0, 0, 34, 0, 6, 0), 0, 100, noOffload())).toBe("bad-segment")
    expect(vnet.parse(Uint8Array.of(0, 1, 0, 0, 9, 0, 0, 0, 0, 0), 0, 100, noOffload())).toBe("bad-segment")
  })

  it("takes any bytes, and lets no checksum lie outside the frame", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 10, maxLength: 10 }),
        fc.nat({ max: 70_000 }),
        (bytes, length) => {
          const offload = noOffload()
          const result = vnet.parse(bytes, 0, length, offload)
          if (typeof result === "string" || offload.checksumStart === 0) return
          expect(offload.checksumStart + offload.checksumOffset + 2).toBeLessThanOrEqual(length)
        },
      ),
    )
  })

  it("reads back what emit() wrote", () => {
    const bytes = new Uint8Array(12)
    const offload = noOffload()
    vnet.parse(TCP4, 0, 20_066, offload)
    vnet.emit(bytes, 1, offload)
    expect(bytes.subarray(1, 11)).toEqual(TCP4)
    vnet.emit(bytes, 1, undefined)
    expect(bytes).toEqual(new Uint8Array(12))
  })
})
