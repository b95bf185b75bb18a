import { spawn } from "node:child_process"
import { EventEmitter, once } from "node:events"
import { existsSync, watch } from "node:fs"
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises"
import { createConnection } from "node:net"
import type { SidecarEvent } from "@skep/contract"
import { testContext } from "@skep/contract-tests"
import { identityOf, isAlive } from "@skep/runtime"
import { describe, expect, it } from "vitest"
import { kvmAccess } from "../src/host.ts"
import { hypervisorRuns, launcher } from "../src/index.ts"
import { impatient, openPlace, openTerminal, type Place } from "./fixture.ts"

function ofType(events: readonly SidecarEvent[], type: string): readonly SidecarEvent[] {
  return events.filter((event) => event.type === type)
}

function states(events: readonly SidecarEvent[]): readonly unknown[] {
  return ofType(events, "state").map((event) => event["state"])
}

/** Resolves when `name` appears in the run directory. */
async function appearance(place: Place, name: string): Promise<void> {
  const { runDirectory } = place.options()
  await mkdir(runDirectory, { recursive: true })
  const watcher = watch(runDirectory)
  const there = (): boolean => existsSync(`${runDirectory}/${name}`)
  while (!there()) await once(watcher, "change")
  watcher.close()
}

/** A hypervisor that no launcher knows, as one that was killed between two steps leaves it. */
async function orphan(place: Place): Promise<{ readonly pid: number; readonly exited: Promise<unknown> }> {
  const { qmp, qmpNetwork, serial } = place.paths()
  await mkdir(place.options().runDirectory, { recursive: true })
  const sockets = [
    ["qmp", qmp],
    ["qmp-network", qmpNetwork],
    ["serial", serial],
  ].flatMap(([id, path]) => ["-chardev", `socket,id=${id},path=${path},server=on`])
  const appeared = appearance(place, "qmp.sock")
  const child = spawn(place.options().program, ["-accel", "tcg", ...sockets], { stdio: "ignore" })
  const exited = once(child, "exit")
  await appeared
  return { pid: child.pid ?? 0, exited }
}

