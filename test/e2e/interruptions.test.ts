// Changes that meet: Ctrl-C, stop, kill and rm while something else is under way. Nobody is hurt, nothing is left.
import { once } from "node:events"
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { processesMentioning } from "@skep/testkit"
import { afterAll, describe, expect, it } from "vitest"
import { type Outcome, sharedSkep } from "./skep.ts"

const skep = sharedSkep()
const NAME = "odd"
const UP = ["up", NAME, "--network", "restricted", "--memory", "512m", "--cpus", "1", "--disk", "4g"]

afterAll(() => skep.run(["rm", "--force", NAME], { check: false }))

function processes(): readonly string[] {
  return processesMentioning(`${skep.home}/r/${NAME}`)
}

function recordFile(): string {
  return join(skep.home, "machines", NAME, "machine.json")
}

/** Starts `skep up` and resolves when it has begun the phase; `ended` settles with its outcome. */
async function upUntil(phase: string): Promise<{ interrupt(): void; readonly ended: Promise<Outcome> }> {
  const child = skep.start([...UP, "--json"])
  let stdout = ""
  let stderr = ""
  const ended = once(child, "close").then(([code]) => ({ code: Number(code), stdout, stderr }))
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on("data", (chunk: Buffer) => {
      stdout += chunk.toString()
      if (stdout.includes(`{"type":"begin","phase":"${phase}"`)) resolve()
    })
    void ended.then(() => reject(new Error(`up ended before ${phase}: ${stdout}${stderr}`)))
  })
  return { interrupt: () => void child.kill("SIGINT"), ended }
}

describe("Ctrl-C", () => {
  it("during the first start of a machine leaves nothing of it", async () => {
    const up = await upUntil("linux")
    up.interrupt()
    expect((await up.ended).code).toBe(130)
    await expect.poll(() => existsSync(join(skep.home, "machines", NAME)), { timeout: 30_000 }).toBe(false)
    expect(processes()).toEqual([])
  })

  it("on the up of a machine that runs leaves it running", async () => {
    await skep.run(UP)
    const { vm } = await skep.json(["status", NAME])
    const child = skep.start(["up", NAME])
    child.kill("SIGINT")
    await once(child, "close")
    const after = await skep.json(["status", NAME])
    expect(after).toMatchObject({ state: "running", docker: "up" })
    expect(after.vm.process.pid).toBe(vm.process.pid)
  })
})

describe("a machine that runs", () => {
  it("refuses a smaller disk and keeps its record", async () => {
    const before = readFileSync(recordFile(), "utf8")
    const refused = await skep.run(["up", NAME, "--disk", "3g"], { check: false })
    expect(refused.stderr).toContain("[shrink-refused]")
    expect(readFileSync(recordFile(), "utf8")).toBe(before)
  })

  it("is not stopped by a restart that could not start it again", async () => {
    const { vm } = await skep.json(["status", NAME])
    expect((await skep.run(["restart", NAME, "--memory", "64m"], { check: false })).stderr).toContain(
      "[too-small]",
    )
    expect((await skep.json(["status", NAME])).vm.process.pid).toBe(vm.process.pid)
  })

  it("gets new keys with a restart when its own were lost", async () => {
    const key = join(skep.home, "machines", NAME, "id_ed25519")
    renameSync(key, `${key}.lost`)
    await skep.run(["restart", NAME])
    expect(existsSync(key)).toBe(true)
    expect((await skep.run(["shell", "-m", NAME, "--", "echo", "in"])).stdout).toBe("in\n")
  })
})

describe("stop", () => {
  it("during a start shuts the guest down in order, and the start says why it ended", async () => {
    await skep.run(["stop", NAME])
    const up = await upUntil("docker")
    const stopped = await skep.run(["stop", NAME])
    expect(stopped.stderr).not.toContain("was killed")
    expect((await up.ended).stdout).toContain("was interrupted by its stop")
    expect(await skep.json(["status", NAME])).toMatchObject({ state: "stopped" })
    expect(processes()).toEqual([])
  })
})

describe("a launcher that hangs", () => {
  it("keeps nobody from killing its machine", async () => {
    await skep.run(["up", NAME])
    const launcher = Number(
      /^process (\d+)/.exec(processes().find((line) => line.includes("launcher.js")) ?? "")?.[1],
    )
    process.kill(launcher, "SIGSTOP")
    await skep.run(["kill", NAME])
    expect(await skep.json(["status", NAME])).toMatchObject({ state: "stopped" })
    expect(processes()).toEqual([])
  })
})

describe("rm --force", () => {
  it("of a machine that runs though its file is damaged leaves no process", async () => {
    await skep.run(["up", NAME])
    const backend = processesMentioning(skep.home).find((line) => line.includes("backend.js")) ?? ""
    writeFileSync(recordFile(), "{")
    process.kill(Number(/^process (\d+)/.exec(backend)?.[1]), "SIGKILL")
    expect(await skep.json(["status", NAME])).toMatchObject({ state: "broken" })
    const busy = await skep.run(["rm", NAME], { check: false })
    expect(busy.stderr).toContain("[busy]")
    await skep.run(["rm", "--force", NAME])
    expect(processes()).toEqual([])
    expect(existsSync(join(skep.home, "machines", NAME))).toBe(false)
  })

  it("beside an up leaves either the whole machine or nothing", async () => {
    await skep.run(UP)
    const [, up] = await Promise.all([
      skep.run(["rm", "--force", NAME], { check: false }),
      skep.run(UP, { check: false }),
    ])
    const there = existsSync(recordFile())
    // An up that succeeded may have been before the rm; one that failed was behind it.
    expect(up.code === 0 || !there).toBe(true)
    expect(processes().length > 0).toBe(there)
    await skep.run(["rm", "--force", NAME], { check: false })
    expect(processes()).toEqual([])
    expect(existsSync(join(skep.home, "r", NAME))).toBe(false)
  })
})
