/**
 * Deadlines that come whatever the garbage collector does meanwhile.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { describe, expect, it } from "vitest"
import { within } from "../src/index.ts"

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void
const never = new AbortController().signal

/** Keeps nothing but the promise, as whoever waits for an answer does. */
function aborted(make: () => AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    const signal = make()
    signal.addEventListener("abort", () => resolve(signal.reason), { once: true })
  })
}

describe("within", () => {
  it("aborts after the time, though nobody holds its parts", async () => {
    const late = aborted(() => AbortSignal.any([never, within(200, never)]))
    const collecting = setInterval(collect, 20)
    try {
      expect(await late).toMatchObject({ name: "TimeoutError" })
    } finally {
      clearInterval(collecting)
    }
  })

  it("aborts with the signal's own reason when that comes first", async () => {
    const controller = new AbortController()
    const signal = within(60_000, controller.signal)
    controller.abort("enough")
    expect(signal.reason).toBe("enough")
  })
})
