/**
 * A machine with a device of another program: its keeper lives as long as the machine, whoever dies meanwhile.
 *
 * @module
 */
import { existsSync } from "node:fs"
import { stat } from "node:fs/promises"
import { type LauncherRunning, SidecarError, type SidecarEvent } from "@skep/contract"
import { testContext } from "@skep/contract-tests"
import { adopt, call, isAlive } from "@skep/runtime"
import { describe, expect, it } from "vitest"
import { launcher, pullPlug } from "../../src/index.ts"
import { parseKeeperStatus } from "../../src/keeper/status.ts"
import { openPlace, type Place, spawnedLauncher } from "../fixture.ts"

const never = new AbortController().signal
/** A launcher that takes over does not wait for its keeper. */
const PATIENT = { timeout: 15_000 }

function withDevice(place: Place): ReturnType<Place["options"]> {
  return place.options(0, {
    devices: [{ kind: "vsock", name: "vsock", socket: place.directory.at("back.sock") }],
  })
}

/** The identity of the keeper that answers, or undefined. */
async function keeperOf(
  control: string,
): Promise<{ readonly pid: number; readonly startTime: string } | undefined> {
  try {
    const running = await adopt({ control, signal: never, parseStatus: parseKeeperStatus })
    running.release()
    return running.identity
  } catch (error) {
    if (error instanceof SidecarError) return undefined
    throw error
  }
}

function paths(place: Place): { readonly control: string; readonly front: string } {
  const { runDirectory } = place.options()
  return { control: `${runDirectory}/keeper.sock`, front: `${runDirectory}/vhost-vsock.sock` }
}

/** Resolves with the first event of that type. */
function awaited(type: string): {
  readonly context: ReturnType<typeof testContext>
  readonly came: Promise<void>
} {
  const context = testContext()
  let came = (): void => undefined
  const promise = new Promise<void>((resolve) => {
    came = resolve
  })
  const emit = (event: SidecarEvent): void => {
    context.emit(event)
    if (event.type === type) came()
  }
  return { context: { ...context, emit }, came: promise }
}

async function statesOf(running: LauncherRunning): Promise<readonly string[]> {
  return (await running.status()).devices.map(({ name, state, runs }) => `${name} ${state} ${runs}`)
}

