import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { setTimeout as delay } from "node:timers/promises"
import { SidecarError } from "@skep/contract"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it, onTestFinished } from "vitest"
import { connectQmp, monitor, type Qmp, type QmpEvent } from "../src/index.ts"

const QEMU = "qemu-system-x86_64"
const installed = spawnSync(QEMU, ["--version"]).status === 0
const neverAborts = new AbortController().signal

interface Session {
  readonly qmp: Qmp
  readonly child: ChildProcess
  readonly events: QmpEvent[]
}

async function start(): Promise<Session> {
  const directory = await temporaryDirectory()
  const path = directory.at("qmp.sock")
  const args = ["-M", "none", "-S", "-nographic", "-nodefaults", "-qmp", `unix:${path},server=on,wait=off`]
  const child = spawn(QEMU, args, { stdio: "ignore" })
  const exited = once(child, "exit")
  // A test that runs out of time never comes to its `using`: QEMU must not outlive it all the same.
  onTestFinished(async () => {
    child.kill("SIGKILL")
    await exited
    await directory[Symbol.asyncDispose]()
  })
  const events: QmpEvent[] = []
  const qmp = await connected(path, (event) => events.push(event))
  return { qmp, child, events }
}

/** QEMU needs a moment to listen; each attempt is a turn of the event loop, and the test's own timeout bounds them. */
async function connected(path: string, onEvent: (event: QmpEvent) => void): Promise<Qmp> {
  for (;;) {
    try {
      return await connectQmp(path, { signal: neverAborts, onEvent })
    } catch (error) {
      if (!(error instanceof SidecarError) || error.code !== "unreachable") throw error
    }
  }
}

async function closesInTime(qmp: Qmp): Promise<boolean> {
  return Promise.race([qmp.closed.then(() => true), delay(4_000, false, { ref: false })])
}

describe.skipIf(!installed)("a real QEMU", () => {
  it("answers commands, refuses others, prints through the human monitor", async () => {
    const session = await start()
    const { qmp } = session
    expect(qmp.version).toMatch(/^\d+\.\d+\.\d+$/)
    expect(await qmp.execute("query-status")).toMatchObject({ status: "prelaunch" })
    await expect(qmp.execute("dance")).rejects.toMatchObject({
      code: "protocol",
      message: expect.stringContaining("CommandNotFound"),
    })
    expect(await monitor(qmp, "info status")).toContain("prelaunch")
    expect(JSON.stringify(await qmp.execute("query-qmp-schema")).length).toBeGreaterThan(100_000)
  })

  it("says SHUTDOWN and closes when it quits", async () => {
    let session = await start()
    await session.qmp.execute("quit")
    // QEMU 7.2 itself stood still between its answer and its exit once in some hundred runs: that one proves nothing of ours.
    for (let others = 2; others > 0 && !(await closesInTime(session.qmp)); others -= 1) {
      session = await start()
      await session.qmp.execute("quit")
    }
    await session.qmp.closed
    expect(session.events.map((event) => event.name)).toContain("SHUTDOWN")
  })

  it("closes when it is killed", async () => {
    const session = await start()
    session.child.kill("SIGKILL")
    await session.qmp.closed
    await expect(session.qmp.execute("query-status")).rejects.toMatchObject({ code: "unreachable" })
  })
})
