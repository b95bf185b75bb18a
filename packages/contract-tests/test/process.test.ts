import { spawn as spawnProcess, spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { adopt, call, isAlive, type Remote, subscribe } from "@skep/runtime"
import { fromSource, leftoversOf, temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { testContext } from "../src/index.ts"
import { type EchoStatus, parseEchoStatus } from "./echo/echo.ts"
import { spawnedEcho } from "./echo/fixture.ts"

const main = join(import.meta.dirname, "echo", "main.ts")
const never = new AbortController().signal

describe("serve()", () => {
  it("prints help with examples and exit codes", () => {
    const help = spawnSync(process.execPath, [...fromSource(main), "--help"], { encoding: "utf8" })
    expect(help.status).toBe(0)
    expect(help.stdout).toContain("--socket <path>")
    expect(help.stdout).toContain("Examples:")
    expect(help.stdout).toContain("Exit codes:")
  })
  it("exits with 2 on bad options, with the code on stdout and in the log", () => {
    const run = spawnSync(process.execPath, [...fromSource(main)], { encoding: "utf8" })
    expect(run.status).toBe(2)
    expect(JSON.parse(run.stdout)).toMatchObject({ ready: false, error: { code: "bad-options" } })
    expect(JSON.parse(run.stderr.trim().split("\n").at(-1) ?? "")).toMatchObject({ code: "bad-options" })
  })
  it.each(["--no-such-flag", "--socket"])("exits with 2 on %s alone", (flag) => {
    const run = spawnSync(process.execPath, [...fromSource(main), flag], { encoding: "utf8" })
    expect([run.status, run.stderr]).toEqual([2, expect.stringContaining(flag)])
  })
  it("leaves a file that lies where its control socket should be", async () => {
    await using directory = await temporaryDirectory()
    const file = directory.at("notes")
    writeFileSync(file, "mine")
    const argv = [...fromSource(main), "--socket", directory.at("e.sock"), "--control", file]
    const run = spawnSync(process.execPath, argv, { encoding: "utf8" })
    expect(run.status).toBe(1)
    expect(JSON.parse(run.stdout)).toMatchObject({ ready: false, error: { code: "exists" } })
    expect(readFileSync(file, "utf8")).toBe("mine")
  })
  it("serves health, status and metrics on a private socket", async () => {
    await using directory = await temporaryDirectory()
    const socket = directory.at("e.sock")
    const running = await spawnedEcho().start({ socket }, testContext())
    const control = `${socket}.control`
    expect(statSync(control).mode & 0o777).toBe(0o600)
    expect(await call(control, { method: "GET", path: "/health", signal: never })).toMatchObject({
      name: "echo",
      version: "0.0.1",
    })
    expect(await call(control, { method: "GET", path: "/status", signal: never })).toEqual({
      counters: { bytesReceived: 0 },
    })
    expect(await call(control, { method: "GET", path: "/metrics", signal: never })).toContain(
      "skep_echo_bytes_received_total 0",
    )
    await expect(call(control, { method: "GET", path: "/nothing", signal: never })).rejects.toMatchObject({
      code: "not-found",
    })
    await running[Symbol.asyncDispose]()
  })
  it("stops on SIGTERM with exit code 0 and leaves nothing", async () => {
    await using directory = await temporaryDirectory()
    const args = [
      ...fromSource(main),
      "--socket",
      directory.at("e.sock"),
      "--control",
      directory.at("c.sock"),
    ]
    const child = spawnProcess(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"] })
    await once(createInterface({ input: child.stdout }), "line")
    child.kill("SIGTERM")
    expect(await once(child, "exit")).toEqual([0, null])
    expect(await leftoversOf(directory.path)).toEqual([])
  })
})

describe("adopt()", () => {
  async function adopted(control: string): Promise<Remote<EchoStatus>> {
    return await adopt({ control, parseStatus: parseEchoStatus, signal: never })
  }
  it("finds a sidecar that somebody else started, and stops it", async () => {
    await using directory = await temporaryDirectory()
    const socket = directory.at("e.sock")
    const running = await spawnedEcho().start({ socket }, testContext())
    const again = await adopted(`${socket}.control`)
    expect(await again.status()).toEqual({ counters: { bytesReceived: 0 } })
    await again[Symbol.asyncDispose]()
    await again.closed
    await running.closed
    expect(isAlive(again.identity)).toBe(false)
  })
  it("says unreachable when nobody is there", async () => {
    await expect(adopted("/nonexistent/x.sock")).rejects.toMatchObject({ code: "unreachable" })
  })
  it("rejects closed when the process is killed, and the next start clears what it left", async () => {
    await using directory = await temporaryDirectory()
    const socket = directory.at("e.sock")
    const running = await spawnedEcho().start({ socket }, testContext())
    const remote = await adopted(`${socket}.control`)
    process.kill(remote.identity.pid, "SIGKILL")
    await expect(remote.closed).rejects.toMatchObject({ code: "crashed" })
    await expect(running.closed).rejects.toMatchObject({ code: "crashed" })
    expect(existsSync(socket)).toBe(true)
    const next = await spawnedEcho().start({ socket }, testContext())
    await next[Symbol.asyncDispose]()
    expect(await leftoversOf(directory.path)).toEqual([])
  })
  it("refuses a second process on the same socket with address-in-use", async () => {
    await using directory = await temporaryDirectory()
    const socket = directory.at("e.sock")
    const running = await spawnedEcho().start({ socket }, testContext())
    await expect(spawnedEcho().start({ socket }, testContext())).rejects.toMatchObject({
      code: "address-in-use",
    })
    expect(await running.status()).toBeTypeOf("object")
    await running[Symbol.asyncDispose]()
  })
  it("tells its subscribers that it stopped", async () => {
    await using directory = await temporaryDirectory()
    const socket = directory.at("e.sock")
    const running = await spawnedEcho().start({ socket }, testContext())
    const events: unknown[] = []
    const subscription = await subscribe(`${socket}.control`, (event) => events.push(event), never)
    await running[Symbol.asyncDispose]()
    await subscription.ended
    expect(events).toEqual([{ type: "stopped" }])
  })
})
