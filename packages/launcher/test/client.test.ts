import { setImmediate } from "node:timers/promises"
import type { SidecarEvent } from "@skep/contract"
import { testContext } from "@skep/contract-tests"
import { call, isAlive } from "@skep/runtime"
import { fromSource } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import {
  adoptLauncher,
  controlSocketOf,
  type LauncherOptions,
  launcher,
  launcherProcess,
} from "../src/index.ts"
import { openPlace, openTerminal, spawnedLauncher } from "./fixture.ts"

const neverAborts = new AbortController().signal

/** Ends a launcher as `kill -9` does, and waits until it is gone. */
async function killLauncher(options: LauncherOptions): Promise<void> {
  const adopted = await adoptLauncher({ control: controlSocketOf(options), signal: neverAborts })
  process.kill(adopted.identity.pid, "SIGKILL")
  await adopted.closed.catch(() => undefined)
  while (isAlive(adopted.identity)) await setImmediate() // its sockets close a moment before its lock
}

describe("launcherProcess()", () => {
  it("has the verbs and the events of the role", async () => {
    await using place = await openPlace()
    const context = testContext()
    const running = await spawnedLauncher().start(place.options(), context)
    expect(await running.status()).toMatchObject({ state: "running", phases: [{ name: "kernel" }] })
    await running.pause()
    expect(await running.status()).toMatchObject({ state: "paused" })
    await running.resume()
    await using terminal = await openTerminal(place.paths().console)
    terminal.type("skep: phase docker 1.5")
    await terminal.until("1.5\r\n")
    await running.powerdown(10_000)
    await running.closed
    expect(context.events).toContainEqual(expect.objectContaining({ type: "phase", name: "docker" }))
    expect(await place.leftovers()).toEqual([])
  })

  it("kills", async () => {
    await using place = await openPlace({ tcg: "deaf" })
    const running = await spawnedLauncher().start(place.options(), testContext())
    await running.kill()
    await running.closed
    expect(await place.leftovers()).toEqual([])
  })

  it("refuses a powerdown without a deadline with bad-options", async () => {
    await using place = await openPlace()
    await using _running = await spawnedLauncher().start(place.options(), testContext())
    const request = { method: "POST", path: "/powerdown", body: {}, signal: neverAborts } as const
    await expect(call(controlSocketOf(place.options()), request)).rejects.toMatchObject({
      code: "bad-options",
    })
  })

  it("carries the code of a start that failed", async () => {
    await using place = await openPlace()
    const options = place.options(0, { program: "qemu-system-none" })
    await expect(spawnedLauncher().start(options, testContext())).rejects.toMatchObject({
      code: "host-program-missing",
    })
    expect(await place.leftovers()).toEqual([])
  })
})

describe("adoptLauncher()", () => {
  it("finds the machine of a launcher that outlived whoever started it", async () => {
    await using place = await openPlace()
    const detached = launcherProcess({
      file: process.execPath,
      args: fromSource(import.meta.dirname, "../src/main.ts"),
    })
    const first = await detached.start(place.options(), testContext())
    const events: SidecarEvent[] = []
    const adopted = await adoptLauncher({
      control: controlSocketOf(place.options()),
      signal: neverAborts,
      emit: (event) => events.push(event),
    })
    expect(await adopted.status()).toEqual(await first.status())
    await adopted.pause()
    expect(await first.status()).toMatchObject({ state: "paused" })
    await adopted[Symbol.asyncDispose]()
    await Promise.all([adopted.closed, first.closed])
    expect(events.at(-1)).toEqual({ type: "stopped" })
    expect(await place.leftovers()).toEqual([])
  })

  it("rejects with unreachable when there is none", async () => {
    await using place = await openPlace()
    const adopting = adoptLauncher({ control: controlSocketOf(place.options()), signal: neverAborts })
    await expect(adopting).rejects.toMatchObject({ code: "unreachable" })
  })
})

describe("a machine whose launcher was killed", () => {
  it("runs on and is taken over by the next launcher, with its phases", async () => {
    await using place = await openPlace()
    const first = await spawnedLauncher().start(place.options(), testContext())
    const before = await first.status()
    await killLauncher(place.options())
    expect(isAlive(before.process)).toBe(true)

    const context = testContext()
    await using running = await launcher.start(place.options(), context)
    expect(await running.status()).toMatchObject({ ...before, adopted: true, counters: {} })
    expect(context.events[0]).toMatchObject({ type: "adopted", pid: before.process.pid, sameOptions: true })
    await using terminal = await openTerminal(place.paths().console)
    terminal.type("still there")
    await terminal.until("still there\r\n")
    expect(await place.starts()).toEqual(["tcg"])
    await running[Symbol.asyncDispose]()
    await running.closed
    expect(isAlive(before.process)).toBe(false)
    // A killed launcher cannot remove its own control socket; the next one on that path does.
    const control = controlSocketOf(place.options())
    expect(await place.leftovers()).toEqual([`file ${control}`, `file ${control}.lock`])
  })

  it("is taken over paused, and with other options, which wait for the next start", async () => {
    await using place = await openPlace()
    const first = await spawnedLauncher().start(place.options(), testContext())
    await first.pause()
    await killLauncher(place.options())
    const context = testContext()
    await using running = await launcher.start(place.options(0, { cpus: 2 }), context)
    expect(await running.status()).toMatchObject({ state: "paused" })
    expect(context.events[0]).toMatchObject({ type: "adopted", sameOptions: false })
    await running.resume()
    expect(await running.status()).toMatchObject({ state: "running" })
  })

  it.each([
    ["poweroff", undefined],
    ["crash", "QEMU ended without a word"],
  ])("is seen to end by %j", async (line, reason) => {
    await using place = await openPlace()
    await spawnedLauncher().start(place.options(), testContext())
    await killLauncher(place.options())
    const running = await launcher.start(place.options(), testContext())
    await using terminal = await openTerminal(place.paths().console)
    terminal.type(line)
    if (reason === undefined) await running.closed
    else await expect(running.closed).rejects.toThrow(reason)
  })
})
