// A machine whose network is passt: published ports, and a network that is killed under the running machine.
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { join } from "node:path"
import { processesMentioning } from "@skep/testkit"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { freePort } from "../../apps/skep/src/machine/port.ts"
import { IMAGE, PAGE } from "./busybox.ts"
import { run, sharedSkep } from "./skep.ts"

const NAME = "passty"
const HTTPD = [IMAGE, "httpd", "-f", "-p", "80", "-h", "/www"]

const skep = sharedSkep()
const socket = join(skep.home, "r", NAME, "net.sock")
const isHere = spawnSync("passt", ["--version"]).error === undefined
let service: Server
let servicePort = 0

/** Docker of that machine. */
async function docker(...args: string[]): Promise<string> {
  return (await skep.docker(["--host", `unix://${skep.dockerSocket(NAME)}`, ...args])).stdout
}

async function fetchPage(port: number): Promise<string> {
  return (await run("curl", ["-s", "--max-time", "5", `http://127.0.0.1:${port}/`], { check: false })).stdout
}

/** What a service on the host's loopback says to the guest. */
async function askedByGuest(): Promise<string> {
  const line = `socat -u TCP:192.168.64.1:${servicePort},connect-timeout=5 -`
  return (await skep.run(["shell", NAME, "--", line], { check: false })).stdout
}

async function machine(): Promise<{
  readonly state: string
  readonly network: unknown
  readonly pid: number
}> {
  const { state, vm } = await skep.json(["status", NAME])
  return { state, network: vm?.network, pid: vm?.process.pid }
}

describe.skipIf(!isHere)(
  `skep up --network passt${isHere ? "" : " (there is no passt on this host)"}`,
  () => {
    beforeAll(async () => {
      service = createServer((client) =>
        client.on("error", () => client.destroy()).end("hello from the host"),
      )
      await new Promise<void>((resolve) => {
        service.listen(0, "127.0.0.1", resolve)
      })
      const address = service.address()
      servicePort = typeof address === "object" && address !== null ? address.port : 0
      await skep.run(["up", NAME, "--network", "passt,loopback", "--memory", "768m", "--disk", "2g"])
      const archive = join(skep.home, "busybox.tar")
      await skep.docker(["--host", `unix://${skep.dockerSocket()}`, "save", "-o", archive, IMAGE])
      await docker("load", "-i", archive)
    })
    afterAll(async () => {
      await skep.run(["rm", "--force", NAME], { check: false })
      service.close()
    })

    it("gives the machine its network, and tells so", async () => {
      expect((await machine()).network).toMatchObject({ kind: "stream", provider: "passt", joined: true })
      expect((await skep.run(["status", NAME])).stdout).toMatch(/network +loopback, by passt/)
      expect(await askedByGuest()).toBe("hello from the host")
    })

    it("publishes a container's port, and no more when the container is gone", async () => {
      const port = await freePort()
      const id = (await docker("run", "-d", "-p", `${port}:80`, ...HTTPD)).trim()
      expect(await fetchPage(port)).toBe(PAGE)
      await docker("rm", "-f", id)
      expect(await fetchPage(port)).toBe("")
    })

    it("says what passt cannot publish", async () => {
      const port = await freePort()
      const id = (await docker("run", "-d", "-p", `127.0.0.1:${port}:80`, ...HTTPD)).trim()
      const { ports } = await skep.json(["status", NAME])
      expect(ports.warnings).toEqual([
        expect.objectContaining({ reason: expect.stringContaining("to the address of the guest") }),
      ])
      await docker("rm", "-f", id)
    })

    it("is back under the running machine when passt is killed, and when its sidecar is", async () => {
      const port = await freePort()
      const id = (await docker("run", "-d", "-p", `${port}:80`, ...HTTPD)).trim()
      const { pid } = await machine()
      const victims = [
        () => Number(JSON.parse(readFileSync(`${socket}.passt.json`, "utf8")).pid),
        () => {
          const line = processesMentioning(`${socket}.control`).find((each) =>
            each.includes("programs/passt.js"),
          )
          return Number(/^process (\d+)/.exec(line ?? "")?.[1])
        },
      ]
      for (const victim of victims) {
        process.kill(victim(), "SIGKILL")
        await expect.poll(askedByGuest, { timeout: 30_000 }).toBe("hello from the host")
        await expect.poll(() => fetchPage(port), { timeout: 30_000 }).toBe(PAGE)
      }
      expect(await machine()).toMatchObject({ state: "running", pid, network: { joined: true } })
      await docker("rm", "-f", id)
    })

    it("refuses a policy that passt does not keep", async () => {
      const { code, stderr } = await skep.run(["up", NAME, "--network", "restricted"], { check: false })
      expect(code).not.toBe(0)
      expect(stderr).toContain("it keeps open or loopback only")
    })

    it("leaves nothing when the machine is removed", async () => {
      await skep.run(["rm", "--force", NAME])
      expect(processesMentioning(join(skep.home, "r", NAME))).toEqual([])
    })
  },
)
