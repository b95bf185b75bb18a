// Bad input and bad hosts: one clear sentence with a code and a next step, or it just works. No virtual machine is needed.
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { mkdtemp } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type Outcome, run, type Skep, sharedSkep, skepIn } from "./skep.ts"

let skep: Skep
let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "bad-"))
  skep = skepIn(join(directory, "h"))
})

afterEach(async () => {
  await skep.backendEnds()
  rmSync(directory, { recursive: true, force: true })
})

function expectError(outcome: Outcome, code: string, exit: number): void {
  expect(outcome.stderr).toContain(`[${code}]`)
  expect(outcome.stderr).toContain("next:")
  expect(outcome.code).toBe(exit)
}

/** A directory of links to every program on the PATH but one; a PATH of its own. */
function pathWithout(program: string, directory: string): string {
  mkdirSync(directory)
  for (const from of (process.env["PATH"] ?? "").split(":").filter(existsSync)) {
    for (const name of readdirSync(from))
      if (name !== program && !existsSync(join(directory, name)))
        symlinkSync(join(from, name), join(directory, name))
  }
  return directory
}

async function failing(...args: string[]): Promise<Outcome> {
  return await skep.run(args, { check: false })
}

describe("names and sizes", () => {
  it.each(["status", "stop", "kill", "restart", "rm", "inspect", "url", "ip", "env", "logs", "shell"])(
    "%s of an unknown machine",
    async (verb) => {
      const args = verb === "shell" ? ["shell", "-m", "nobody"] : [verb, "nobody"]
      expectError(await failing(...args), "not-found", 3)
    },
  )
  it.each(["Bad", "-x/", "a b", "../x", "", "x".repeat(40), "backend"])("the name %j", async (name) => {
    expectError(await failing("up", "--", name), "bad-name", 2)
  })
  it("too little memory", async () => {
    expectError(await failing("up", "--memory", "64m"), "too-small", 2)
  })
  it("too small a disk", async () => {
    expectError(await failing("up", "--disk", "1g"), "too-small", 2)
  })
  it.each([
    ["--memory", "lots"],
    ["--disk", "-5"],
    ["--cpus", "two"],
    ["--cpus", "0"],
    ["--cpus", "1000"],
    ["--cpus", "99999999999999999999"],
    ["--memory", "100t"],
    ["--disk", "100000t"],
  ])("the size %s %s", async (flag, value) => {
    expectError(await failing("up", `${flag}=${value}`), "bad-options", 2)
  })
  it("says it in JSON too", async () => {
    const { stdout, code } = await failing("status", "nobody", "--json")
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "not-found", next: expect.any(String) } })
    expect(code).toBe(3)
  })
  it.each([
    [["statsu"], "Did you mean status?"],
    [["up", "--cpu", "2"], "Did you mean --cpus?"],
    [["up", "--network", "closed"], "Allowed choices are open, loopback, restricted"],
    [["ls", "surplus"], "too many arguments"],
    [["completion"], "missing required argument"],
    [["image", "rm"], "--unused"],
    [["logs", "-n", "x"], "number of lines"],
    [["console", "--json"], "unknown option '--json'"],
  ])("the usage %j", async (args, reason) => {
    const outcome = await failing(...args)
    if (!args.includes("--json")) {
      expectError(outcome, "bad-options", 2)
      expect(outcome.stderr).toContain(reason)
    }
    const inJson = await failing(...args, "--json")
    expect(JSON.parse(inJson.stdout)).toMatchObject({ error: { code: "bad-options" } })
    expect(inJson.code).toBe(2)
  })
  it("leaves no machine behind", async () => {
    await failing("up", "--memory", "64m")
    expect((await skep.run(["ls", "-q"])).stdout).toBe("")
  })
})

