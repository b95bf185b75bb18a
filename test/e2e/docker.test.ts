// The docker command works as people expect (issue: "What a user gets"; FEATURES theme 19).
import { spawn } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { once } from "node:events"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { mkdtemp } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { freePort } from "../../apps/skep/src/machine/port.ts"
import { IMAGE, PAGE, runHttpd } from "./busybox.ts"
import { type Outcome, run, sharedSkep } from "./skep.ts"

const skep = sharedSkep()
const scratch = await mkdtemp(join(tmpdir(), "d-"))

async function docker(...args: string[]): Promise<string> {
  return (await skep.docker(args)).stdout.trim()
}

describe("docker", () => {
  it("runs a container, with its output and exit code", async () => {
    expect(await docker("run", "--rm", IMAGE, "echo", "hello")).toBe("hello")
    const failed = await skep.docker(["run", "--rm", IMAGE, "sh", "-c", "exit 7"], { check: false })
    expect(failed.code).toBe(7)
  })
  it("carries the end of input into the container and all output back", async () => {
    const data = randomBytes(300_000)
    const { stdout } = await skep.docker(["run", "--rm", "-i", IMAGE, "sha256sum"], { input: data })
    expect(stdout.split(" ")[0]).toBe(createHash("sha256").update(data).digest("hex"))
  })
  it("gives run -it a terminal", async () => {
    const command = `docker run --rm -it ${IMAGE} sh -c "tty; stty size"`
    const { stdout } = await run("script", ["-qec", command, "/dev/null"], { env: skep.env })
    expect(stdout).toContain("/dev/pts/0")
  })
  it("keeps separate stdout and stderr", async () => {
    const outcome = await skep.docker(["run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2"])
    expect(outcome).toMatchObject({ stdout: "out\n", stderr: "err\n" })
  })
  it("execs in a running container, with input too", async () => {
    await docker("run", "-d", "--name", "execs", IMAGE, "sleep", "300")
    expect(await docker("exec", "execs", "echo", "inside")).toBe("inside")
    expect((await skep.docker(["exec", "-i", "execs", "cat"], { input: "through\n" })).stdout).toBe(
      "through\n",
    )
    await docker("rm", "-f", "execs")
  })
  it("attaches to a running container until it ends", async () => {
    // It ends when it is told to, which it is when somebody is attached.
    const waiting = "until [ -e /go ]; do echo waiting; sleep 1; done; echo seen; exit 3"
    await docker("run", "-d", "--name", "attached", IMAGE, "sh", "-c", waiting)
    const attached = spawn("docker", ["attach", "--no-stdin", "attached"], { env: skep.env })
    let said = ""
    const isThere = new Promise<void>((resolve) => {
      attached.stdout.on("data", (chunk: Buffer) => {
        said += chunk.toString()
        resolve()
      })
    })
    const closed = once(attached, "close")
    await Promise.race([isThere, closed])
    await docker("exec", "attached", "touch", "/go")
    expect(await closed).toEqual([3, null])
    expect(said).toMatch(/^(waiting\n)+seen\n$/)
    await docker("rm", "attached")
  })
  it("builds an image", async () => {
    const context = join(scratch, "context")
    mkdirSync(context)
    writeFileSync(
      join(context, "Dockerfile"),
      `FROM ${IMAGE}\nCOPY big /big\nRUN sha256sum /big > /sum\nCMD cat /sum\n`,
    )
    const big = randomBytes(8 << 20)
    writeFileSync(join(context, "big"), big)
    await docker("build", "-q", "-t", "built", context)
    expect(await docker("run", "--rm", "built")).toContain(createHash("sha256").update(big).digest("hex"))
  })
  it("follows logs until the container ends", async () => {
    await docker(
      "run",
      "-d",
      "--name",
      "talks",
      IMAGE,
      "sh",
      "-c",
      "for i in 1 2 3; do echo line $i; sleep 1; done",
    )
    expect(await docker("logs", "-f", "talks")).toBe("line 1\nline 2\nline 3")
    await docker("rm", "talks")
  })
  it("streams events", async () => {
    const events = spawn("docker", ["events", "--filter", "container=seen", "--format", "{{.Action}}"], {
      env: skep.env,
    })
    const lines: string[] = []
    events.stdout.on("data", (chunk: Buffer) => lines.push(...chunk.toString().trim().split("\n")))
    // Containers come and go until an event arrives, which proves that the stream is open.
    for (let times = 0; !lines.includes("die") && times < 10; times++)
      await skep.docker(["run", "--rm", "--name", "seen", IMAGE, "true"], { check: false })
    events.kill("SIGKILL")
    expect(lines).toContain("die")
  })
  it("shows stats", async () => {
    await docker("run", "-d", "--name", "measured", IMAGE, "sleep", "300")
    expect(await docker("stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}}", "measured")).toBe(
      "measured 1",
    )
    await docker("rm", "-f", "measured")
  })
  it("copies files both ways", async () => {
    const data = randomBytes(1 << 20)
    writeFileSync(join(scratch, "in"), data)
    await docker("create", "--name", "copied", IMAGE)
    await docker("cp", join(scratch, "in"), "copied:/data/file")
    await docker("cp", "copied:/data/file", join(scratch, "out"))
    expect(readFileSync(join(scratch, "out")).equals(data)).toBe(true)
    await docker("rm", "copied")
  })
  it("saves and loads an image", async () => {
    const archive = join(scratch, "saved.tar")
    await docker("save", "-o", archive, IMAGE)
    expect(await docker("load", "-i", archive)).toContain("Loaded image")
  })
  it("honours a memory limit", async () => {
    const command = [
      "run",
      "--rm",
      "-m",
      "32m",
      IMAGE,
      "dd",
      "if=/dev/zero",
      "of=/dev/null",
      "bs=100M",
      "count=1",
    ]
    expect((await skep.docker(command, { check: false })).code).toBe(137)
  })
  it("answers a hundred requests at once", async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, () =>
        run("curl", ["-s", "--unix-socket", skep.dockerSocket(), "http://x/_ping"]),
      ),
    )
    expect(answers.map((answer) => answer.stdout)).toEqual(Array.from({ length: 100 }, () => "OK"))
  })
  it("reaches nothing outside, not even the host's loopback (the machine is restricted)", async () => {
    const reached: string[] = []
    const server = createServer((socket) => {
      reached.push(socket.remoteAddress ?? "")
      socket.resume().end(PAGE)
    })
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve)
    })
    const { port } = server.address() as { port: number }
    // What the probe looks for answers the host, and the probe itself finds a server that it may reach.
    expect((await run("curl", ["-s", "--http0.9", `http://127.0.0.1:${port}/`])).stdout).toBe(PAGE)
    const allowed = await freePort()
    const id = await runHttpd(skep, `${allowed}:80`)
    const guest = (await skep.run(["ip", "--guest"])).stdout.trim()
    expect((await probe(guest, allowed)).stdout).toContain(PAGE)
    expect(reached).toHaveLength(1)

    for (const host of ["192.168.64.1", "192.168.64.254", "host.docker.internal"]) {
      const refused = await probe(host, port)
      expect(refused.code).not.toBe(0)
      expect(refused.stdout).toBe("")
    }
    expect(reached).toHaveLength(1)
    await docker("rm", "-f", id)
    await new Promise((resolve) => {
      server.close(resolve)
    })
  })
})

/** Asks for a page from inside a container. */
async function probe(address: string, port: number): Promise<Outcome> {
  const command = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 ${address} ${port}`
  return await skep.docker(["run", "--rm", IMAGE, "sh", "-c", command], { check: false })
}
