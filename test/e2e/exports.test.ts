// Shares by the NFS server of the host: exported by the real exportfs to the machine's own address, mounted by the guest, taken back in every way a machine ends.
import { mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { processesMentioning, type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { exportName } from "../../apps/skep/src/machine/export-name.ts"
import { addressOf } from "../../packages/shares/src/exports/address.ts"
import { type ExportsHost, startExportsHost, whyNoExportsHost } from "./exports-host.ts"
import { keepImages } from "./setup.ts"
import { type Outcome, type RunOptions, type Skep, skepIn } from "./skep.ts"

const bin = join(import.meta.dirname, "../../apps/skep/bin/skep.js")
const SIZES = ["--memory", "512m", "--cpus", "1", "--disk", "2g", "--network", "loopback"]
const skipped = whyNoExportsHost()

let directory: TemporaryDirectory
let host: ExportsHost
let own: Skep
let src: string
let data: string

function skep(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return host.run(process.execPath, [bin, ...args], { ...options, env: own.env })
}

async function inGuest(script: string): Promise<readonly string[]> {
  const { stdout } = await skep(["ssh", "default", "--", "sh"], { input: script })
  return stdout.trimEnd().split("\n")
}

/** Ends programs of this home as a crash of the host's would. */
function crash(...programs: readonly string[]): void {
  for (const line of processesMentioning(own.home)) {
    const [, pid = "", command = ""] = /^process (\d+): (.*)$/.exec(line) ?? []
    if (programs.some((program) => command.includes(program))) process.kill(Number(pid), "SIGKILL")
  }
}

const client = (): string => addressOf(exportName(own, "default"), "linux")

beforeAll(async () => {
  if (skipped !== undefined) return
  directory = await temporaryDirectory()
  const root = realpathSync(directory.path)
  for (const name of ["host", "h", "h.user", "src", "data"]) mkdirSync(join(root, name), { mode: 0o700 })
  own = skepIn(join(root, "h"))
  ;[src, data] = [join(root, "src"), join(root, "data")]
  keepImages(own.home)
  host = await startExportsHost(join(root, "host"))
})

afterAll(async () => {
  if (skipped !== undefined) return
  await skep(["rm", "--force"], { check: false })
  await own.backendEnds()
  await host[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

describe.skipIf(skipped !== undefined)(`skep up --share-protocol exports ${skipped ?? ""}`, () => {
  it("says what the host lacks and what mends it, and makes no machine and no export", async () => {
    const up = ["up", ...SIZES, "--share-protocol", "exports", "--no-home-share", "--share", src]
    const { code, stderr } = await skep(up, { check: false })
    expect([code === 0, host.files()]).toEqual([false, []])
    expect(stderr).toContain("the NFS server of this host does not run")
    expect(stderr).toContain("sudo systemctl start nfs-server")
    expect((await skep(["ls", "--json"])).stdout.trim()).toBe("[]")
  })

  it("exports the directory, says so beforehand, and the guest has it", async () => {
    await host.serve([src, data], client())
    writeFileSync(join(src, "from-host"), "hello\n")
    const up = ["up", ...SIZES, "--share-protocol", "exports", "--no-home-share", "--share", src]
    const { stderr } = await skep(up)
    expect(stderr).toMatch(/Skep changes .*exports\.d\/skep-default-\w{8}\.exports as root/)
    expect(host.table()).toEqual([expect.stringContaining(`${src} ${client()}(rw,`)])
    expect(host.table()[0]).toContain("all_squash")
    const said = await inGuest(`
      cat ${src}/from-host; echo from inside > ${src}/answer
      grep -c '${src} nfs rw.*port=2049.*mountport=20048' /proc/mounts`)
    expect(said).toEqual(["hello", "1"])
    expect(readFileSync(join(src, "answer"), "utf8")).toBe("from inside\n")
    expect((await skep(["share", "ls"])).stderr).toContain("by exports: it was asked for")
  })

  it("shares and unshares while it runs, and exports no more than that", async () => {
    writeFileSync(join(data, "d"), "for reading\n")
    await skep(["share", "add", data, "--read-only"])
    expect(host.table()).toHaveLength(2)
    expect(host.table().find((line) => line.startsWith(`${data} `))).toContain("(ro,")
    expect(await inGuest(`cat ${data}/d; touch ${data}/x 2> /dev/null || echo refused`)).toEqual([
      "for reading",
      "refused",
    ])
    await skep(["share", "rm", data])
    expect(host.table()).toHaveLength(1)
    const said = await inGuest(`ls ${data} | wc -l; cat ${src}/answer; ls /run/skep/shares | wc -l`)
    expect(said).toEqual(["0", "from inside", "1"])
  })

  it("goes on writing while what leads to the server is killed", async () => {
    const writing = inGuest(`for i in $(seq 8); do echo $i >> ${src}/log; sleep 1; done; wc -l < ${src}/log`)
    await expect.poll(() => readLines(join(src, "log")), { timeout: 60_000 }).toContain("2")
    crash("programs/shares.js")
    expect(await writing).toEqual(["8"])
    expect(readLines(join(src, "log"))).toEqual(["1", "2", "3", "4", "5", "6", "7", "8"])
  })

  it("leaves nothing exported after a crash of all of it, once anybody looks", async () => {
    crash("programs/backend.js", "programs/launcher.js", "qemu-system")
    await expect.poll(() => processesMentioning(own.home).join("\n")).not.toContain("qemu-system")
    expect(host.files()).toHaveLength(1)
    await skep(["ls"])
    expect([host.files(), host.table()]).toEqual([[], []])
  })

  it("is taken back at stop", async () => {
    await skep(["up"])
    expect(host.table()).toHaveLength(1)
    const { stderr } = await skep(["stop"])
    expect(stderr).toContain("Skep takes back what it exported")
    expect([host.files(), host.table()]).toEqual([[], []])
  })

  it("is taken back at rm", async () => {
    await skep(["up"])
    expect(host.table()).toHaveLength(1)
    await skep(["rm", "--force"])
    expect([host.files(), host.table()]).toEqual([[], []])
  })
})

function readLines(path: string): readonly string[] {
  try {
    return readFileSync(path, "utf8").trimEnd().split("\n")
  } catch {
    return [] // nobody has written it yet
  }
}