describe("start()", () => {
  it("resolves when the guest has printed, and tells where the machine stands", async () => {
    await using place = await openPlace()
    const context = testContext()
    await using running = await launcher.start(place.options(), context)
    const status = await running.status()
    expect(status).toMatchObject({ state: "running", hypervisor: "qemu 7.2.22", accelerator: "tcg" })
    expect(status.reason).toBeUndefined()
    expect(isAlive(status.process)).toBe(true)
    expect(running.endpoints).toEqual([place.paths().console, place.paths().qmp, place.paths().qmpNetwork])
    expect(states(context.events)).toEqual(["running"])
  })

  it("keeps everything private", async () => {
    await using place = await openPlace()
    await using _running = await launcher.start(place.options(), testContext())
    const { console, qmp, qmpNetwork, serial, record, consoleLog, hypervisorLog } = place.paths()
    for (const path of [console, qmp, qmpNetwork, serial, record, consoleLog, hypervisorLog]) {
      expect({ path, mode: (await stat(path)).mode & 0o777 }).toEqual({ path, mode: 0o600 })
    }
    expect((await stat(place.options().runDirectory)).mode & 0o777).toBe(0o700)
  })

  it("collects the phases that the guest reports, by the host's clock", async () => {
    await using place = await openPlace()
    const context = testContext()
    await using running = await launcher.start(place.options(), context)
    await using terminal = await openTerminal(place.paths().console)
    terminal.type("skep: phase docker 9.99")
    await terminal.until("docker 9.99\r\n")
    const { phases } = await running.status()
    expect(phases.map((phase) => phase.name)).toEqual(["kernel", "docker"])
    for (const { atSeconds } of phases) expect(atSeconds).toBeLessThan(9)
    expect(ofType(context.events, "phase")).toEqual(phases.map((phase) => ({ type: "phase", ...phase })))
  })

  it("says why when the guest reports a failure", async () => {
    await using place = await openPlace()
    const context = testContext()
    await using running = await launcher.start(place.options(), context)
    await using terminal = await openTerminal(place.paths().console)
    terminal.type("skep: failed disk: it is not ext4")
    await terminal.until("ext4\r\n")
    expect(await running.status()).toMatchObject({
      state: "running",
      reason: "the guest failed at disk: it is not ext4",
    })
    expect(context.events).toContainEqual({ type: "failed", phase: "disk", reason: "it is not ext4" })
  })

  it.each(["kernel", "initrd"])("says not-found when the %s is missing", async (file) => {
    await using place = await openPlace()
    const { boot } = place.options()
    const options = place.options(0, { boot: { ...boot, [file]: "/no/such/file" } })
    await expect(launcher.start(options, testContext())).rejects.toMatchObject({
      code: "not-found",
      message: `Cannot start "box0": the ${file} "/no/such/file" is not there`,
    })
    expect(await place.leftovers()).toEqual([])
  })

  it("says host-program-missing when the hypervisor is", async () => {
    await using place = await openPlace()
    const options = place.options(0, { program: "qemu-system-none" })
    await expect(launcher.start(options, testContext())).rejects.toMatchObject({
      code: "host-program-missing",
    })
    expect(await place.leftovers()).toEqual([])
  })

  it("says unsupported-arch for arm64 and path-too-long for a deep run directory", async () => {
    await using place = await openPlace()
    const start = (more: Record<string, unknown>): Promise<unknown> =>
      launcher.start(place.options(0, more), testContext())
    await expect(start({ arch: "arm64" })).rejects.toMatchObject({ code: "unsupported-arch" })
    await expect(start({ runDirectory: `/tmp/${"x".repeat(100)}` })).rejects.toMatchObject({
      code: "path-too-long",
    })
  })

  it("says already-running to a second launcher of the same run directory", async () => {
    await using place = await openPlace()
    await using running = await launcher.start(place.options(), testContext())
    await expect(launcher.start(place.options(), testContext())).rejects.toMatchObject({
      code: "already-running",
    })
    expect(await running.status()).toMatchObject({ state: "running" })
  })

  it("leaves nothing when it is aborted while the guest is silent", async () => {
    await using place = await openPlace({ tcg: "silent" })
    const controller = new AbortController()
    const reason = new Error("changed my mind")
    const appeared = appearance(place, "vm.json")
    const starting = launcher.start(place.options(), testContext(controller.signal))
    await appeared
    controller.abort(reason)
    await expect(starting).rejects.toBe(reason)
    expect(await place.leftovers()).toEqual([])
  })
})

describe("the accelerator", () => {
  it("that is forced and stays silent is a clear error, and nothing is left", async () => {
    await using place = await openPlace({ kvm: "stub-only" })
    const options = place.options(0, { ...impatient, accelerator: "kvm" })
    await expect(launcher.start(options, testContext())).rejects.toMatchObject({
      code: "unsupported",
      message: 'Cannot start "box0" with kvm: the guest printed nothing within 0.15 s',
      next: expect.stringContaining("auto"),
      detail: ["Probing EDD (edd=off to disable)... ok"],
    })
    expect(await place.starts()).toEqual(["kvm"])
    expect(await place.leftovers()).toEqual([])
  })

  it("that is forced and works is taken", async () => {
    await using place = await openPlace()
    await using running = await launcher.start(place.options(0, { accelerator: "kvm" }), testContext())
    expect(await running.status()).toMatchObject({ accelerator: "kvm" })
  })

  it("is tried again when a guest hangs under one that works", async () => {
    await using place = await openPlace({ tcg: "silent-twice" })
    const context = testContext()
    await using running = await launcher.start(
      place.options(0, { silenceMs: impatient["silenceMs"] }),
      context,
    )
    expect(await running.status()).toMatchObject({ state: "running", counters: { silentRestarts: 2 } })
    expect(ofType(context.events, "restarted-silent").map((event) => event["again"])).toEqual([1, 2])
    expect(states(context.events)).toEqual(["running"])
  })

  it("is given up after four silent starts", async () => {
    await using place = await openPlace({ tcg: "stub-only" })
    await expect(launcher.start(place.options(0, impatient), testContext())).rejects.toMatchObject({
      code: "timeout",
      message: 'Cannot start "box0" with tcg: the guest printed nothing within 0.25 s, 4 times in a row',
      detail: expect.arrayContaining(["Probing EDD (edd=off to disable)... ok"]),
    })
    expect(await place.starts()).toEqual(["tcg", "tcg", "tcg", "tcg"])
    expect(await place.leftovers()).toEqual([])
  })

  it("is not to blame when QEMU refuses its command line", async () => {
    await using place = await openPlace({ tcg: "refuses" })
    await expect(launcher.start(place.options(), testContext())).rejects.toMatchObject({
      code: "crashed",
      message: expect.stringContaining('Failed to get "write" lock'),
    })
    expect(await place.starts()).toEqual(["tcg"])
    expect(await place.leftovers()).toEqual([])
  })
})

