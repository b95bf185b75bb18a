// A sidecar whose machine is gone ends by itself.
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readdirSync } from "node:fs"
import { testContext } from "@skep/contract-tests"
import { Loop } from "@skep/loop"
import { fromSource, temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { vsock } from "../src/index.ts"
import { watchCompany } from "../src/lonely.ts"

const SOON_MS = 1

describe("watchCompany()", () => {
  it("counts from the start and from the last hang-up: whoever is connected keeps it", () => {
    let now = 0
    using loop = new Loop({ clock: { now: () => now } })
    let lonely = 0
    const company = watchCompany(loop.scope("test"), 100, () => lonely++)
    const pass = (ms: number): number => {
      now += ms
      loop.step()
      return lonely
    }
    expect(pass(99)).toBe(0)
    company.came()
    expect(pass(1000)).toBe(0)
    company.left()
    expect(pass(99)).toBe(0)
    company.came()
    company.left()
    expect(pass(99)).toBe(0)
    expect(pass(1)).toBe(1)
  })

  it("never is lonely where that takes 0 ms", () => {
    let now = 0
    using loop = new Loop({ clock: { now: () => now } })
    let lonely = 0
    watchCompany(loop.scope("test"), 0, () => lonely++).left()
    now = 1e9
    loop.step()
    expect(lonely).toBe(0)
  })
})

describe("lonelyMs", () => {
  it("ends a sidecar to which nobody ever came, and leaves nothing", async () => {
    await using directory = await temporaryDirectory()
    const options = vsock.parseOptions({
      guestCid: 3,
      socket: directory.at("vhost.sock"),
      directory: directory.at("v"),
      lonelyMs: SOON_MS,
    })
    const context = testContext()
    const running = await vsock.start(options, context)
    await running.closed
    expect(context.events).toEqual([{ type: "lonely", lonelyMs: SOON_MS }])
    await expect(running.status()).rejects.toMatchObject({ code: "not-running" })
    expect(readdirSync(directory.path)).toEqual(["v"])
    expect(existsSync(directory.at("v/connect"))).toBe(false)
  })

  it("ends the process with code 0", async () => {
    await using directory = await temporaryDirectory()
    const program = fromSource(import.meta.dirname, "../src/main.ts")
    const flags = ["--guest-cid", "3", "--socket", directory.at("vhost.sock"), "--lonely-ms", String(SOON_MS)]
    const child = spawn(process.execPath, [...program, ...flags], { stdio: "ignore" })
    expect(await once(child, "exit")).toEqual([0, null])
    expect(readdirSync(directory.path)).toEqual([])
  })
})
