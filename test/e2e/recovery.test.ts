// Kill anything at any time: the next command recovers, and nothing is lost (FEATURES section 4 row 8, theme 5).
import { existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs"
import { rm } from "node:fs/promises"
import { join } from "node:path"
import { identityOf, isAlive } from "@skep/runtime"
import { processesMentioning } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { IMAGE, runHttpd } from "./busybox.ts"
import { sharedSkep } from "./skep.ts"

const skep = sharedSkep()

async function backendPid(): Promise<number> {
  return pidOf((line) => line.includes("backend.js"))
}

function pidOf(wanted: (line: string) => boolean): number {
  const line = processesMentioning(skep.home).find(wanted) ?? ""
  return Number(/^process (\d+)/.exec(line)?.[1])
}

/** Resolves when that very process is gone. */
async function killed(pid: number): Promise<void> {
  const identity = identityOf(pid)
  if (identity === undefined) throw new Error(`there is no process ${pid}`)
  process.kill(pid, "SIGKILL")
  while (isAlive(identity)) await new Promise((resolve) => setImmediate(resolve))
}

describe("a killed backend", () => {
  it("leaves the machine running, which the next command adopts with its containers and ports", async () => {
    await runHttpd(skep, "80", "--name", "survivor")
    const { vm } = await skep.json(["status"])
    await killed(await backendPid())
    expect((await skep.run(["up"])).stderr).toContain("default is up")
    const after = await skep.json(["status"])
    expect(after.vm.process.pid).toBe(vm.process.pid)
    expect(after.ports.forwards).toEqual([expect.objectContaining({ container: "survivor" })])
    await skep.docker(["rm", "-f", "survivor"])
    expect((await skep.json(["status"])).ports.forwards).toEqual([])
  })
})

describe("a backend that does not answer", () => {
  it("is named by the next command, with what to do, and serves again when it goes on", async () => {
    const pid = await backendPid()
    process.kill(pid, "SIGSTOP")
    try {
      const outcome = await skep.run(["status"], { check: false })
      expect(outcome).toMatchObject({ code: 5, stderr: expect.stringContaining("[timeout]") })
      expect(outcome.stderr).toContain(`(pid ${pid})`)
      expect(outcome.stderr).toContain("backend.log")
      const findings = await skep.json(["doctor"])
      expect(findings).toContainEqual(expect.objectContaining({ check: "backend", verdict: "fail" }))
    } finally {
      process.kill(pid, "SIGCONT")
    }
    expect((await skep.run(["status"])).stdout).toContain("running")
  })
})

describe("a removed docker.sock", () => {
  it("is made again by up, under a machine that runs", async () => {
    const { vm } = await skep.json(["status"])
    await rm(skep.dockerSocket())
    await skep.run(["up"])
    expect((await skep.docker(["run", "--rm", IMAGE, "echo", "still here"])).stdout).toBe("still here\n")
    expect((await skep.json(["status"])).vm.process.pid).toBe(vm.process.pid)
  })
})

describe("a killed launcher", () => {
  it("is replaced, and the machine runs on", async () => {
    const { vm } = await skep.json(["status"])
    await killed(pidOf((line) => line.includes("launcher.js")))
    expect((await skep.run(["up"])).stderr).toContain("default is up")
    const after = await skep.json(["status"])
    expect(after.vm.process.pid).toBe(vm.process.pid)
    expect((await skep.docker(["run", "--rm", IMAGE, "echo", "still here"])).stdout).toBe("still here\n")
  })
})

describe("a network and a launcher that hang", () => {
  it("are noticed and replaced, and the machine runs on", async () => {
    const { vm } = await skep.json(["status"])
    const hung = ["launcher.js", "network.js"].map((program) => pidOf((line) => line.includes(program)))
    const there = hung.map((pid) => identityOf(pid))
    for (const pid of hung) process.kill(pid, "SIGSTOP")
    // Somebody who asks meanwhile is not kept waiting for either.
    expect((await skep.json(["status"])).state).toBe("running")
    const gone = (): boolean => there.every((one) => one !== undefined && !isAlive(one))
    await expect.poll(gone, { timeout: 60_000 }).toBe(true)
    expect((await skep.run(["up"])).stderr).toContain("default is up")
    expect((await skep.json(["status"])).vm.process.pid).toBe(vm.process.pid)
    expect((await skep.docker(["run", "--rm", IMAGE, "echo", "still here"])).stdout).toBe("still here\n")
    const log = await skep.run(["logs", "--source", "backend"])
    expect(log.stdout).toMatch(/"network\W+ did not answer for \d+ s and was ended/)
  })
})

describe("a killed QEMU", () => {
  it("is reported as a crash, and up starts the machine again with its data", async () => {
    await skep.docker([
      "run",
      "--rm",
      "-v",
      "after-crash:/data",
      IMAGE,
      "sh",
      "-c",
      "echo safe > /data/file; sync",
    ])
    const { vm } = await skep.json(["status"])
    await killed(vm.process.pid)
    const crashed = await untilState("crashed")
    expect(crashed.problem).toMatchObject({ code: "crashed", message: expect.stringContaining("QEMU ended") })
    expect((await skep.docker(["ps"], { check: false })).stderr).toContain("skep up")
    await skep.run(["up"])
    expect(
      (await skep.docker(["run", "--rm", "-v", "after-crash:/data", IMAGE, "cat", "/data/file"])).stdout,
    ).toBe("safe\n")
  })
})

describe("two skep up at once", () => {
  it("start one machine, and both succeed; one interrupted disturbs the other as little", async () => {
    await skep.run(["stop"])
    const interrupted = skep.start(["up"])
    const [first, second] = await Promise.all([
      skep.run(["up"]),
      skep.run(["up"]),
      new Promise((resolve) => {
        interrupted.on("close", resolve)
        interrupted.stderr?.once("data", () => interrupted.kill("SIGINT"))
      }),
    ])
    expect(first.stderr).toContain("default is up")
    expect(second.stderr).toContain("default is up")
    expect(
      processesMentioning(join(skep.home, "r/default")).filter((line) => line.includes("qemu-system")),
    ).toHaveLength(1)
  })
})

describe("Ctrl-C", () => {
  it("during the first up of a machine leaves nothing of it", async () => {
    const up = skep.start(["up", "brief", "--network", "restricted", "--memory", "512m", "--disk", "2g"])
    // "Disks and keys: done" means that the virtual machine is being started.
    await new Promise<void>((resolve) => {
      up.stderr?.on("data", (chunk: Buffer) => {
        if (chunk.toString().includes("Disks and keys")) resolve()
      })
    })
    up.kill("SIGINT")
    expect(await new Promise((resolve) => up.on("close", resolve))).toBe(130)
    await goneFromList("brief")
    expect(existsSync(join(skep.home, "machines/brief"))).toBe(false)
    expect(existsSync(join(skep.home, "r/brief"))).toBe(false)
    expect(processesMentioning(join(skep.home, "r/brief"))).toEqual([])
  })
})

describe("a broken image", () => {
  it("is noticed and built again", async () => {
    await skep.run(["stop"])
    const images = join(skep.home, "images")
    const [id = ""] = readdirSync(images).filter((name) => /^[0-9a-f]{64}$/.test(name))
    truncateSync(join(images, id, "root.erofs"), 1000)
    const up = await skep.run(["up"])
    expect(up.stderr).toContain("built again")
    expect(JSON.parse(readFileSync(join(images, id, "manifest.json"), "utf8")).id).toBe(id)
  })
})

describe("a corrupt machine file", () => {
  it("is shown with what to do, touches no data, and rm --force removes the rest", async () => {
    const name = "damaged"
    await skep.run(["up", name, "--network", "restricted", "--memory", "512m", "--disk", "2g"])
    await skep.run(["stop", name])
    writeFileSync(join(skep.home, "machines", name, "machine.json"), "{ not json")
    await killed(await backendPid())
    const outcome = await skep.run(["up", name], { check: false })
    expect(outcome).toMatchObject({ code: 1, stderr: expect.stringContaining("[corrupt-file]") })
    expect(outcome.stderr).toContain("next:")
    expect((await skep.run(["ls"])).stdout).toMatch(/damaged\s+broken/)
    expect(existsSync(join(skep.home, "machines", name, "data.img"))).toBe(true)
    await skep.run(["rm", "--force", name])
    expect(existsSync(join(skep.home, "machines", name))).toBe(false)
  })
})

describe("corrupt settings", () => {
  it("are named, and running machines are served all the same", async () => {
    const path = join(skep.home, "settings.json")
    writeFileSync(path, '{"cpus": "many"}')
    const outcome = await skep.run(["up", "unborn"], { check: false })
    expect(outcome).toMatchObject({ code: 1, stderr: expect.stringContaining("[corrupt-file]") })
    expect(outcome.stderr).toContain(path)
    expect((await skep.run(["status"])).stdout).toContain("running")
    await rm(path)
    expect(existsSync(join(skep.home, "machines/unborn"))).toBe(false)
  })
})

async function untilState(state: string): ReturnType<typeof skep.json> {
  for (let tries = 0; tries < 200; tries++) {
    const machine = await skep.json(["status"])
    if (machine.state === state) return machine
  }
  throw new Error(`the machine did not become ${state}`)
}

/** The command hangs up at once; the backend tells when it has undone everything. */
async function goneFromList(name: string): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (!(await skep.run(["ls", "-q"])).stdout.includes(name)) return
  }
  throw new Error(`the machine ${name} is still there`)
}