describe("the host", () => {
  it("without QEMU", async () => {
    const shared = sharedSkep()
    mkdirSync(skep.home, { recursive: true, mode: 0o700 })
    for (const name of ["images", "cache"]) symlinkSync(join(shared.home, name), join(skep.home, name))
    const bin = join(directory, "bin")
    mkdirSync(bin)
    symlinkSync((await run("which", ["sh"])).stdout.trim(), join(bin, "sh"))
    const outcome = await skep.run(["up"], { check: false, env: { PATH: bin } })
    expectError(outcome, "host-program-missing", 6)
    expect(outcome.stderr).toContain("qemu-system-x86")
    expect((await skep.run(["ls", "-q"])).stdout).toBe("")
  })
  it("without a docker command: one is made of Debian's package, and named by its path", async () => {
    const shared = sharedSkep()
    mkdirSync(skep.home, { recursive: true, mode: 0o700 })
    for (const name of ["images", "cache"]) symlinkSync(join(shared.home, name), join(skep.home, name))
    const PATH = pathWithout("docker", join(directory, "bin"))
    const docker = join(skep.home, "bin/docker")
    const doctor = async (): Promise<unknown> => {
      const { stdout } = await skep.run(["doctor", "--json"], { check: false, env: { PATH } })
      return JSON.parse(stdout).find((finding: { check: string }) => finding.check === "docker")
    }
    expect(await doctor()).toMatchObject({
      verdict: "warn",
      next: expect.stringContaining("skep docker-cli"),
    })
    const made = await skep.run(["docker-cli"], { env: { PATH } })
    expect(made).toMatchObject({ stdout: `${docker}\n`, stderr: expect.stringContaining("export PATH=") })
    expect((await run(docker, ["--version"])).stdout).toContain("Docker version")
    expect(await doctor()).toMatchObject({ verdict: "ok", text: expect.stringContaining(docker) })
    const again = await skep.run(["docker-cli", "--json"], { env: { PATH } })
    expect(JSON.parse(again.stdout)).toEqual({ path: docker, isOnPath: false, made: false })
  })
  it("with Ctrl-C in the middle of an image build: nothing half-made is left", async () => {
    const shared = sharedSkep()
    mkdirSync(skep.home, { recursive: true, mode: 0o700 })
    symlinkSync(join(shared.home, "cache"), join(skep.home, "cache"))
    const build = skep.start(["image", "build"])
    let said = ""
    build.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString()
      if (said.includes("unpack")) build.kill("SIGINT")
    })
    expect(await new Promise((resolve) => build.on("close", resolve))).toBe(130)
    // Each step is told once as it begins.
    expect(said.match(/^Guest image: unpack/gm)).toHaveLength(1)
    expect(readdirSync(join(skep.home, "images"))).toEqual([])
  })
  it("with a broken image: it is listed, and can be removed", async () => {
    const id = "b".repeat(64)
    mkdirSync(join(skep.home, "images", id), { recursive: true, mode: 0o700 })
    expect(await skep.json(["image", "ls"])).toEqual([{ id, current: false, broken: true }])
    expect((await skep.run(["image", "ls"])).stdout).toMatch(/b{12}\s+broken/)
    expectError(await skep.run(["image", "rm", "bbb"], { check: false }), "bad-options", 2)
    expectError(await skep.run(["image", "rm", ""], { check: false }), "bad-options", 2)
    await skep.run(["image", "rm", "bbbb"])
    expect(readdirSync(join(skep.home, "images"))).toEqual([])
  })
  it("in a home where nothing can be made", async () => {
    const env = { HOME: "/proc", SKEP_HOME: "/proc/.skep", SKEP_RUN: "/proc/.skep/run" }
    const outcome = await skep.run(["up"], { check: false, env })
    expect(outcome.code).not.toBe(0)
    expect(outcome.stderr).toMatch(/^error: Cannot create the directory "\/proc\/.skep/)
  })
  it("with a socket path of over 104 bytes", async () => {
    const long = join(directory, "d".repeat(100))
    expectError(await skep.run(["up"], { check: false, env: { SKEP_RUN: long } }), "path-too-long", 2)
    expect(existsSync(long)).toBe(false)
  })
  it("with a home that cannot be written", async () => {
    const home = join(directory, "closed")
    mkdirSync(home)
    chmodSync(home, 0o500)
    chmodSync(directory, 0o755)
    // Root may write anywhere, so the command runs as nobody.
    const uid = process.getuid?.() === 0 ? { uid: 65_534 } : {}
    const env = {
      SKEP_HOME: join(home, "h"),
      SKEP_RUN: join(home, "r"),
      DOCKER_CONFIG: join(directory, "docker"),
    }
    expectError(await skep.run(["up"], { check: false, env, ...uid }), "permission-denied", 1)
  })
  it("with a file where its home should be", async () => {
    const file = join(directory, "file")
    writeFileSync(file, "")
    expectError(
      await skep.run(["up"], { check: false, env: { SKEP_HOME: file, SKEP_RUN: join(directory, "r2") } }),
      "exists",
      4,
    )
  })
  it.runIf(process.getuid?.() === 0)("with a full disk", async () => {
    const full = join(directory, "full")
    mkdirSync(full)
    await run("mount", ["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", full])
    try {
      writeFileSync(join(full, "filler"), Buffer.alloc(60 << 10))
      const outcome = await skep.run(["image", "build"], {
        check: false,
        env: { SKEP_HOME: join(full, "h"), SKEP_RUN: join(directory, "r3") },
      })
      expectError(outcome, "disk-full", 1)
    } finally {
      await run("umount", [full])
    }
  })
  it("with the SSH port taken: another one is used, and said", async () => {
    const shared = sharedSkep()
    const { record } = await shared.json(["inspect"])
    await shared.run(["stop"])
    const server = createServer()
    await new Promise<void>((resolve) => {
      server.listen(record.sshPort, "127.0.0.1", resolve)
    })
    const { stderr } = await shared.run(["up"])
    expect(stderr).toContain(`port ${record.sshPort} is taken`)
    expect((await shared.run(["shell", "--", "echo works"])).stdout).toBe("works\n")
    await new Promise((resolve) => {
      server.close(resolve)
    })
  })
})
