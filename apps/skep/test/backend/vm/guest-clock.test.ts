import type { SidecarEvent } from "@skep/contract"
import type { GuestTime } from "@skep/guest/agent"
import { silentLog } from "@skep/runtime"
import { describe, expect, it } from "vitest"
import { GuestClock } from "../../../src/backend/vm/guest-clock.ts"

const LOOK_MS = 5
const START = 1_800_000_000_000

/** A host whose clocks stand still until they are moved, and a guest that runs with it but for an offset. */
function world(offsetMs: number) {
  const state = { wall: START, monotonic: 0, offsetMs, asked: 0, set: 0 }
  const events: SidecarEvent[] = []
  const session = {
    time: async (): Promise<GuestTime> => {
      state.asked++
      const skewMs = state.offsetMs
      return { guestMs: state.wall + skewMs, roundTripMs: 1, skewMs }
    },
    setTime: async (epochMs: number | (() => number)): Promise<void> => {
      state.set++
      state.offsetMs = (typeof epochMs === "function" ? epochMs() : epochMs) - state.wall
    },
  }
  const clock = new GuestClock({
    session,
    log: silentLog,
    emit: (event) => events.push(event),
    clocks: { wall: () => state.wall, monotonic: () => state.monotonic },
    lookMs: LOOK_MS,
    everyMs: 10_000,
  })
  /** Time passes for both; `suspendedMs` of it only for the wall clock, and not for the guest. */
  const pass = (ms: number, suspendedMs = 0): void => {
    state.wall += ms + suspendedMs
    state.monotonic += ms
    state.offsetMs -= suspendedMs
  }
  return { state, events, clock, pass }
}

describe("GuestClock", () => {
  it("leaves a guest alone whose clock is right", async () => {
    const { state, clock } = world(5)
    using _ = clock
    await expect.poll(() => clock.skewMs).toBe(5)
    expect(state.set).toBe(0)
  })

  it("theme 4: sets a clock that is wrong, when the session begins", async () => {
    const { state, clock, events } = world(-7_200_000)
    using _ = clock
    await expect.poll(() => clock.skewMs).toBe(0)
    expect(state.set).toBe(1)
    expect(events).toEqual([{ type: "guest-clock-set", wasMs: -7_200_000, skewMs: 0 }])
  })

  it("asks again after ten seconds, and not before", async () => {
    const { state, clock, pass } = world(0)
    using _ = clock
    await expect.poll(() => clock.skewMs).toBe(0)
    pass(9_000)
    await new Promise((resolve) => setTimeout(resolve, 5 * LOOK_MS))
    expect(state.asked).toBe(1)
    state.offsetMs = 3000
    pass(1_000)
    await expect.poll(() => state.set).toBe(1)
    expect(clock.skewMs).toBe(0)
  })

  it("asks at once when the host's clock has jumped, as after a suspension", async () => {
    const { state, clock, pass, events } = world(0)
    using _ = clock
    await expect.poll(() => clock.skewMs).toBe(0)
    pass(100, 3_600_000)
    await expect.poll(() => state.set).toBe(1)
    expect(state.offsetMs).toBe(0)
    expect(events).toEqual([
      { type: "host-clock-jumped", byMs: 3_600_000 },
      { type: "guest-clock-set", wasMs: -3_600_000, skewMs: 0 },
    ])
  })

  it("does not ask any more once it is disposed", async () => {
    const { state, clock, pass } = world(0)
    await expect.poll(() => clock.skewMs).toBe(0)
    clock[Symbol.dispose]()
    pass(60_000, 60_000)
    await new Promise((resolve) => setTimeout(resolve, 5 * LOOK_MS))
    expect(state.asked).toBe(1)
  })

  it("outlives a guest that does not answer", async () => {
    let attempts = 0
    const session = {
      time: async (): Promise<GuestTime> => {
        attempts++
        if (attempts === 1) throw new Error("busy")
        return { guestMs: 0, roundTripMs: 1, skewMs: 2 }
      },
      setTime: async (): Promise<void> => undefined,
    }
    using clock = new GuestClock({
      session,
      log: silentLog,
      emit: () => undefined,
      lookMs: LOOK_MS,
      everyMs: 1,
    })
    await expect.poll(() => clock.skewMs).toBe(2)
  })
})
