/**
 * A guest that hangs in its boot after its first line, and one that only looks like it.
 *
 * @module
 */
import type { SidecarEvent } from "@skep/contract"
import { testContext } from "@skep/contract-tests"
import { describe, expect, it } from "vitest"
import { launcher } from "../../src/index.ts"
import { openPlace, openTerminal } from "../fixture.ts"

type TestContext = ReturnType<typeof testContext>
type Events = readonly SidecarEvent[]

/** Short, since a guest that hangs on purpose makes the test wait. */
const WATCHED = { bootedPhase: "ssh", bootSilenceMs: 160 }

/** A context that can be waited for. */
function heard(): {
  readonly context: TestContext
  readonly until: (happened: (events: Events) => boolean) => Promise<void>
} {
  const context = testContext()
  let look = (): void => undefined
  return {
    context: {
      ...context,
      emit: (event) => {
        context.emit(event)
        look()
      },
    },
    until: (happened) =>
      new Promise((resolve) => {
        look = () => {
          if (happened(context.events)) resolve()
        }
        look()
      }),
  }
}

const isBooted = (events: Events): boolean =>
  events.some((event) => event.type === "phase" && event["name"] === "ssh")

function restarts(events: Events): readonly unknown[] {
  return events.filter(({ type }) => type === "restarted-silent").map((event) => event["again"])
}

describe("a guest that hangs in its boot", () => {
  it("is reset until it boots, under the same QEMU", async () => {
    await using place = await openPlace({ tcg: "hangs-twice" })
    const { context, until } = heard()
    await using running = await launcher.start(place.options(0, WATCHED), context)
    const { process } = await running.status()
    await until(isBooted)
    expect(restarts(context.events)).toEqual([1, 2])
    expect(await running.status()).toMatchObject({
      process,
      state: "running",
      phases: [{ name: "kernel" }, { name: "ssh" }],
      counters: { bootRestarts: 2, guestResets: 2, silentRestarts: 0 },
    })
    expect(await place.starts()).toEqual(["tcg"])
  })

  it("has failed after the fourth time, and is left as it is", async () => {
    await using place = await openPlace()
    const { context, until } = heard()
    await using running = await launcher.start(place.options(0, WATCHED), context)
    await until((events) => events.some(({ type }) => type === "failed"))
    expect(restarts(context.events)).toEqual([1, 2, 3])
    const reason = "neither its console nor its disks moved for 0.16 s, 4 times"
    expect(context.events).toContainEqual({ type: "failed", phase: "boot", reason })
    expect(await running.status()).toMatchObject({
      state: "running",
      reason: `the guest failed at boot: ${reason}`,
      counters: { bootRestarts: 3 },
    })
  })

  it("is watched again when it restarts itself, with all its patience", async () => {
    await using place = await openPlace({ tcg: "hangs-twice" })
    const { context, until } = heard()
    await using _running = await launcher.start(place.options(0, WATCHED), context)
    await until(isBooted)
    await using terminal = await openTerminal(place.paths().console)
    terminal.type("reboot")
    await until((events) => restarts(events).length === 3)
    expect(restarts(context.events)).toEqual([1, 2, 1])
  })
})

describe("a guest that says nothing for a while", () => {
  it("is left alone as long as its disks work", async () => {
    await using place = await openPlace({ tcg: "checks-its-disk" })
    const { context, until } = heard()
    await using _running = await launcher.start(place.options(0, WATCHED), context)
    await until(isBooted)
    expect(restarts(context.events)).toEqual([])
  })
})