describe.skipIf(kvmAccess() !== "opens")("an accelerator that opens", () => {
  it.each([
    ["stub-only", "the guest printed nothing within 0.15 s"],
    ["aborts", "killed by SIGABRT: failed to set MSR 0x10a to 0x69"],
  ] as const)("falls back from one that %s, and is remembered", async (kvm, reason) => {
    await using place = await openPlace({ kvm })
    const options = place.options(0, { accelerator: "auto", provingMs: impatient["provingMs"] })
    const context = testContext()
    const explained = { accelerator: "tcg", reason: `kvm does not work here: ${reason}` }
    {
      await using running = await launcher.start(options, context)
      expect(await running.status()).toMatchObject({ ...explained, counters: { fallbacks: 1 } })
    }
    expect(ofType(context.events, "accelerator-fallback")).toEqual([
      { type: "accelerator-fallback", from: "kvm", to: "tcg", reason },
    ])
    {
      await using running = await launcher.start(options, testContext())
      expect(await running.status()).toMatchObject({ ...explained, counters: { fallbacks: 0 } })
    }
    expect(await place.starts()).toEqual(["kvm", "tcg", "tcg"])
  })

  it("that works is remembered as proven", async () => {
    await using place = await openPlace()
    await using running = await launcher.start(place.options(0, { accelerator: "auto" }), testContext())
    expect(await running.status()).toMatchObject({ accelerator: "kvm" })
    expect(JSON.parse(await readFile(place.directory.at("verdict.json"), "utf8"))).toMatchObject({
      verdicts: [{ proven: "kvm", failed: [] }],
    })
  })
})

describe("closed", () => {
  it("fulfils when the guest powers itself off, and nothing is left", async () => {
    await using place = await openPlace()
    const context = testContext()
    const running = await launcher.start(place.options(), context)
    await using terminal = await openTerminal(place.paths().console)
    terminal.type("poweroff")
    await running.closed
    expect(states(context.events)).toEqual(["running", "stopping", "stopped"])
    expect(await place.leftovers()).toEqual([])
    await expect(running.status()).rejects.toMatchObject({ code: "not-running" })
    await expect(running.pause()).rejects.toMatchObject({ code: "not-running" })
    await expect(running.powerdown(1)).rejects.toMatchObject({ code: "not-running" })
    await running[Symbol.asyncDispose]()
  })

  it.each([
    ["crash", "QEMU ended with exit code 3: out of luck"],
    ["panic no working init found", "the guest's kernel panicked: no working init found"],
  ])("rejects after %j with the reason", async (line, reason) => {
    await using place = await openPlace()
    const context = testContext()
    const running = await launcher.start(place.options(), context)
    await using terminal = await openTerminal(place.paths().console)
    terminal.type(line)
    await expect(running.closed).rejects.toMatchObject({
      code: "crashed",
      message: `The machine "box0" crashed: ${reason}`,
    })
    expect(ofType(context.events, "state").at(-1)).toEqual({ type: "state", state: "crashed", reason })
    expect(await place.leftovers()).toEqual([])
    await running[Symbol.asyncDispose]()
  })

  it("rejects when somebody kills QEMU", async () => {
    await using place = await openPlace()
    const running = await launcher.start(place.options(), testContext())
    process.kill((await running.status()).process.pid, "SIGKILL")
    await expect(running.closed).rejects.toThrow('The machine "box0" crashed: killed by SIGKILL')
    expect(await place.leftovers()).toEqual([])
  })

  it("rejects when the monitor breaks, and the machine goes with it", async () => {
    await using place = await openPlace()
    const running = await launcher.start(place.options(), testContext())
    await using terminal = await openTerminal(place.paths().console)
    terminal.type("garble")
    await expect(running.closed).rejects.toThrow("QEMU's monitor broke")
    expect(await place.leftovers()).toEqual([])
  })
})

