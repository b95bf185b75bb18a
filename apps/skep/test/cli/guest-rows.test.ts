import { describe, expect, it } from "vitest"
import type { GuestView } from "../../src/backend/vm/guest-agent.ts"
import { guestRows } from "../../src/cli/guest-rows.ts"

const NOW_MS = 1_800_000_000_000
const guest: GuestView = {
  skewMs: 1500,
  facts: {
    uptimeMs: 60_000,
    load: { one: 0, five: 0, fifteen: 0 },
    memory: { totalBytes: 2 ** 30, availableBytes: 2 ** 29 },
    addresses: [],
    listeners: [],
    truncated: [],
  },
}

describe("the inside of a machine", () => {
  it("is nothing without a session with its agent", () => {
    expect(guestRows(undefined, NOW_MS)).toEqual([])
  })

  it("is shown as it is now", () => {
    const rows = guestRows({ ...guest, factsAtMs: NOW_MS - 500 }, NOW_MS)
    expect(rows.map(([key]) => key)).toEqual(["warning", "memory"])
    expect(rows[0]?.[1]).toBe("the guest's clock is 1500 ms ahead of the host")
  })

  it("says how old it is where the guest has not answered", () => {
    const rows = guestRows({ ...guest, factsAtMs: NOW_MS - 7_200_000 }, NOW_MS)
    expect(rows.at(-1)).toEqual(["warning", "the guest does not answer: its inside is as of 2 h ago"])
  })
})
