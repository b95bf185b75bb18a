// What the host's kernel exports to machines, by the real exportfs: put in place, changed, taken back, and what is left where root is not to be had.
import { chmodSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type Log, type ShareRule, SidecarError } from "@skep/contract"
import { silentLog } from "@skep/runtime"
import { addressOf, type ExportsSystem } from "@skep/shares/exports"
import {
  fromSource,
  type PlayedRpcbind,
  playRpcbind,
  replyOf,
  type TemporaryDirectory,
  temporaryDirectory,
} from "@skep/testkit"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

import {
  type ExportsHost,
  MachineExports,
  takeBackGone,
} from "../../../src/backend/exports/machine-exports.ts"
import type { Home } from "../../../src/home/paths.ts"
import { exportName, machineOfExport } from "../../../src/machine/export-name.ts"
import type { MachineRecord } from "../../../src/machine/record.ts"
import { type PlayedHost, playHost, whyNoExports } from "./host.ts"

const never = new AbortController().signal
const PROGRAM = fromSource(import.meta.dirname, "../../../../../packages/shares/src/exports/main.ts")
const [NFS, MOUNT] = [100_003, 100_005]

let directory: TemporaryDirectory
let root: string
let rpcbind: PlayedRpcbind
let played: PlayedHost
let home: Home
let said: string[]
/** Of what went wrong. */
let logged: string[]
const log: Log = { ...silentLog, info: (event) => void logged.push(event) }

