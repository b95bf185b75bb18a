// A machine whose network is gvproxy, or what stands in for it: skep-network under gvproxy's command line.
import { readFileSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { join } from "node:path"
import { processesMentioning } from "@skep/testkit"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { freePort } from "../../apps/skep/src/machine/port.ts"
import { type StandIn, standIn } from "../../packages/adapters/test/gvproxy/available.ts"
import { IMAGE, PAGE } from "./busybox.ts"
import { run, sharedSkep } from "./skep.ts"

const NAME = "proxied"
const HTTPD = [IMAGE, "httpd", "-f", "-p", "80", "-h", "/www"]

const skep = sharedSkep()
const socket = join(skep.home, "r", NAME, "net.sock")
let gvproxy: StandIn
let service: Server
let servicePort = 0

async function docker(...args: string[]): Promise<string> {
  return (await skep.docker(["--host", `unix://${skep.dockerSocket(NAME)}`, ...args])).stdout
}

async function fetchPage(port: number): Promise<string> {
  return (await run("curl", ["-s", "--max-time", "5", `http://127.0.0.1:${port}/`], { check: false })).stdout
}

/** What a service on the host's loopback says to the guest. */
async function askedByGuest(): Promise<string> {
  const line = `socat -u TCP:host.docker.internal:${servicePort},connect-timeout=5 -`
  return (await skep.run(["shell", NAME, "--", line], { check: false })).stdout
}

beforeAll(async () => {
  gvproxy = await standIn()
  service = createServer((client) => client.on("error", () => client.destroy()).end("hello from the host"))
  await new Promise<void>((resolve) => {
    service.listen(0, "127.0.0.1", resolve)
  })
  const address = service.address()
  servicePort = typeof address === "object" && address !== null ? address.port : 0
})

afterAll(async () => {
  await skep.run(["rm", "--force", NAME], { check: false })
  service.close()
  gvproxy[Symbol.dispose]()
})

describe("skep up --network gvproxy", () => {
  const up = ["up", NAME, "--network", "gvproxy", "--memory", "768m", "--disk", "2g"]

  it("is refused where there is no gvproxy, with what to do", async () => {
    const env = { SKEP_GVPROXY: "/nowhere/gvproxy" }
    const { code, stderr } = await skep.run(up, { check: false, env })
    expect(code).not.toBe(0)
    expect(stderr).toContain('Cannot start "/nowhere/gvproxy": there is no such program on this host')
    expect(stderr).toContain("Put gvproxy on PATH, or its path into SKEP_GVPROXY")
  })

  it("refuses a policy that gvproxy does not keep", async () => {
    const { code, stderr } = await skep.run(["up", NAME, "--network", "gvproxy,loopback"], { check: false })
    expect(code).not.toBe(0)
    expect(stderr).toContain("it keeps open only")
  })

  it("gives the machine its network, and tells so", async () => {
    await skep.run(up, { env: { SKEP_GVPROXY: gvproxy.program } })
    const { vm } = await skep.json(["status", NAME])
    expect(vm.network).toMatchObject({ kind: "stream", provider: "gvproxy", joined: true })
    expect((await skep.run(["ip", NAME, "--guest"])).stdout.trim()).toBe("192.168.127.2")
    expect(await askedByGuest()).toBe("hello from the host")
  })

  it("publishes a container's port, and has it again when gvproxy was killed", async () => {
    const archive = join(skep.home, "proxied.tar")
    await skep.docker(["--host", `unix://${skep.dockerSocket()}`, "save", "-o", archive, IMAGE])
    await docker("load", "-i", archive)
    const port = await freePort()
    const id = (await docker("run", "-d", "-p", `${port}:80`, ...HTTPD)).trim()
    expect(await fetchPage(port)).toBe(PAGE)
    const before = await skep.json(["status", NAME])
    // What the guest sends while nobody takes it must not stop its NIC for ever.
    const chatter = "for i in $(seq 30); do ping -c 1 -W 1 192.168.127.1; done"
    await skep.run(["shell", NAME, "--", `(${chatter}) > /dev/null 2>&1 &`])
    process.kill(Number(JSON.parse(readFileSync(`${socket}.gvproxy.json`, "utf8")).pid), "SIGKILL")
    await expect.poll(askedByGuest, { timeout: 60_000 }).toBe("hello from the host")
    await expect.poll(() => fetchPage(port), { timeout: 60_000 }).toBe(PAGE)
    const after = await skep.json(["status", NAME])
    expect(after.vm.process).toEqual(before.vm.process)
    await docker("rm", "-f", id)
    expect(await fetchPage(port)).toBe("")
  })

  it("leaves nothing when the machine is removed", async () => {
    await skep.run(["rm", "--force", NAME])
    expect(processesMentioning(join(skep.home, "r", NAME))).toEqual([])
  })
})
