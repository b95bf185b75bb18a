// Published ports appear on the host's loopback and go with the container (FEATURES 1.6, theme 13).
import { createServer } from "node:net"
import { afterEach, describe, expect, it } from "vitest"
import { freePort } from "../../apps/skep/src/machine/port.ts"
import { PAGE, runHttpd } from "./busybox.ts"
import { run, sharedSkep } from "./skep.ts"

const skep = sharedSkep()
const containers: string[] = []

afterEach(async () => {
  if (containers.length > 0) await skep.docker(["rm", "-f", ...containers.splice(0)])
})

async function serve(publish: string, ...more: string[]): Promise<string> {
  const id = await runHttpd(skep, publish, ...more)
  containers.push(id)
  return id
}

async function fetchPage(port: number, host = "127.0.0.1"): Promise<string> {
  return (await run("curl", ["-s", "--max-time", "20", `http://${host}:${port}/`], { check: false })).stdout
}

describe("docker run -p", () => {
  it("serves on the host's 127.0.0.1 as soon as it returns, and no more when the container is gone", async () => {
    const port = await freePort()
    const id = await serve(`${port}:80`)
    expect(await fetchPage(port)).toBe(PAGE)
    await skep.docker(["rm", "-f", id])
    containers.splice(0)
    expect(await fetchPage(port)).toBe("")
  })
  it("binds loopback only unless asked", async () => {
    const port = await freePort()
    await serve(`${port}:80`)
    const { stdout } = await run("ss", ["-Hltn", `sport = :${port}`])
    expect(stdout).toContain(`127.0.0.1:${port}`)
    expect(stdout).not.toContain(`0.0.0.0:${port}`)
  })
  it("binds all addresses when asked", async () => {
    const port = await freePort()
    await serve(`0.0.0.0:${port}:80`)
    const { stdout } = await run("ss", ["-Hltn", `sport = :${port}`])
    expect(stdout).toContain(`0.0.0.0:${port}`)
    expect(await fetchPage(port)).toBe(PAGE)
    const { ports } = await skep.json(["status"])
    expect(ports.warnings).toEqual([])
  })
  it("honours -p 127.0.0.1:…, where dockerd listens on the guest's loopback", async () => {
    const port = await freePort()
    await serve(`127.0.0.1:${port}:80`)
    expect(await fetchPage(port)).toBe(PAGE)
  })
  it("publishes a random port and shows it", async () => {
    const id = await serve("80")
    const { stdout } = await skep.docker(["port", id, "80"])
    const port = Number(/:(\d+)/.exec(stdout)?.[1])
    expect(await fetchPage(port)).toBe(PAGE)
  })
  it("warns of a taken port, keeps the container, and publishes it no more than docker does", async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => {
      taken.listen(0, "127.0.0.1", resolve)
    })
    const { port } = taken.address() as { port: number }
    await serve(`${port}:80`, "--name", "wants-port")
    const status = await skep.json(["status"])
    expect(status.ports.warnings).toEqual([
      expect.objectContaining({ reason: expect.stringContaining(String(port)) }),
    ])
    expect((await skep.run(["status"])).stdout).toContain("warning")
    await new Promise((resolve) => {
      taken.close(resolve)
    })
  })
  it("shows its ports in status", async () => {
    const port = await freePort()
    await serve(`${port}:80`, "--name", "shown")
    const { stdout } = await skep.run(["status"])
    expect(stdout).toContain(`127.0.0.1:${port}/tcp -> shown`)
  })
  it("comes back after docker restart", async () => {
    const port = await freePort()
    const id = await serve(`${port}:80`)
    await skep.docker(["restart", "-t", "0", id])
    expect(await fetchPage(port)).toBe(PAGE)
  })
})
