// The host has no room left while a machine writes: it is paused, says so, and goes on when there is room.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { run, sharedSkep, skepIn } from "./skep.ts"

const ROOM_MIB = 96
const WRITE_MIB = 160
const root = process.getuid?.() === 0

describe.skipIf(!root)("a host without room (needs root, to mount a small file system)", () => {
  const home = mkdtempSync(join(tmpdir(), "full-"))
  const skep = skepIn(home)

  beforeAll(async () => {
    await run("mount", ["-t", "tmpfs", "-o", `size=${ROOM_MIB}m,mode=0700`, "skep-full", home])
    for (const name of ["images", "cache", "bin"])
      symlinkSync(join(sharedSkep().home, name), join(home, name))
    mkdirSync(join(home, "docker"))
    await skep.run(["up", "--network", "restricted", "--memory", "512m", "--cpus", "1", "--disk", "4g"])
  })
  afterAll(async () => {
    await skep.run(["rm", "--force"], { check: false })
    await skep.backendEnds()
    await run("umount", [home])
    rmSync(home, { recursive: true, force: true })
  })

  it("pauses the machine, which says why, and goes on when there is room again", async () => {
    const write = `dd if=/dev/urandom of=/var/lib/docker/big bs=1M count=${WRITE_MIB} 2>/dev/null && sync && stat -c %s /var/lib/docker/big`
    const writing = skep.run(["shell", "--", write])
    await expect.poll(async () => (await skep.json(["status"])).state, { timeout: 60_000 }).toBe("paused")
    const { problem } = await skep.json(["status"])
    expect(problem).toMatchObject({ code: "disk-full", message: expect.stringContaining("no space left") })
    expect(problem.next).toContain("skep up")
    expect((await skep.docker(["ps"], { check: false })).stderr).toContain("no space left")
    await run("mount", ["-o", "remount,size=600m", home])
    await skep.run(["up"])
    expect((await writing).stdout.trim()).toBe(String(WRITE_MIB * 2 ** 20))
    expect(await skep.json(["status"])).toMatchObject({ state: "running", docker: "up" })
  })
})
