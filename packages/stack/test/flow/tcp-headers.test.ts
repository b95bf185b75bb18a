import { MemoryLink, Parts } from "@skep/link"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { TcpHeaders } from "../../src/flow/tcp-headers.ts"
import { ACK, PSH } from "../../src/tcp/connection.ts"
import { FlatMemory } from "../rig/flat-memory.ts"

const MOST = 1460
const SEGMENTS = 5

function endsOf(length: 4 | 16) {
  return {
    guestMac: 0x5a94ef000002,
    gatewayMac: 0x5a94ef000001,
    guest: new Uint8Array(length).fill(7),
    guestPort: 40_000,
    other: new Uint8Array(length).fill(200),
    otherPort: 443,
  }
}

describe("TcpHeaders", () => {
  it("advances to what it would put anew", () => {
    const memory = new FlatMemory(1 << 20)
    const link = new MemoryLink({ memory })
    const runs = fc.record({
      length: fc.constantFrom(4 as const, 16 as const),
      sequence: fc.nat(0xffff_ffff),
      acknowledgement: fc.nat(0xffff_ffff),
      window: fc.nat(0xffff),
      payload: fc.uint8Array({ minLength: 1, maxLength: MOST }),
    })
    fc.assert(
      fc.property(runs, ({ length, sequence, acknowledgement, window, payload }) => {
        const most = payload.length
        const address = memory.allocate(SEGMENTS * most)
        const parts = new Parts()
        for (let index = 0; index < SEGMENTS; index++) {
          const turned = payload.map((byte) => byte + index)
          memory.write(turned, 0, most, address + index * most)
          parts.push(address + index * most, most)
        }
        const quick = new TcpHeaders(endsOf(length))
        const slow = new TcpHeaders(endsOf(length))
        let common = 0
        for (let index = 0; index < SEGMENTS; index++) {
          const flags = index === SEGMENTS - 1 ? ACK | PSH : ACK
          const place = (sequence + index * most) >>> 0
          slow.put({ sequence: place, acknowledgement, flags, window })
          slow.finish(link, most, most, parts, index * most)
          if (index === 0) {
            quick.put({ sequence, acknowledgement, flags, window })
            quick.finish(link, most, most, parts, 0)
            expect(quick.bytes).toEqual(slow.bytes)
            common = quick.run(most)
            continue
          }
          quick.advance(place, flags, common + memory.sum(parts.addressAt(index), most, 0))
          expect(quick.bytes).toEqual(slow.bytes)
        }
        memory.free(address, SEGMENTS * most)
      }),
    )
  })
})