describe("the verbs", () => {
  it("pause and resume, and a paused machine can be powered off", async () => {
    await using place = await openPlace()
    const context = testContext()
    await using running = await launcher.start(place.options(), context)
    await running.pause()
    expect(await running.status()).toMatchObject({ state: "paused" })
    await running.resume()
    expect(await running.status()).toMatchObject({ state: "running" })
    await running.pause()
    await running.powerdown(10_000)
    await running.closed
    expect(states(context.events)).toEqual(["running", "paused", "running", "paused", "stopping", "stopped"])
    expect(await place.leftovers()).toEqual([])
  })

  it("powerdown rejects with timeout when the guest does not follow, which runs on until it is killed", async () => {
    await using place = await openPlace({ tcg: "deaf" })
    await using running = await launcher.start(place.options(), testContext())
    await expect(running.powerdown(50)).rejects.toMatchObject({ code: "timeout" })
    expect(await running.status()).toMatchObject({ state: "running" })
    await running.kill()
    await running.closed
    expect(await place.leftovers()).toEqual([])
  })

  it("a death after a powerdown that was not followed is a crash", async () => {
    await using place = await openPlace({ tcg: "deaf" })
    await using running = await launcher.start(place.options(), testContext())
    await expect(running.powerdown(50)).rejects.toMatchObject({ code: "timeout" })
    process.kill((await running.status()).process.pid, "SIGKILL")
    await expect(running.closed).rejects.toMatchObject({ code: "crashed" })
  })

  it("disposal makes a guest that does not follow quit", async () => {
    await using place = await openPlace({ tcg: "deaf" })
    const running = await launcher.start(place.options(), testContext())
    await running[Symbol.asyncDispose]()
    await running.closed
    expect(await place.leftovers()).toEqual([])
  })

  it("a guest that reboots starts over", async () => {
    await using place = await openPlace()
    const events = new EventEmitter()
    const context = {
      ...testContext(),
      emit: (event: SidecarEvent) => events.emit(event.type, event["state"]),
    }
    await using running = await launcher.start(place.options(), context)
    await using terminal = await openTerminal(place.paths().console)
    terminal.type("skep: phase docker 1")
    const reset = once(events, "state")
    terminal.type("reboot")
    expect(await reset).toEqual(["starting"])
    const up = once(events, "state")
    terminal.type("boot")
    expect(await up).toEqual(["running"])
    const status = await running.status()
    expect(status.phases.map((phase) => phase.name)).toEqual(["kernel"])
    expect(status.counters["guestResets"]).toBe(1)
  })
})

it("a machine whose host disk is full is paused, and says why", async () => {
  await using place = await openPlace()
  const events = new EventEmitter()
  const context = { ...testContext(), emit: (event: SidecarEvent) => events.emit(event.type, event["state"]) }
  await using running = await launcher.start(place.options(), context)
  await using terminal = await openTerminal(place.paths().console)
  const paused = once(events, "state")
  terminal.type("nospace")
  expect(await paused).toEqual(["paused"])
  expect(await running.status()).toMatchObject({
    state: "paused",
    reason: "paused because the disk skep-data cannot be written: the host has no space left",
  })
  await running.resume()
  expect(await running.status()).toMatchObject({ state: "running" })
})

