import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { SidecarError } from "@skep/contract"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { connectQmp, monitor, type Qmp, type QmpEvent } from "../src/index.ts"

const QEMU = "qemu-system-x86_64"
const installed = spawnSync(QEMU, ["--version"]).status === 0
const neverAborts = new AbortController().signal

interface Session extends AsyncDisposable {
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
  const events: QmpEvent[] = []
  const qmp = await connected(path, (event) => events.push(event))
  return {
    qmp,
    child,
    events,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL")
      await exited
      await directory[Symbol.asyncDispose]()
    },
  }
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

describe.skipIf(!installed)("a real QEMU", () => {
  it("answers commands, refuses others, prints through the human monitor", async () => {
    await using session = await start()
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
    await using session = await start()
    await session.qmp.execute("quit")
    await session.qmp.closed
    expect(session.events.map((event) => event.name)).toContain("SHUTDOWN")
  })

  it("closes when it is killed", async () => {
    await using session = await start()
    session.child.kill("SIGKILL")
    await session.qmp.closed
    await expect(session.qmp.execute("query-status")).rejects.toMatchObject({ code: "unreachable" })
  })
})
