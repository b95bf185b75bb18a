/** The guest's own script, run by busybox on the host below a directory that stands for the guest's root. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { Duplex } from "node:stream"
import { processesMentioning, temporaryDirectory } from "@skep/testkit"
import { describe, expect, test } from "vitest"
import { openAgentSession } from "../../src/agent/index.ts"

const BUSYBOX = ["/bin/busybox", "/usr/bin/busybox"].find(existsSync)
const scripts = join(import.meta.dirname, "../../rootfs/etc/init.d")
const signal = new AbortController().signal
const APPLETS = ["awk", "df", "ip", "mkfifo", "rm"]
const BOOT_ID = "8cafe1b0-ec95-43fa-845e-3266066b9e5f"

/** What the script reads and runs. `date` and `poweroff` only write down how they were called. */
function furnish(root: string): void {
  const file = (path: string, text: string): void => {
    mkdirSync(join(root, path, ".."), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  file("proc/uptime", "5.48 9.00\n")
  file("proc/loadavg", "0.07 0.03 0.01 1/82 300\n")
  file("proc/meminfo", "MemTotal: 996512 kB\nMemAvailable: 762288 kB\n")
  file("proc/sys/kernel/random/boot_id", `${BOOT_ID}\n`)
  file("run/skep/events", "phase kernel 1.03\n")
  file("dev/console", "")
  for (const name of ["run/skep/agent", "var/lib/skep"]) mkdirSync(join(root, name), { recursive: true })
  for (const path of ["usr/bin/date", "sbin/poweroff"]) {
    file(path, `#!${BUSYBOX ?? ""} sh\nprintf "%s\\n" "$*" >> ${root}/called\n`)
    chmodSync(join(root, path), 0o755)
  }
  for (const name of APPLETS) symlinkSync(BUSYBOX ?? "", join(root, "usr/bin", name))
}

function start(root: string): ChildProcess {
  return spawn(BUSYBOX ?? "", ["sh", join(scripts, "agent")], {
    env: { SKEP_ROOT: root },
    stdio: ["pipe", "pipe", "inherit"],
  })
}

/** Both ends of the script as one stream, as the host sees it. */
function connectionOf({ stdin, stdout }: ChildProcess): Duplex {
  if (stdin === null || stdout === null) throw new Error("start() gives it pipes")
  return Duplex.from({ readable: stdout, writable: stdin })
}

/** Runs lines as the scripts of the guest do, with the library of these. */
function inGuest(root: string, lines: string): void {
  const options = { env: { SKEP_ROOT: root }, timeout: 30_000 }
  execFileSync(BUSYBOX ?? "", ["sh", "-c", `. ${join(scripts, "lib")}\n${lines}`], options)
}

describe.skipIf(BUSYBOX === undefined)("the agent's script (needs busybox on the host)", () => {
  test("greets, tells what happened and what happens, and leaves nothing when the host goes", async () => {
    await using directory = await temporaryDirectory()
    furnish(directory.path)
    const child = start(directory.path)
    const exit = once(child, "close")
    const told: unknown[] = []
    const session = await openAgentSession(connectionOf(child), {
      signal,
      onPhase: ({ name }) => told.push(name),
      onFailed: (failed) => told.push(failed),
      onStopping: () => told.push("stopping"),
    })
    expect(session.hello).toEqual({ version: 1, bootId: BOOT_ID, uptimeMs: 5480 })
    await expect.poll(() => told).toEqual(["kernel"])
    inGuest(directory.path, 'phase docker\nphase docker\nfailed disk "it is * damaged"\nannounce stopping')
    await expect
      .poll(() => told)
      .toEqual(["kernel", "docker", { phase: "disk", reason: "it is * damaged" }, "stopping"])
    expect(session.phases.at(-1)).toEqual({ name: "docker", guestSeconds: 5.48 })
    expect(readFileSync(directory.at("dev/console"), "utf8")).toContain(
      "skep: failed disk: it is * damaged\n",
    )
    await session[Symbol.asyncDispose]()
    await exit
    await expect.poll(() => processesMentioning(directory.path)).toEqual([])
    expect(await directory.list()).not.toContain(expect.stringMatching(/^run\/skep\/agent\//))
  })

  test("answers each request, and refuses what is none", async () => {
    await using directory = await temporaryDirectory()
    furnish(directory.path)
    const child = start(directory.path)
    const exit = once(child, "close")
    const session = await openAgentSession(connectionOf(child), { signal })
    expect(Math.abs((await session.time(signal)).skewMs)).toBeLessThan(60_000)
    await session.setTime(1_700_000_000_250, signal)
    const facts = await session.facts(signal)
    expect(facts).toMatchObject({ uptimeMs: 5480, memory: { totalBytes: 996512 * 1024 } })
    expect(facts).not.toHaveProperty("memoryPressure")
    expect(facts.addresses.map((each) => each.interface)).toContain("lo")
    expect(session.counters).toMatchObject({
      malformed: { "bad-arguments": 0, "unknown-line": 0 },
      malformedFacts: 0,
    })
    await session.poweroff(signal)
    const called = (): string => readFileSync(directory.at("called"), "utf8")
    await expect.poll(called).toMatch(/^-s @17000000\d\d\.\d{9}\n-n\n$/)
    await session[Symbol.asyncDispose]()
    await exit
  })

  test.each([
    ["", "error - bad-token"],
    ["time", "error - bad-token"],
    ["time a/b", "error - bad-token"],
    [`time ${"t".repeat(65)}`, "error - bad-token"],
    ["time t x", "error t bad-arguments"],
    ["set-time t", "error t bad-arguments"],
    ["set-time t 1.2.3", "error t bad-time"],
    ["set-time t -5", "error t bad-time"],
    ["set-time t .5", "error t bad-time"],
    ["poweroff t now", "error t bad-arguments"],
    ["exec t rm", "error t unknown-request"],
    ["* t", "error t unknown-request"],
    ["$(poweroff) t `poweroff`", "error t unknown-request"],
    ["x".repeat(4096), "error - bad-token"],
    ["x".repeat(4097), "closing line-too-long"],
  ])("says to %j: %s", async (line, answer) => {
    await using directory = await temporaryDirectory()
    furnish(directory.path)
    writeFileSync(directory.at("run/skep/events"), "")
    const child = start(directory.path)
    const exit = once(child, "close")
    let said = ""
    child.stdout?.on("data", (chunk: Buffer) => {
      said += chunk.toString()
    })
    child.stdin?.on("error", () => undefined) // it may end before it has read all
    child.stdin?.end(`${line}\n`)
    await exit
    expect(said.split("\n")).toEqual([`hello 1 ${BOOT_ID} 5.48`, answer, ""])
    expect(existsSync(directory.at("called"))).toBe(false)
  })

  test("announces without waiting for a session that hangs", async () => {
    await using directory = await temporaryDirectory()
    furnish(directory.path)
    execFileSync(BUSYBOX ?? "", ["mkfifo", directory.at("run/skep/agent/1")])
    inGuest(directory.path, "phase docker\nphase ssh")
    expect(readFileSync(directory.at("run/skep/events"), "utf8")).toBe(
      "phase kernel 1.03\nphase docker 5.48\nphase ssh 5.48\n",
    )
  })
})
