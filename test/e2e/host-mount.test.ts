// The machine's own files on this host: skep mount, under a real machine, with volumes, containers, and every way that it ends.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import * as fs from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { processesMentioning } from "@skep/testkit"
import { afterAll, afterEach, describe, expect, it } from "vitest"
import { IMAGE } from "./busybox.ts"
import { run, sharedSkep } from "./skep.ts"

const skep = sharedSkep()
const directory = mkdtempSync(join(tmpdir(), "hm-"))
const here = join(directory, "machine")
const OTHER = "mounted"
const skipped = existsSync("/dev/fuse") ? undefined : "there is no /dev/fuse"

/** From the kernel, which asks nobody. */
function isMounted(path: string): boolean {
  return readFileSync("/proc/self/mountinfo", "utf8").includes(` ${path} `)
}

describe.skipIf(skipped !== undefined)(`skep mount ${skipped ?? ""}`, () => {
  afterEach(async () => {
    await skep.run(["unmount", "--all", "--force"], { check: false })
  })
  afterAll(async () => {
    await skep.run(["rm", "--force", OTHER], { check: false })
    rmSync(directory, { recursive: true, force: true })
  })

  it("shows the machine's files, and writes them", async () => {
    await skep.run(["mount", "default", here])
    expect(await fs.readFile(join(here, "etc/os-release"), "utf8")).toContain("Skep")
    const data = Buffer.alloc(1 << 20, "skep")
    await fs.writeFile(join(here, "tmp/from the host"), data)
    const { stdout } = await skep.run(["shell", "--", "md5sum", "/tmp/from the host"])
    const { stdout: ours } = await run("md5sum", [], { input: data })
    expect(stdout.split(" ")[0]).toBe(ours.split(" ")[0])
    // The machine's links are its own, absolute ones too.
    await skep.run(["shell", "--", "ln -sf /tmp/from\\ the\\ host /tmp/link"])
    expect((await fs.stat(join(here, "tmp/link"))).size).toBe(data.length)
    expect(await skep.json(["mount"])).toMatchObject([{ machine: "default", path: "/", directory: here }])
    await skep.run(["unmount", here])
    expect(isMounted(here)).toBe(false)
    expect(await fs.readdir(here)).toStrictEqual([])
  })

  it("shows a volume, and the files of a container", async () => {
    await skep.docker(["volume", "create", "mounted"])
    await skep.docker(["run", "-d", "--name", "mounted", "-v", "mounted:/data", IMAGE, "sleep", "1000"])
    try {
      const volume = join(directory, "volume")
      const container = join(directory, "container")
      await skep.run(["mount", "default", volume, "--volume", "mounted"])
      await skep.run(["mount", "default:/bin", container, "--container", "mounted", "--read-only"])
      await fs.writeFile(join(volume, "x"), "of the host")
      const { stdout } = await skep.docker(["exec", "mounted", "cat", "/data/x"])
      expect(stdout).toBe("of the host")
      expect(await fs.readdir(container)).toContain("busybox")
      await expect(fs.writeFile(join(container, "y"), "")).rejects.toMatchObject({ code: "EROFS" })
    } finally {
      await skep.docker(["rm", "-f", "mounted"])
      await skep.run(["unmount", "--all", "--force"])
      await skep.docker(["volume", "rm", "mounted"])
    }
  })

  it.each([
    [["mount", "none", here], 3, "not-found"],
    [["mount", "default:/none", here], 3, "not-found"],
    [["mount", "default:etc", here], 2, "bad-options"],
    [["mount", "default"], 2, "bad-options"],
    [["mount", "default", here, "--volume", "none"], 3, "not-found"],
    [["mount", "default", "/proc"], 4, "exists"],
    [["unmount", here], 3, "not-found"],
    [["unmount"], 2, "bad-options"],
  ])("refuses skep %j with %i", async (args, code, name) => {
    const refused = await skep.run(args, { check: false })
    expect(refused.code).toBe(code)
    expect(refused.stderr).toContain(`[${name}]`)
  })

  it("is not taken from under a program, unless forced; goes on when the bridge was killed", async () => {
    await skep.run(["mount", "default", here])
    const open = await fs.open(join(here, "etc/os-release"))
    const refused = await skep.run(["unmount", here], { check: false })
    expect(refused).toMatchObject({ code: 4 })
    const bridge = processesMentioning(`${skep.home}/r/default/vsock.sock`).find((line) =>
      line.includes("vsock.js"),
    )
    process.kill(Number(/^process (\d+)/.exec(bridge ?? "")?.[1]), "SIGKILL")
    await expect
      .poll(() => fs.readdir(join(here, "etc")).catch(() => []), { timeout: 30_000 })
      .toContain("ssh")
    await skep.run(["unmount", "--force", here])
    expect(isMounted(here)).toBe(false)
    await open.close().catch(() => undefined) // its file system is gone
  })

  it.each([[["kill", OTHER]], [["rm", "--force", OTHER]]])("ends with its machine: skep %j", async (end) => {
    await skep.run(["up", OTHER, "--network", "restricted", "--memory", "512m", "--disk", "2g"])
    await skep.run(["mount", OTHER, here])
    const inside = await fs.open(join(here, "etc/os-release"))
    await skep.run(end)
    await expect.poll(() => isMounted(here), { timeout: 20_000 }).toBe(false)
    await inside.close().catch(() => undefined) // its file system is gone
    expect(await fs.readdir(here)).toStrictEqual([])
  })
})
