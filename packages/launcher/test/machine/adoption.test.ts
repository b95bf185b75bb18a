/**
 * Taking over a machine that another launcher left, when that does not go smoothly.
 *
 * @module
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, watch } from "node:fs"
import { mkdir, rm, writeFile } from "node:fs/promises"
import type { SidecarEvent } from "@skep/contract"
import { testContext } from "@skep/contract-tests"
import { connectQmp } from "@skep/qmp"
import { identityOf, isAlive } from "@skep/runtime"
import { describe, expect, it } from "vitest"
import { ConsoleHub } from "../../src/console/hub.ts"
import { LogFile } from "../../src/console/log-file.ts"
import { launcher } from "../../src/index.ts"
import { adopt } from "../../src/machine/adoption.ts"
import type { Environment } from "../../src/machine/environment.ts"
import { openProcessLog } from "../../src/machine/process-log.ts"
import { openPlace, openTerminal, type Place } from "../fixture.ts"

const never = new AbortController().signal

interface Left {
  readonly pid: number
  readonly exited: Promise<unknown>
}

/** A running machine and its vm.json, and no launcher. */
async function leaveMachine(place: Place): Promise<Left> {
  const { qmp, qmpNetwork, serial, record } = place.paths()
  const { runDirectory, logDirectory, program } = place.options()
  for (const directory of [runDirectory, logDirectory]) await mkdir(directory, { mode: 0o700 })
  const sockets = Object.entries({ qmp, "qmp-network": qmpNetwork, serial })
  const args = sockets.flatMap(([id, path]) => ["-chardev", `socket,id=${id},path=${path},server=on`])
  const watcher = watch(runDirectory)
  const child = spawn(program, ["-accel", "tcg", ...args], { stdio: "ignore" })
  const exited = once(child, "exit")
  while (!existsSync(qmp)) await once(watcher, "change")
  watcher.close()
  const pid = child.pid ?? 0
  await using monitor = await connectQmp(qmpNetwork, { signal: never })
  await monitor.execute("cont")
  const written = {
    name: "box0",
    identity: identityOf(pid),
    accelerator: "tcg",
    argv: [],
    startedAtMs: 1,
    proven: true,
    phases: [],
    fingerprint: "",
  }
  await writeFile(record, JSON.stringify(written))
  return { pid, exited }
}

function typesOf(events: readonly SidecarEvent[]): readonly string[] {
  return events.map((event) => event.type)
}

describe("adopt()", () => {
  it.each(["hangs-up-once", "slow"] as const)("waits for a monitor that %s", async (monitor) => {
    await using place = await openPlace({ monitor })
    const { pid } = await leaveMachine(place)
    const context = testContext()
    await using running = await launcher.start(place.options(), context)
    const status = await running.status()
    expect(status).toMatchObject({ state: "running", adopted: true })
    expect(status.process.pid).toBe(pid)
    expect(typesOf(context.events)).toEqual(["adopted"])
  })

  it("ends a machine whose monitor never answers, and says so", async () => {
    await using place = await openPlace({ monitor: "mute" })
    const { pid, exited } = await leaveMachine(place)
    const paths = place.paths()
    using log = openProcessLog(paths.hypervisorLog)
    using file = new LogFile(paths.consoleLog, 4096)
    using console = new ConsoleHub(file)
    const context = testContext()
    const env: Environment = { options: place.options(), paths, context, console, log, link: undefined }
    expect(await adopt(env, 50)).toBeUndefined()
    await exited
    expect(context.events).toEqual([
      { type: "replaced", pid, reason: 'Cannot take over "box0" within 0.05 s' },
    ])
    expect(existsSync(paths.qmp)).toBe(false)
  })

  it("ends a machine whose monitor is gone; what is booted then is not called adopted", async () => {
    await using place = await openPlace()
    const { exited } = await leaveMachine(place)
    await rm(place.paths().qmp)
    const context = testContext()
    await using running = await launcher.start(place.options(), context)
    await exited
    expect(await running.status()).toMatchObject({ state: "running", adopted: false })
    expect(typesOf(context.events)).toContain("replaced")
    expect(typesOf(context.events)).not.toContain("adopted")
  })

  it("takes over a machine whose console is gone", async () => {
    await using place = await openPlace()
    const { pid } = await leaveMachine(place)
    await rm(place.paths().serial)
    await using running = await launcher.start(place.options(), testContext())
    expect((await running.status()).process.pid).toBe(pid)
    await running.pause()
    expect(await running.status()).toMatchObject({ state: "paused" })
  })

  it("leaves the machine as it is when it is aborted", async () => {
    await using place = await openPlace({ monitor: "mute" })
    const { pid, exited } = await leaveMachine(place)
    const controller = new AbortController()
    const starting = launcher.start(place.options(), testContext(controller.signal))
    // The console is served while the monitor is waited for.
    while (!existsSync(place.paths().console)) await new Promise((resolve) => setImmediate(resolve))
    await using terminal = await openTerminal(place.paths().console)
    controller.abort(new Error("changed my mind"))
    await expect(starting).rejects.toThrow("changed my mind")
    await terminal.closed
    expect(identityOf(pid)).toBeDefined()
    process.kill(pid, "SIGKILL")
    await exited
  })

  it("does not end the machine when the abort comes as it is taken over", async () => {
    await using place = await openPlace()
    const { pid } = await leaveMachine(place)
    const controller = new AbortController()
    const emit = (): void => controller.abort(new Error("too late"))
    await using running = await launcher.start(place.options(), { ...testContext(controller.signal), emit })
    const { process: hypervisor } = await running.status()
    expect(hypervisor.pid).toBe(pid)
    expect(isAlive(hypervisor)).toBe(true)
  })
})