beforeEach(async () => {
  directory = await temporaryDirectory()
  root = realpathSync(directory.path)
  for (const name of ["src", "data", "user/.skep"]) mkdirSync(join(root, name), { recursive: true })
  rpcbind = await playRpcbind()
  rpcbind.programs.set(NFS, 2049).set(MOUNT, 33_333)
  played = playHost(root, rpcbind.port)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing else of it is looked at
  home = { home: join(root, "user/.skep"), run: join(root, "user/.skep/run") } as Home
  said = []
  logged = []
})
afterEach(async () => {
  await rpcbind[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

function options() {
  return { home, programs: { exports: PROGRAM }, log, host: played.host }
}

function exportsOf(name: string): MachineExports {
  return new MachineExports({ ...options(), name })
}

function rule(path: string, more: Partial<ShareRule> = {}): ShareRule {
  const at = join(root, path)
  return { path: at, target: at, readOnly: false, cache: "consistent", ownership: "virtual", ...more }
}

const say = (lines: readonly string[]): void => void said.push(...lines)
const clientOf = (machine: string): string => addressOf(exportName(home, machine), "linux")

describe("exportName()", () => {
  it("is a machine's and its home's, and tells both", () => {
    const name = exportName(home, "dev")
    expect(name).toMatch(/^dev-[0-9a-f]{8}$/)
    expect(machineOfExport(home, name)).toBe("dev")
    const other = { home: "/home/other/.skep" }
    expect([exportName(other, "dev") === name, machineOfExport(other, name)]).toEqual([false, undefined])
  })
})

describe("MachineExports", () => {
  it("says beforehand what root would do, and says so to nobody where sudo is not to be had", async () => {
    played.sudo = "refuses"
    await expect(exportsOf("dev").put([rule("src")], say, never)).rejects.toMatchObject({
      code: "permission-denied",
      next: expect.stringContaining("As root: "),
    })
    expect(said[0]).toMatch(/^Skep changes .*exports\.d\/skep-dev-\w{8}\.exports as root/)
    expect(said[2]).toMatch(
      /^\+2: .*\/src 127\..*\(rw,sync,no_subtree_check,insecure,all_squash,anonuid=0,anongid=0/,
    )
    expect(played.files()).toEqual([])
  })

  it.each([
    [
      "a kernel without the server",
      () => rmSync(join(root, "proc/filesystems")),
      "unsupported",
      "--share-protocol nfs",
    ],
    [
      "a server that does not run",
      () => rpcbind.programs.delete(NFS),
      "not-running",
      "systemctl start nfs-server",
    ],
    ["no mountd", () => rpcbind.programs.delete(MOUNT), "not-running", "systemctl start nfs-mountd"],
    [
      "the home of Skep in a share",
      () => writeFileSync(join(root, "src/x"), ""),
      "bad-options",
      "--no-home-share --share",
    ],
  ])("asks root for nothing on a host with %s", async (name, make, code, next) => {
    make()
    const rules = [name.startsWith("the home") ? rule("user") : rule("src")]
    await expect(exportsOf("dev").request(rules, never)).rejects.toMatchObject({
      code,
      next: expect.stringContaining(next),
    })
    await expect(exportsOf("dev").put(rules, say, never)).rejects.toMatchObject({ code })
    expect(said).toEqual([])
  })

  it("wants nothing of a host for a machine without shares", async () => {
    rpcbind.programs.clear()
    await exportsOf("dev").put([], say, never)
    expect(said).toEqual([])
  })
})

describe("MachineExports on macOS, with nfsd and sudo played", () => {
  const VAGRANT =
    "# VAGRANT-BEGIN: 501 0b3c8a3e\n/Volumes/x 192.168.33.10 -alldirs -mapall=501:20\n# VAGRANT-END: 501 0b3c8a3e\n"
  const ran: string[] = []
  const system: ExportsSystem = {
    platform: "macos",
    get etc() {
      return join(root, "etc")
    },
    deviceOf: (path) => (path.startsWith("/Volumes") ? 2 : 1),
    run: async (program, args) => {
      ran.push([program, ...args].join(" "))
      return "nfsd service is enabled\nnfsd is not running"
    },
  }
  /** Does what skep-exports would: that part is played in packages/shares/test/exports. */
  function played(): ExportsHost {
    const sudo = join(root, "sudo")
    writeFileSync(
      sudo,
      `#!/bin/sh\ncat > ${join(root, "input")}\necho '{"plan":{},"serving":true,"paths":[],"warnings":[]}'\n`,
    )
    chmodSync(sudo, 0o700)
    writeFileSync(join(root, "etc/exports"), VAGRANT)
    return { sudo, system, server: { rpcbind: rpcbind.port } }
  }
  const mac = (): MachineExports => new MachineExports({ ...options(), host: played(), name: "dev" })

  it("asks for what nfs.conf has to say before anything else", async () => {
    await expect(mac().put([rule("src")], say, never)).rejects.toMatchObject({
      code: "unsupported",
      next: expect.stringContaining("require_resv_port = 0"),
    })
    expect(said).toEqual([])
  })

  it("changes a block of the one file, for the host's own address, and waits for the server that this starts", async () => {
    writeFileSync(join(root, "etc/nfs.conf"), "nfs.server.mount.require_resv_port = 0\n")
    let asked = 0
    rpcbind.answers = (call) => replyOf(call.readUInt32BE(4), asked++ < 3 ? 0 : 2049)
    await mac().put([rule("src")], say, never)
    expect(asked).toBeGreaterThanOrEqual(4)
    const name = exportName(home, "dev")
    expect(said.slice(1)).toEqual([
      `+4: # BEGIN skep ${name}`,
      expect.stringMatching(/^\+5: ".*\/src" -mapall=\d+:\d+ -alldirs 127\.0\.0\.1$/),
      `+6: # END skep ${name}`,
    ])
    expect(JSON.parse(readFileSync(join(root, "input"), "utf8"))).toMatchObject({
      client: "127.0.0.1",
      machine: name,
    })
    expect(ran).toContain("nfsd status")
  })
})

const skipped = whyNoExports()

describe.skipIf(skipped !== undefined)(
  `with the real exportfs ${skipped ?? ""}`,
  { timeout: 120_000 },
  () => {
    it("has each machine's directories exported to its own address, as it was told, and takes them back", async () => {
      const [dev, db] = [exportsOf("dev"), exportsOf("db")]
      await dev.put([rule("src"), rule("data", { readOnly: true })], say, never)
      await db.put(
        [rule("src", { readOnly: true }), rule("src", { target: "/x", readOnly: true })],
        say,
        never,
      )
      const [src, data] = [join(root, "src"), join(root, "data")]
      const expected = [`${src} ${clientOf("dev")}`, `${data} ${clientOf("dev")}`, `${src} ${clientOf("db")}`]
      expect(played.table()).toEqual(expected.toSorted((a, b) => (a < b ? -1 : 1)))
      expect(said.filter((line) => line.startsWith("+")).map((line) => /\((r.)/.exec(line)?.[1])).toEqual(
        expect.arrayContaining(["rw", "ro"]),
      )
      const told = said.length
      await dev.put([rule("data", { readOnly: true }), rule("src")], say, never)
      expect(said).toHaveLength(told)
      await dev.keepOnly([rule("src")], say)
      expect(played.table()).not.toContain(`${data} ${clientOf("dev")}`)
      await dev.takeBack(say)
      await dev.takeBack(say)
      expect(played.table()).toEqual([`${src} ${clientOf("db")}`])
      await db.takeBack(say)
      expect([played.table(), played.files()]).toEqual([[], []])
    })

    it("is in place while a machine boots, and gone when that fails", async () => {
      const notes: unknown[] = []
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing else of it is looked at
      const record = { shareProtocol: "exports", shares: [rule("src")] } as unknown as MachineRecord
      const dev = exportsOf("dev")
      const report = (progress: { readonly type: string }): void => void notes.push(progress.type)
      expect(await dev.during(record, report, never, async () => played.files().length)).toBe(1)
      expect(notes[0]).toBe("begin")
      expect(notes.at(-1)).toBe("end")
      const failed = dev.during(record, report, never, () =>
        Promise.reject(new SidecarError("crashed", "it died")),
      )
      await expect(failed).rejects.toThrow("it died")
      expect(played.files()).toEqual([])
      const plain = { ...record, shareProtocol: "nfs" } as const
      expect(await dev.during(plain, report, never, async () => played.files().length)).toBe(0)
    })

    it("is taken back of machines of this home that are gone, of no others, and what stays is told", async () => {
      for (const name of ["dev", "db", "gone"]) await exportsOf(name).put([rule("src")], say, never)
      writeFileSync(join(root, "etc/exports.d/skep-dev-00000000.exports"), "")
      const asked: string[] = []
      await takeBackGone(options(), async (machine) => {
        asked.push(machine)
        return machine !== "db"
      })
      expect(asked).toEqual(["db", "dev", "gone"])
      const left = [`skep-${exportName(home, "db")}.exports`, "skep-dev-00000000.exports"]
      expect(played.files().toSorted()).toEqual(left.toSorted())
      played.sudo = "refuses"
      said = []
      logged = []
      await exportsOf("db").takeBack(say)
      expect(said).toEqual([`Skep takes back what it exported to ${exportName(home, "db")}, as root`])
      await exportsOf("db").keepOnly([], say)
      expect(logged).toEqual(["exports left", "exports left"])
      expect(played.files().toSorted()).toEqual(left.toSorted())
    })
  },
)
