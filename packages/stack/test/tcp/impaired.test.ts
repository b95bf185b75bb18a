/**
 * Two ends over a cable that loses, delays, doubles, reorders and spoils frames: every byte arrives, and nothing is left behind.
 *
 * @module
 */
import { describe, expect, it } from "vitest"
import { digest, noise, TwoEnds, type TwoEndsOptions } from "../rig/two-ends.ts"

const SIZE = 4 << 20
const CASES: Readonly<Record<string, TwoEndsOptions>> = {
  "nothing at all": {},
  "nothing, over IPv6": { v6: true },
  "nothing, with segments cut by the link": { offload: true },
  "0.2 % of the frames lost": { impairment: { loss: 0.002, delayMs: 1 } },
  "1 % lost and 20 ms of delay": { impairment: { loss: 0.01, delayMs: 20 } },
  "1 % of large segments lost": { offload: true, impairment: { loss: 0.01, delayMs: 20 } },
  "10 % lost": { impairment: { loss: 0.1, delayMs: 5 } },
  "loss, doubles and disorder": { impairment: { loss: 0.03, duplicate: 0.05, reorder: 0.1, delayMs: 3 } },
  "2 % of the frames spoilt": { impairment: { corrupt: 0.02, delayMs: 1 } },
  "a queue of 100 frames that runs over": { queue: 100, impairment: { delayMs: 5 } },
  "small frames": { mtu: 576, impairment: { loss: 0.01, delayMs: 1 } },
  "the largest frames, on a link that would cut larger ones": { mtu: 65_520, offload: true },
  "the largest frames": { mtu: 65_520, impairment: { loss: 0.01, delayMs: 1 } },
  "a window smaller than a segment": { capacity: 1000, impairment: { loss: 0.01, delayMs: 0.1 } },
}

describe("a stream each way arrives whole through", () => {
  it.each(Object.entries(CASES))("%s", (_name, options) => {
    const size = options.capacity === undefined ? SIZE : 100_000
    const fromA = noise(size, 1)
    const fromB = noise(size, 2)
    const two = new TwoEnds({ ...options, fromA, fromB })
    two.run()
    expect(two.streamB.gotBytes).toBe(size)
    expect(digest(two.streamA.got)).toBe(digest([fromB]))
    expect(digest(two.streamB.got)).toBe(digest([fromA]))
    expect([two.streamA.ended, two.streamB.ended]).toEqual([true, true])
    expect([two.a.table.size, two.b.table.size]).toEqual([0, 0])
    for (const end of two.cable) end[Symbol.dispose]()
    expect(two.memory.inUse).toBe(0)
  })
})
