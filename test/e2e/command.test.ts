// Every verb of the command on a running machine (FEATURES 1.1, DM-02, DM-04).

import { statSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { IMAGE } from "./busybox.ts"
import { run, sharedSkep } from "./skep.ts"

const skep = sharedSkep()

describe("skep", () => {
  it("up is idempotent", async () => {
    const { stderr } = await skep.run(["up"])
    expect(stderr).toContain("default is up")
  })
  it("ls lists the machine", async () => {
    expect((await skep.run(["ls"])).stdout).toMatch(/default\s+\*\s+running\s+up/)
    expect(await skep.json(["ls"])).toEqual([
      expect.objectContaining({ name: "default", state: "running", docker: "up" }),
    ])
    expect((await skep.run(["ls", "-q"])).stdout).toBe("default\n")
  })
  it("status tells the accelerator that was proved", async () => {
    const { vm } = await skep.json(["status"])
    expect(vm).toMatchObject({ state: "running", hypervisor: expect.stringContaining("qemu") })
    expect(["kvm", "tcg"]).toContain(vm.accelerator)
    expect(vm.phases.map((phase: { name: string }) => phase.name)).toContain("docker")
  })
  it("inspect prints JSON with the record", async () => {
    const { record } = JSON.parse((await skep.run(["inspect"])).stdout)
    expect(record).toMatchObject({
      name: "default",
      cpus: 2,
      // Another file of these tests gives it more.
      memoryMiB: expect.toSatisfy((mebibytes: number) => mebibytes >= 1024),
      diskGiB: expect.toSatisfy((gibibytes: number) => gibibytes >= 8),
      networkPolicy: "restricted",
    })
  })
  it("url and env point at the socket", async () => {
    const url = `unix://${skep.dockerSocket()}`
    expect((await skep.run(["url"])).stdout.trim()).toBe(url)
    expect((await skep.run(["env", "--shell", "bash"])).stdout).toContain(`export DOCKER_HOST='${url}'`)
    expect((await skep.run(["env", "--shell", "fish"])).stdout).toContain(`set -gx DOCKER_HOST '${url}';`)
    expect((await skep.run(["env", "--unset", "--shell", "sh"])).stdout).toContain("unset DOCKER_HOST")
    const evaluated = await run(
      "sh",
      [
        "-c",
        'eval "$1"; docker version --format "{{.Server.Os}}"',
        "sh",
        (await skep.run(["env", "--shell", "sh"])).stdout,
      ],
      { env: skep.env },
    )
    expect(evaluated.stdout.trim()).toBe("linux")
  })
  it("ip prints where published ports are", async () => {
    expect((await skep.run(["ip"])).stdout.trim()).toBe("127.0.0.1")
    expect((await skep.run(["ip", "--guest"])).stdout.trim()).toMatch(/^192\.168\.64\.\d+$/)
  })
  it("shell runs a command with its input, output and exit code", async () => {
    expect((await skep.run(["shell", "--", "uname", "-s"])).stdout).toBe("Linux\n")
    expect((await skep.run(["shell", "default", "echo", "a b", "c"])).stdout).toBe("a b c\n")
    expect((await skep.run(["shell", "default", "--", "echo", "-n", "d"])).stdout).toBe("d")
    expect((await skep.run(["ssh", "--", "cat"], { input: "through\n" })).stdout).toBe("through\n")
    expect((await skep.run(["shell", "--", "exit 9"], { check: false })).code).toBe(9)
    expect((await skep.run(["shell", "--", "kill -9 $$"], { check: false })).code).toBe(137)
  })
  it("shell without a terminal ends with the first Ctrl-C", async () => {
    const shell = skep.start(["shell", "--", "echo begun; exec sleep 30"])
    shell.stdout?.once("data", () => shell.kill("SIGINT"))
    expect(await new Promise((resolve) => shell.on("close", resolve))).toBe(130)
  })
  it("shell opens a terminal for a person", async () => {
    const command = `${process.execPath} ${join(import.meta.dirname, "../../apps/skep/bin/skep.js")} shell -- tty`
    expect((await run("script", ["-qec", command, "/dev/null"], { env: skep.env })).stdout).toContain(
      "/dev/pts/",
    )
  })
  it("rm asks a person, for whom Ctrl-C is a no", async () => {
    const command = `${process.execPath} ${join(import.meta.dirname, "../../apps/skep/bin/skep.js")} rm`
    const { CI: _, ...env } = skep.env
    const outcome = await run("script", ["-qec", command, "/dev/null"], {
      env,
      input: "\u0003",
      inputAfter: "[y/N]",
      check: false,
    })
    expect(outcome.code).toBe(130)
    expect(outcome.stdout).not.toContain("Internal error")
    expect((await skep.json(["status"])).state).toBe("running")
  })
  it("ssh-config serves OpenSSH", async () => {
    const config = (await skep.run(["ssh-config"])).stdout
    expect(config).toContain("Host skep-default")
    const { stdout } = await run("ssh", [
      "-F",
      join(skep.home, "machines/default/ssh_config"),
      "-o",
      "ConnectTimeout=20",
      "skep-default",
      "hostname",
    ])
    expect(stdout.trim()).toBe("skep")
  })
  it("logs print the console", async () => {
    expect((await skep.run(["logs"])).stdout).toContain("skep: phase docker")
    expect((await skep.run(["logs", "--source", "backend", "-n", "5"])).stdout).toContain('"name":"backend"')
  })
  it("logs --source docker print the engine's own log, and follow it", async () => {
    const { stdout } = await skep.run(["logs", "--source", "docker"])
    expect(stdout).toContain("API listen on /run/docker.sock")
    expect((await skep.run(["logs", "-s", "docker", "-n", "1"])).stdout.match(/\n/g)).toHaveLength(1)
    const follower = skep.start(["logs", "-s", "docker", "-n", "0", "-f"])
    const heard: unknown[] = []
    follower.stdout?.on("data", (chunk) => heard.push(chunk))
    // A failure leaves a word in the engine's log: some, one after the other, until the follower is there.
    const failing = ["run", "--rm", IMAGE, "no-such-program"]
    for (let times = 0; heard.length === 0 && times < 10; times++)
      await skep.docker(failing, { check: false })
    expect(heard).not.toEqual([])
    follower.kill("SIGINT")
    expect(await new Promise((resolve) => follower.on("close", resolve))).toBe(0)
  })
  it("console attaches both ways", async () => {
    const socket = connect(join(skep.home, "r/default/console.sock"))
    const heard = new Promise<void>((resolve) => {
      let text = ""
      socket.on("data", (chunk) => {
        text += chunk.toString()
        if (text.includes("console-works-42")) resolve()
      })
    })
    socket.write("\necho console-works-$((6*7))\n")
    await heard
    socket.destroy()
  })
  it("doctor finds nothing broken", async () => {
    const findings = await skep.json(["doctor"])
    expect(findings.filter((finding: { verdict: string }) => finding.verdict === "fail")).toEqual([])
  })
  it("image ls shows the current image", async () => {
    expect(await skep.json(["image", "ls"])).toContainEqual(
      expect.objectContaining({ current: true, arch: "amd64" }),
    )
  })
  it("image rm refuses while a machine runs", async () => {
    const outcome = await skep.run(["image", "rm", "--unused"], { check: false })
    expect(outcome).toMatchObject({ code: 4, stderr: expect.stringContaining("[busy]") })
  })
  it("version and completion print", async () => {
    expect((await skep.run(["version"])).stdout).toMatch(/^0\.1\.0\+/)
    for (const shell of ["bash", "zsh", "fish"])
      expect((await skep.run(["completion", shell])).stdout).toContain("skep complete")
    expect((await skep.run(["complete", "--", "status"])).stdout).toContain("default")
  })
  it("keeps its sockets private", () => {
    for (const name of [
      "backend.sock",
      "default/docker.sock",
      "default/launcher.sock",
      "default/console.sock",
    ]) {
      expect(statSync(join(skep.home, "r", name)).mode & 0o777).toBe(0o600)
    }
    for (const name of ["", "r", "r/default", "machines", "machines/default"]) {
      expect(statSync(join(skep.home, name)).mode & 0o777).toBe(0o700)
    }
  })
  it("puts no secret on a command line", async () => {
    const { vm } = await skep.json(["status"])
    const { stdout } = await run("tr", ["\\0", " "], {
      input: (await run("cat", [`/proc/${vm.process.pid}/cmdline`])).stdout,
    })
    expect(stdout).not.toMatch(/PRIVATE KEY|ssh-ed25519/)
    expect((await skep.run(["shell", "--", "cat /proc/cmdline"])).stdout).not.toMatch(/ssh|key/)
  })
  it("made the docker context skep and uses it", async () => {
    const { stdout } = await run(
      "docker",
      ["context", "ls", "--format", "{{.Name}} {{.Current}} {{.DockerEndpoint}}"],
      { env: skep.env },
    )
    expect(stdout).toContain(`skep true unix://${skep.dockerSocket()}`)
  })
  it("leaves another context in use alone, and says so", async () => {
    await run("docker", ["context", "create", "other", "--docker", "host=unix:///nonexistent.sock"], {
      env: skep.env,
    })
    await run("docker", ["context", "use", "other"], { env: skep.env })
    expect((await skep.run(["up"])).stderr).toContain('The docker context "other" stays in use')
    await run("docker", ["context", "use", "skep"], { env: skep.env })
    await run("docker", ["context", "rm", "other"], { env: skep.env })
    expect((await skep.run(["up"], { env: { DOCKER_HOST: "unix:///x" } })).stderr).toContain(
      "DOCKER_HOST is set",
    )
  })
})