describe("the console", () => {
  it("is in console.log, with the machine before beside it", async () => {
    await using place = await openPlace()
    for (const word of ["first", "second"]) {
      await using _running = await launcher.start(place.options(), testContext())
      await using terminal = await openTerminal(place.paths().console)
      terminal.type(word)
      await terminal.until(`${word}\r\n`)
    }
    const { consoleLog } = place.paths()
    expect(await readFile(consoleLog, "utf8")).toMatch(/Linux version[\s\S]*second/)
    expect(await readFile(`${consoleLog}.1`, "utf8")).toMatch(/Linux version[\s\S]*first/)
  })

  it("is not harmed by a client that hangs up in the middle", async () => {
    await using place = await openPlace()
    await using running = await launcher.start(place.options(), testContext())
    const rude = createConnection(place.paths().console)
    await once(rude, "connect")
    rude.write("flood 100000\n")
    rude.destroy()
    await using terminal = await openTerminal(place.paths().console)
    terminal.type("polite")
    await terminal.until("polite\r\n")
    expect(await running.status()).toMatchObject({ counters: { consoleClients: 2 } })
  })
})

describe("hypervisorRuns()", () => {
  it("knows a machine by its record, as long as it lives", async () => {
    await using place = await openPlace()
    const { runDirectory } = place.options()
    expect(await hypervisorRuns(runDirectory)).toBe(false)
    const running = await launcher.start(place.options(), testContext())
    expect(await hypervisorRuns(runDirectory)).toBe(true)
    await running[Symbol.asyncDispose]()
    expect(await hypervisorRuns(runDirectory)).toBe(false)
  })
})

describe("what a dead launcher left", () => {
  it("is cleared away when its machine is gone too", async () => {
    await using place = await openPlace()
    await mkdir(place.options().runDirectory)
    const { record, qmp, serial } = place.paths()
    for (const path of [record, qmp, serial]) await writeFile(path, "{}")
    await using running = await launcher.start(place.options(), testContext())
    expect(await running.status()).toMatchObject({ state: "running" })
  })

  it("is ended when its guest had not printed yet", async () => {
    await using place = await openPlace()
    const { pid, exited } = await orphan(place)
    const record = {
      name: "box0",
      identity: identityOf(pid),
      accelerator: "tcg",
      argv: [],
      startedAtMs: 1,
      proven: false,
      phases: [],
      fingerprint: "",
    }
    await writeFile(place.paths().record, JSON.stringify(record))
    await using running = await launcher.start(place.options(), testContext())
    await exited
    expect((await running.status()).process.pid).not.toBe(pid)
  })

  it("is ended when there is no word of it but its monitor", async () => {
    await using place = await openPlace()
    const { exited } = await orphan(place)
    await using running = await launcher.start(place.options(), testContext())
    await exited
    expect(await running.status()).toMatchObject({ state: "running" })
  })

  it("is not taken for a process that has its number by chance", async () => {
    await using place = await openPlace()
    const child = spawn("sleep", ["600"], { stdio: "ignore" })
    const exited = once(child, "exit")
    await mkdir(place.options().runDirectory)
    const record = {
      name: "box0",
      identity: { pid: child.pid, startTime: "1@another-boot", nonce: "0" },
      accelerator: "tcg",
      argv: [],
      startedAtMs: 1,
      proven: true,
      phases: [],
      fingerprint: "",
    }
    await writeFile(place.paths().record, JSON.stringify(record))
    await using _running = await launcher.start(place.options(), testContext())
    expect(child.exitCode).toBeNull()
    child.kill()
    await exited
  })
})

it("keeps a run directory private that was not", async () => {
  await using place = await openPlace()
  await mkdir(place.options().runDirectory)
  await chmod(place.options().runDirectory, 0o755)
  await using _running = await launcher.start(place.options(), testContext())
  expect((await stat(place.options().runDirectory)).mode & 0o777).toBe(0o700)
})
