/**
 * The supervisor and a sidecar that comes when nobody waits for it any more.
 *
 * @module
 */
import type { Running } from "@skep/contract"
import { describe, expect, it } from "vitest"
import { Supervisor, silentLog, withResolvers } from "../src/index.ts"

/** A supervisor in the middle of opening its sidecar, which writes down what becomes of it. */
function opening(): {
  readonly supervisor: Supervisor<Running<undefined> & { release: () => void }>
  readonly fate: Promise<string>
  readonly arrive: () => void
} {
  const fate = withResolvers<string>()
  const arrival = withResolvers<void>()
  const supervisor = new Supervisor({
    name: "late",
    log: silentLog,
    open: async () => {
      await arrival.promise
      return {
        endpoints: [],
        closed: new Promise<void>(() => undefined),
        status: async () => undefined,
        release: () => fate.resolve("released"),
        [Symbol.asyncDispose]: async () => fate.resolve("stopped"),
      }
    },
  })
  return { supervisor, fate: fate.promise, arrive: () => arrival.resolve() }
}

describe("a sidecar that is opened while the supervision ends", () => {
  it("is left running after a release", async () => {
    const { supervisor, fate, arrive } = opening()
    supervisor.release()
    arrive()
    expect(await fate).toBe("released")
  })

  it("is stopped after a disposal", async () => {
    const { supervisor, fate, arrive } = opening()
    const disposed = supervisor[Symbol.asyncDispose]()
    arrive()
    expect(await fate).toBe("stopped")
    await disposed
  })
})
