import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parseStream } from "../../src/network/info-network.ts"

/** As QEMU 7.2.22 prints them. */
const TOLD = {
  up: "hub 0\r\n \\ h1: s0: index=0,type=stream,unix:/tmp/s\r\n \\ h0\r\n",
  refused: "hub 0\r\n \\ h0\r\ns0: index=0,type=stream,connection error\r\n",
  connecting: "hub 0\r\n \\ h1: s0: index=0,type=stream,\r\n \\ h0\r\n",
  absent: "hub 0\r\n \\ h1\r\n \\ h0\r\n",
}

describe("parseStream()", () => {
  it.each(Object.entries(TOLD))("says %s", (state, text) => {
    expect(parseStream(text, "s0")).toBe(state)
  })

  it("takes no other stream for it", () => {
    expect(parseStream("xs1: index=0,type=stream,unix:/tmp/s\r\n", "s0")).toBe("absent")
  })

  it("reads any text", () => {
    fc.assert(
      fc.property(fc.string(), fc.string({ minLength: 1 }), (text, id) => {
        expect(["up", "refused", "connecting", "absent"]).toContain(parseStream(text, id))
      }),
    )
  })
})
