// A machine on Skep's network over QEMU's stream: what it has there, beside one over vhost-user, and a network that is killed under both.
import { join } from "node:path"
import { identityOf, isAlive } from "@skep/runtime"
import { processesMentioning } from "@skep/testkit"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { freePort } from "../../apps/skep/src/machine/port.ts"
import { IMAGE, PAGE } from "./busybox.ts"
import { type Outcome, run, sharedSkep } from "./skep.ts"

const NAME = "streamy"
const HTTPD = [IMAGE, "httpd", "-f", "-p", "80", "-h", "/www"]
const BANNER = /^SSH-2\.0-/

const skep = sharedSkep()

async function docker(...args: string[]): Promise<string> {
  return (await skep.docker(["--host", `unix://${skep.dockerSocket(NAME)}`, ...args])).stdout
}

async function inside(command: string, machine = NAME): Promise<Outcome> {
  return await skep.run(["shell", machine, "--", command], { check: false })
}

async function fetchPage(port: number): Promise<string> {
  return (await run("curl", ["-s", "--max-time", "5", `http://127.0.0.1:${port}/`], { check: false })).stdout
}

async function killNetwork(): Promise<void> {
  const line = processesMentioning(skep.home).find((each) => each.includes("programs/network.js")) ?? ""
  const identity = identityOf(Number(/^process (\d+)/.exec(line)?.[1]))
  if (identity === undefined) throw new Error("there is no network")
  process.kill(identity.pid, "SIGKILL")
  while (isAlive(identity)) await new Promise((resolve) => setImmediate(resolve))
}

beforeAll(async () => {
  await skep.run(["up"])
  await skep.run(["up", NAME, "--network", "skep,stream,loopback", "--memory", "768m", "--disk", "2g"])
  const archive = join(skep.home, "streamy.tar")
  await skep.docker(["--host", `unix://${skep.dockerSocket()}`, "save", "-o", archive, IMAGE])
  await docker("load", "-i", archive)
})

afterAll(async () => {
  await skep.run(["rm", "--force", NAME], { check: false })
})

describe("skep up --network skep,stream", () => {
  it("puts the machine on the same network, and tells how", async () => {
    const { vm } = await skep.json(["status", NAME])
    expect(vm.network).toMatchObject({ kind: "stream", provider: "skep", joined: true })
    expect((await skep.run(["status", NAME])).stdout).toMatch(
      /network +loopback, by skep, over QEMU's stream/,
    )
    expect((await inside("cat /sys/class/net/eth0/mtu")).stdout.trim()).toBe("65520")
    expect((await inside("ping -c 1 -W 5 host.skep.internal")).code).toBe(0)
  })

  it("reaches a machine over vhost-user by name, and is reached", async () => {
    const hello = async (from: string, to: string): Promise<string> =>
      (await inside(`nc -w 5 ${to}.skep.internal 22 </dev/null | head -1`, from)).stdout
    expect(await hello(NAME, "default")).toMatch(BANNER)
    expect(await hello("default", NAME)).toMatch(BANNER)
  })

  it("publishes a container's port, and has it again when the network was killed", async () => {
    const port = await freePort()
    const id = (await docker("run", "-d", "-p", `127.0.0.1:${port}:80`, ...HTTPD)).trim()
    expect(await fetchPage(port)).toBe(PAGE)
    const address = (await skep.run(["ip", NAME, "--guest"])).stdout
    const before = await skep.json(["status", NAME])
    await killNetwork()
    await expect.poll(() => fetchPage(port), { timeout: 20_000, interval: 50 }).toBe(PAGE)
    const after = await skep.json(["status", NAME])
    expect(after.vm.process).toEqual(before.vm.process)
    expect(after.vm.network).toMatchObject({ kind: "stream", joined: true })
    expect((await skep.run(["ip", NAME, "--guest"])).stdout).toBe(address)
    expect((await inside("ping -c 1 -W 5 192.168.64.1")).code).toBe(0)
    await docker("rm", "-f", id)
  })

  it("is found as it runs by a backend that comes anew, though another way was chosen since", async () => {
    await skep.run(["up", NAME, "--network", "vhost-user"])
    const line = processesMentioning(skep.home).find((each) => each.includes("backend.js")) ?? ""
    const identity = identityOf(Number(/^process (\d+)/.exec(line)?.[1]))
    if (identity === undefined) throw new Error("there is no backend")
    process.kill(identity.pid, "SIGKILL")
    while (isAlive(identity)) await new Promise((resolve) => setImmediate(resolve))
    await skep.run(["up", NAME])
    const { vm } = await skep.json(["status", NAME])
    expect(vm.network).toMatchObject({ kind: "stream", joined: true })
    expect((await inside("ping -c 1 -W 5 host.skep.internal")).code).toBe(0)
  })
})
