// A machine on Skep's own network: its address and names, what it may reach, other machines, and a network that is killed (LI user-v2, theme 23).
import { once } from "node:events"
import { createServer, type Server } from "node:net"
import { identityOf, isAlive } from "@skep/runtime"
import { processesMentioning } from "@skep/testkit"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { IMAGE, PAGE, runHttpd } from "./busybox.ts"
import { type Outcome, run, sharedSkep } from "./skep.ts"

const skep = sharedSkep()
const OTHER = "neighbour"
const ADDRESS = /^192\.168\.64\.\d+$/
const BANNER = /^SSH-2\.0-/

beforeAll(async () => {
  await skep.run(["up"])
  await skep.run(["up", OTHER, "--network", "loopback", "--memory", "512m", "--cpus", "1", "--disk", "2g"])
})

afterAll(async () => {
  await skep.run(["rm", "--force", OTHER], { check: false })
})

async function inside(machine: string, command: string): Promise<Outcome> {
  return await skep.run(["shell", machine, "--", command], { check: false })
}

async function guestAddress(machine: string): Promise<string> {
  return (await skep.run(["ip", machine, "--guest"])).stdout.trim()
}

/** A server on the host's loopback that says who it is. */
async function hostServer(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => socket.resume().end("the host\n")).listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (typeof address !== "object" || address === null) throw new Error("a TCP server has a port")
  return { server, port: address.port }
}

function networkPid(): number {
  const line = processesMentioning(skep.home).find((each) => each.includes("programs/network.js")) ?? ""
  const pid = Number(/^process (\d+)/.exec(line)?.[1])
  if (Number.isNaN(pid)) throw new Error("there is no network")
  return pid
}

async function killNetwork(): Promise<void> {
  const identity = identityOf(networkPid())
  if (identity === undefined) throw new Error("the network has gone by itself")
  process.kill(identity.pid, "SIGKILL")
  while (isAlive(identity)) await new Promise((resolve) => setImmediate(resolve))
}

describe("a machine on the network", () => {
  it("is on it without being told, with an address of its own", async () => {
    const { vm, record } = await skep.json(["status"])
    expect(record.network).toBe("skep")
    expect(vm.network).toMatchObject({ kind: "vhost-user", provider: "skep" })
    expect(await guestAddress("default")).toMatch(ADDRESS)
    const ping = await inside("default", "ping -c 1 -W 2 192.168.64.1 && ping -c 1 -W 2 host.skep.internal")
    expect(ping.code).toBe(0)
  })

  it("reaches another machine by address and by name, and is reached", async () => {
    const address = await guestAddress("default")
    for (const name of [address, "default.skep.internal", "default"]) {
      expect((await inside(OTHER, `nc -w 5 ${name} 22 </dev/null | head -1`)).stdout).toMatch(BANNER)
    }
    expect(
      (await inside("default", `nc -w 5 ${OTHER}.skep.internal 22 </dev/null | head -1`)).stdout,
    ).toMatch(BANNER)
    expect(address).not.toBe(await guestAddress(OTHER))
  })

  it("gets to the host's loopback where its policy says so, and nowhere where that says so", async () => {
    const { server, port } = await hostServer()
    try {
      for (const name of ["host.docker.internal", "gateway.docker.internal", "host.containers.internal"]) {
        expect((await inside(OTHER, `nc -w 5 ${name} ${port} </dev/null`)).stdout).toBe("the host\n")
      }
      expect((await inside("default", `nc -w 5 host.docker.internal ${port} </dev/null`)).stdout).toBe("")
    } finally {
      server.close()
    }
  })

  it("has containers find the host where Compose files write host-gateway", async () => {
    const run = ["run", "--rm", "--add-host", "host:host-gateway", IMAGE, "cat", "/etc/hosts"]
    const address = /^(\S+)\thost$/m.exec((await skep.docker(run)).stdout)?.[1]
    expect(address).toMatch(ADDRESS)
    expect((await inside("default", "nslookup host.docker.internal")).stdout).toContain(
      `Address: ${address}\n`,
    )
  })

  it("is refused at once what it may not reach, and names from outside", async () => {
    const refused = await inside(OTHER, "nc -w 60 198.51.100.1 80 </dev/null; nslookup example.com")
    expect(refused.stdout + refused.stderr).toMatch(/REFUSED|can't resolve/i)
    expect(refused.code).not.toBe(0)
  })
})

describe("a network that is killed under load", () => {
  it("is there again, with the same addresses and the published ports, while the machines run on", async () => {
    const before = await skep.json(["status"])
    const address = await guestAddress("default")
    const id = await runHttpd(skep, "127.0.0.1::80")
    const port = (await skep.docker(["port", id, "80"])).stdout.trim().split("\n")[0] ?? ""
    const fetchPage = (): Promise<Outcome> => run("curl", ["-s", "-m", "5", `http://${port}/`])
    expect((await fetchPage()).stdout).toBe(PAGE)
    // A stream through the network, of the guest's to another machine, is under way when it goes.
    const load = skep.start(["shell", OTHER, "--", "nc default.skep.internal 22 </dev/zero >/dev/null"])
    await once(load, "spawn")
    await killNetwork()
    await expect.poll(async () => (await fetchPage()).stdout, { timeout: 20_000, interval: 50 }).toBe(PAGE)
    expect(await guestAddress("default")).toBe(address)
    expect((await inside(OTHER, `nc -w 5 ${address} 22 </dev/null | head -1`)).stdout).toMatch(BANNER)
    const after = await skep.json(["status"])
    expect(after.vm.process).toEqual(before.vm.process)
    load.kill()
    await skep.docker(["rm", "-f", id])
  })
})

describe("--network", () => {
  it("takes QEMU's user network too, and says what that cannot keep", async () => {
    const refused = await skep.run(["up", "third", "--network", "user,loopback"], { check: false })
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain("it keeps open or restricted only")
  })
})
