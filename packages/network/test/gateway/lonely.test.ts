// A network that ends by itself when nobody is there.

import { expect, it } from "vitest"
import { rig } from "./rig.ts"

const LONELY_MS = 100

it("is lonely from the end of its start, or the last hang-up, on", () => {
  let now = 1000
  using here = rig({ lonelyMs: LONELY_MS }, { now: () => now })
  const pass = (ms: number): void => {
    now += ms
    here.settle()
  }
  pass(10 * LONELY_MS)
  using first = here.machine("web")
  first[Symbol.dispose]()
  here.until(() => here.network.machines.get("web")?.port.carrier === false)
  pass(10 * LONELY_MS)
  expect(here.loop.stopped).toBe(false)
  here.network.started()
  pass(LONELY_MS - 1)
  using second = here.join("web")
  pass(10 * LONELY_MS)
  expect(here.loop.stopped).toBe(false)
  second[Symbol.dispose]()
  here.until(() => here.network.machines.get("web")?.port.carrier === false)
  pass(LONELY_MS - 1)
  expect(here.loop.stopped).toBe(false)
  pass(1)
  expect(here.loop.stopped).toBe(true)
  expect(here.told("lonely")).toEqual([{ type: "lonely", lonelyMs: LONELY_MS }])
})
