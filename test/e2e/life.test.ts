// A machine's life: stop and up, sizes, several side by side, rm (FEATURES 1.1, 1.3; DB-25).
import { existsSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { processesMentioning } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { IMAGE } from "./busybox.ts"
import { run, sharedSkep } from "./skep.ts"

const skep = sharedSkep()

describe("skep stop and up", () => {
  it("keeps images and volumes, answers 503 meanwhile, and grows the disk", async () => {
    await skep.docker([
      "run",
      "--rm",
      "-v",
      "kept:/data",
      IMAGE,
      "sh",
      "-c",
      "echo remembered > /data/file; sync",
    ])
    const before = await guestDiskKiB()
    await skep.run(["stop"])
    expect((await skep.json(["status"])).state).toBe("stopped")
    expect((await skep.run(["status"], { check: false })).code).toBe(4)
    const refused = await skep.docker(["ps"], { check: false })
    expect(refused.stderr).toContain('The machine "default" is stopped')
    expect(refused.stderr).toContain("skep up")
    expect(processesMentioning(join(skep.home, "r/default"))).toEqual([])

    const shrink = await skep.run(["up", "--disk", "4g"], { check: false })
    expect(shrink).toMatchObject({ code: 2, stderr: expect.stringContaining("[shrink-refused]") })
    const up = skep.start(["up", "--disk", "9g", "--memory", "1100m"])
    // A client that comes while the machine starts waits for it.
    const waited = untilStarting().then(() =>
      skep.docker(["run", "--rm", "-v", "kept:/data", IMAGE, "cat", "/data/file"]),
    )
    expect(await new Promise((resolve) => up.on("close", resolve))).toBe(0)
    expect((await waited).stdout).toBe("remembered\n")
    expect(await guestDiskKiB()).toBeGreaterThan(before)
    expect((await skep.json(["inspect"])).record).toMatchObject({ diskGiB: 9, memoryMiB: 1100 })
  })
  it("gives freed blocks back to the host", async () => {
    const data = join(skep.home, "machines/default/data.img")
    await skep.docker([
      "run",
      "--rm",
      "-v",
      "big:/data",
      IMAGE,
      "sh",
      "-c",
      "dd if=/dev/urandom of=/data/file bs=1M count=64; sync",
    ])
    const full = statSync(data).blocks
    await skep.docker(["volume", "rm", "big"])
    await skep.run(["shell", "--", "sync; fstrim /var/lib/docker 2>/dev/null || fstrim -a; sync"])
    expect(statSync(data).blocks).toBeLessThan(full - (48 << 20) / 512)
  })
})

/** The guest's agent tells it some time after Docker answers. */
async function guestAddress(machine: string): Promise<string> {
  const ask = async (): Promise<string> =>
    (await skep.run(["ip", machine, "--guest"], { check: false })).stdout.trim()
  await expect.poll(ask, { timeout: 60_000, interval: 500 }).not.toBe("")
  return await ask()
}

describe("a second machine", () => {
  let address: string

  it("lives beside the first, and rm --force leaves nothing of it", async () => {
    await skep.run(["up", "second", "--network", "restricted", "--memory", "768m", "--disk", "2g"])
    expect((await skep.run(["ls", "-q"])).stdout).toBe("default\nsecond\n")
    const version = await skep.docker([
      "--context",
      "skep-second",
      "version",
      "--format",
      "{{.Server.Version}}",
    ])
    expect(version.stdout.trim()).not.toBe("")
    const [first, second] = await skep.json(["ls"])
    expect([first.record.guestCid, second.record.guestCid]).toEqual([3, 4])
    expect([first.way, second.way]).toEqual(["vsock", "vsock"])
    address = await guestAddress("second")
    expect(address).toMatch(/^192\.168\.64\.\d+$/)
    const busy = await skep.run(["rm", "second"], { check: false })
    expect(busy).toMatchObject({ code: 4, stderr: expect.stringContaining("--force") })

    await skep.run(["rm", "--force", "second"])
    expect(existsSync(join(skep.home, "machines/second"))).toBe(false)
    expect(existsSync(join(skep.home, "r/second"))).toBe(false)
    expect(processesMentioning(join(skep.home, "r/second"))).toEqual([])
    const { stdout } = await run("docker", ["context", "ls", "--format", "{{.Name}}"], { env: skep.env })
    expect(stdout).not.toContain("skep-second")
    const files = readdirSync(join(skep.home, "r")).filter((name) => name !== "ssh-agent.sock")
    expect(files.toSorted()).toEqual([
      "backend.lock",
      "backend.sock",
      "backend.sock.lock",
      "default",
      "docker.sock",
      "network", // the first one's, too
    ])
  })

  it("leaves its address to the third, which keeps it for its name when it is told to", async () => {
    await skep.run(["up", "third", "--network", "restricted", "--memory", "512m", "--disk", "2g"])
    expect(await guestAddress("third")).toBe(address)
    const taken = await skep.run(["leases", "reserve", "fourth", address], { check: false })
    expect(taken).toMatchObject({ code: 1, stderr: expect.stringContaining('"third" has it now') })
    const removed = await skep.json(["rm", "--force", "--keep-lease", "third"])
    expect(removed).toEqual({ type: "removed", name: "third", released: [], kept: address })
    expect(await skep.json(["leases", "reserve"])).toEqual([{ machine: "third", address }])
    expect(await skep.json(["leases", "unreserve", "third"])).toEqual({ machine: "third", address })
    expect(await skep.json(["leases", "reserve"])).toEqual([])
  })
})

async function guestDiskKiB(): Promise<number> {
  const { stdout } = await skep.run(["shell", "--", "df -k /var/lib/docker | tail -n 1"])
  return Number(/\s(\d+)\s/.exec(stdout)?.[1])
}

/** Resolves when docker.sock no longer says that the machine is stopped; each answer is a fresh question. */
async function untilStarting(): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if ((await skep.json(["status"])).state !== "stopped") return
  }
  throw new Error("the machine never began to start")
}