describe("a machine with a device of another program", () => {
  it("has a keeper, which ends with it", async () => {
    await using place = await openPlace()
    const { control, front } = paths(place)
    const running = await launcher.start(withDevice(place), testContext())
    expect(await statesOf(running)).toEqual(["vsock waiting false"])
    const keeper = await keeperOf(control)
    expect(keeper).toBeDefined()
    for (const path of [control, front]) expect((await stat(path)).mode & 0o777).toBe(0o600)
    await running.kill()
    await running.closed
    expect(await keeperOf(control)).toBeUndefined()
    expect(existsSync(front)).toBe(false)
    expect((await place.leftovers()).filter((line) => !line.endsWith(".lock"))).toEqual([])
  })

  it("has none without such a device", async () => {
    await using place = await openPlace()
    await using running = await launcher.start(place.options(), testContext())
    expect((await running.status()).devices).toEqual([])
    expect(existsSync(paths(place).control)).toBe(false)
  })

  it("gets another keeper when its own is killed, which knows nothing of its devices", async () => {
    await using place = await openPlace()
    const { control } = paths(place)
    const { context, came } = awaited("keeper-restarted")
    await using running = await launcher.start(withDevice(place), context)
    const first = await keeperOf(control)
    process.kill(first?.pid ?? 0, "SIGKILL")
    await came
    const second = await keeperOf(control)
    expect(second).toBeDefined()
    expect(second?.pid).not.toBe(first?.pid)
    expect(await statesOf(running)).toEqual(["vsock lost false"])
    const { counters } = await running.status()
    expect(counters["keeperLosses"]).toBe(1)
    expect(context.events.map(({ type }) => type)).toEqual(
      expect.arrayContaining(["keeper-lost", "keeper-restarted"]),
    )
  })

  it("tells its state though its keeper does not answer", async () => {
    await using place = await openPlace()
    await using running = await launcher.start(withDevice(place), testContext())
    const { pid } = (await keeperOf(paths(place).control)) ?? { pid: 0 }
    process.kill(pid, "SIGSTOP")
    try {
      expect((await running.status()).state).toBe("running")
      expect(await statesOf(running)).toEqual(["vsock unkept false"])
    } finally {
      process.kill(pid, "SIGCONT")
    }
    await expect.poll(() => statesOf(running)).toEqual(["vsock waiting false"])
  })

  it("keeps its keeper when its launcher is killed, and the next one finds it", async () => {
    await using place = await openPlace()
    const { control } = paths(place)
    const killed = await spawnedLauncher().start(withDevice(place), testContext())
    const { pid } = await launcherPid(`${place.options().runDirectory}/launcher.sock`)
    const before = await keeperOf(control)
    process.kill(pid, "SIGKILL")
    await killed.closed.catch(() => undefined)
    await using running = await launcher.start(withDevice(place), testContext())
    expect((await running.status()).adopted).toBe(true)
    await expect.poll(() => statesOf(running), PATIENT).toEqual(["vsock waiting false"])
    expect(await keeperOf(control)).toEqual(before)
  })

  it("stays lost where its keeper was lost, and then the launcher that knew", async () => {
    await using place = await openPlace()
    const { control } = paths(place)
    const { context, came } = awaited("keeper-restarted")
    const killed = await spawnedLauncher().start(withDevice(place), context)
    process.kill((await keeperOf(control))?.pid ?? 0, "SIGKILL")
    await came
    const second = await keeperOf(control)
    const { pid } = await launcherPid(`${place.options().runDirectory}/launcher.sock`)
    process.kill(pid, "SIGKILL")
    await killed.closed.catch(() => undefined)
    await using running = await launcher.start(withDevice(place), testContext())
    await expect.poll(() => statesOf(running), PATIENT).toEqual(["vsock lost false"])
    expect(await keeperOf(control)).toEqual(second)
  })

  it("is lost with its keeper where launcher and keeper were killed, and no other keeper is left", async () => {
    await using place = await openPlace()
    const { control } = paths(place)
    const killed = await spawnedLauncher().start(withDevice(place), testContext())
    const { pid } = await launcherPid(`${place.options().runDirectory}/launcher.sock`)
    const before = await keeperOf(control)
    for (const each of [pid, before?.pid ?? 0]) process.kill(each, "SIGKILL")
    await killed.closed.catch(() => undefined)
    await using running = await launcher.start(withDevice(place), testContext())
    await expect.poll(() => statesOf(running), PATIENT).toEqual(["vsock lost false"])
    expect(before !== undefined && isAlive(before)).toBe(false)
  })

  it("ends with its keeper when the plug is pulled without a launcher", async () => {
    await using place = await openPlace()
    const { control } = paths(place)
    const killed = await spawnedLauncher().start(withDevice(place), testContext())
    const { pid } = await launcherPid(`${place.options().runDirectory}/launcher.sock`)
    process.kill(pid, "SIGKILL")
    await killed.closed.catch(() => undefined)
    expect(await pullPlug(place.options().runDirectory)).toBe(true)
    expect(await keeperOf(control)).toBeUndefined()
  })

  it("leaves nothing when the start is aborted", async () => {
    await using place = await openPlace()
    const controller = new AbortController()
    const starting = launcher.start(withDevice(place), testContext(controller.signal))
    controller.abort(new Error("enough"))
    await expect(starting).rejects.toThrow("enough")
    expect((await place.leftovers()).filter((line) => !line.endsWith(".lock"))).toEqual([])
  })
})

async function launcherPid(control: string): Promise<{ readonly pid: number }> {
  const health: unknown = await call(control, { method: "GET", path: "/health", signal: never })
  // The launcher's own answer.
  return (health as { identity: { pid: number } }).identity
}
