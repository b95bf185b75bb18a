import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { applyExports, previewExports, removeExports } from "../../src/exports/apply.ts"
import type { ExportRequest } from "../../src/exports/request.ts"
import { exportedMachines } from "../../src/exports/state.ts"
import type { ExportsSystem } from "../../src/exports/system.ts"
import { VAGRANT, XHYVE } from "./files.ts"

const { signal } = new AbortController()
const BEFORE = `${XHYVE}\n${VAGRANT}`

let directory: TemporaryDirectory
let etc: string
let shared: string
let file: string
/** The words of every program that was run. */
let ran: string[]
/** What a program does instead of nothing. */
let answers: Map<string, () => string>

beforeEach(async () => {
  directory = await temporaryDirectory()
  const root = realpathSync(directory.path)
  ;[etc, shared] = [join(root, "etc"), join(root, "shared dir")]
  file = join(etc, "exports")
  mkdirSync(etc)
  mkdirSync(shared)
  ran = []
  answers = new Map([["nfsd status", () => "nfsd service is enabled\nnfsd is running (pid 51)"]])
})
afterEach(async () => await directory[Symbol.asyncDispose]())

function system(platform: ExportsSystem["platform"]): ExportsSystem {
  return {
    platform,
    etc,
    deviceOf: () => 1,
    run: async (program, args) => {
      const words = [program, ...args].join(" ").replaceAll(`${etc}/`, "")
      ran.push(words)
      return answers.get(words)?.() ?? ""
    },
  }
}

function request(more: Partial<ExportRequest> = {}): ExportRequest {
  return {
    machine: "dev",
    directories: [{ path: shared, readOnly: false }],
    client: "192.168.64.5",
    uid: 501,
    gid: 20,
    ...more,
  }
}

function refuses(words: string, message: string): void {
  answers.set(words, () => {
    throw new SidecarError("unsupported", message)
  })
}

describe("applyExports() on macOS, with nfsd played", () => {
  const macos = (): ExportsSystem => system("macos")

  it("checks, replaces with owner and mode, keeps the old one, and reloads", async () => {
    writeFileSync(file, BEFORE)
    chmodSync(file, 0o640)
    if (process.getuid?.() === 0) chownSync(file, 7, 8)
    const { uid, gid } = statSync(file)
    const preview = await previewExports(request(), macos())
    expect(ran).toStrictEqual([])
    expect(readFileSync(file, "utf8")).toBe(BEFORE)
    const applied = await applyExports(request(), macos(), signal)
    expect(applied.plan).toStrictEqual(preview)
    expect(applied).toMatchObject({ serving: true, paths: [shared], warnings: [] })
    expect(readFileSync(file, "utf8")).toBe(
      `${BEFORE}\n# BEGIN skep dev\n"${shared}" -mapall=501:20 -alldirs 192.168.64.5\n# END skep dev`,
    )
    expect(statSync(file)).toMatchObject({ uid, gid, mode: 0o100640 })
    expect(readFileSync(`${file}.skep-backup`, "utf8")).toBe(BEFORE)
    expect(statSync(`${file}.skep-backup`)).toMatchObject({ uid, gid, mode: 0o100640 })
    expect(ran).toStrictEqual([
      "nfsd -F .exports.skep-new checkexports",
      "nfsd status",
      "nfsd update",
      "nfsd status",
    ])
    expect(await exportedMachines(macos())).toStrictEqual(["dev"])
  })

  it("has launchd start the server where nfsd cannot, and says what nfsd said where nobody can", async () => {
    refuses("nfsd status", "nfsd service is disabled")
    refuses("nfsd enable", "nfsd: launchctl load failed")
    await applyExports(request(), macos(), signal)
    expect(ran).toContain("launchctl kickstart -k system/com.apple.nfsd")
    refuses("launchctl kickstart -k system/com.apple.nfsd", "Could not find service")
    await expect(removeExports("dev", macos(), signal)).rejects.toThrow("launchctl load failed")
    expect(readFileSync(file, "utf8")).toContain("# BEGIN skep dev")
  })

  it("does nothing the second time, and takes it back to the byte", async () => {
    writeFileSync(file, BEFORE)
    await applyExports(request(), macos(), signal)
    const { ino } = statSync(file)
    expect((await applyExports(request(), macos(), signal)).plan.changed).toBe(false)
    expect(statSync(file).ino).toBe(ino)
    await removeExports("dev", macos(), signal)
    expect(readFileSync(file, "utf8")).toBe(BEFORE)
    expect((await removeExports("dev", macos(), signal)).plan.changed).toBe(false)
    expect(await exportedMachines(macos())).toStrictEqual([])
  })

  it("leaves all as it was when the check refuses", async () => {
    writeFileSync(file, BEFORE)
    refuses("nfsd -F .exports.skep-new checkexports", "conflicts with existing export")
    await expect(applyExports(request(), macos(), signal)).rejects.toThrow("conflicts with existing export")
    expect(readFileSync(file, "utf8")).toBe(BEFORE)
    expect(readdirSync(etc).toSorted()).toStrictEqual(["exports"])
  })

  it("takes it back when the server refuses", async () => {
    writeFileSync(file, BEFORE)
    chmodSync(file, 0o600)
    refuses("nfsd update", "no such service")
    await expect(applyExports(request(), macos(), signal)).rejects.toThrow("no such service")
    expect(readFileSync(file, "utf8")).toBe(BEFORE)
    expect(statSync(file).mode).toBe(0o100600)
    expect(ran.filter((words) => words === "nfsd update")).toHaveLength(2)
  })

  it("starts the server where it does not run, and makes the file where there is none", async () => {
    answers.set("nfsd status", () => "nfsd service is disabled\nnfsd is not running")
    const applied = await applyExports(request(), macos(), signal)
    expect(ran).toContain("nfsd enable")
    expect(applied.serving).toBe(false)
    expect(statSync(file).mode).toBe(0o100644)
  })

  it("changes no link, and nothing whose markers are broken", async () => {
    writeFileSync(join(etc, "real"), BEFORE)
    symlinkSync("real", file)
    await expect(applyExports(request(), macos(), signal)).rejects.toMatchObject({
      code: "unsupported",
      message: expect.stringContaining("it is a symbolic link") as string,
    })
    expect(readFileSync(join(etc, "real"), "utf8")).toBe(BEFORE)
    await expect(removeExports("dev", macos(), signal)).resolves.toMatchObject({ plan: { changed: false } })
    writeFileSync(join(etc, "real"), `${BEFORE}\n# BEGIN skep dev\n`)
    await expect(removeExports("dev", macos(), signal)).rejects.toMatchObject({ code: "corrupt-file" })
  })

  it("begins again when another program writes the file meanwhile, and gives up when that never ends", async () => {
    writeFileSync(file, BEFORE)
    answers.set("nfsd -F .exports.skep-new checkexports", () => {
      answers.delete("nfsd -F .exports.skep-new checkexports")
      writeFileSync(file, `${BEFORE}\n/cdrom -ro 10.0.0.1\n`)
      return ""
    })
    await applyExports(request(), macos(), signal)
    expect(readFileSync(file, "utf8")).toContain("\n/cdrom -ro 10.0.0.1\n# BEGIN skep dev\n")
    let written = 0
    answers.set("nfsd -F .exports.skep-new checkexports", () => {
      writeFileSync(file, `# ${++written}\n`)
      return ""
    })
    const other = request({ client: "192.168.64.6" })
    await expect(applyExports(other, macos(), signal)).rejects.toMatchObject({ code: "busy" })
    expect(readFileSync(file, "utf8")).toBe(`# ${written}\n`)
  })

  it("loses nothing when many machines come at once", async () => {
    writeFileSync(file, BEFORE)
    const names = ["a", "b", "c", "d"]
    const requests = names.map((machine, index) => request({ machine, client: `192.168.64.${index + 10}` }))
    await Promise.all(requests.map((one) => applyExports(one, macos(), signal)))
    expect(await exportedMachines(macos())).toStrictEqual(names)
    await Promise.all(names.map((name) => removeExports(name, macos(), signal)))
    expect(readFileSync(file, "utf8")).toBe(BEFORE)
  })

  it.each([
    ["none", "not-found"],
    ["file", "bad-options"],
    ["link", "bad-options"],
  ])("refuses to export %s", async (name, code) => {
    writeFileSync(join(shared, "file"), "")
    symlinkSync(shared, join(shared, "link"))
    const directories = [{ path: join(shared, name), readOnly: false }]
    await expect(applyExports(request({ directories }), macos(), signal)).rejects.toMatchObject({ code })
    expect(existsSync(file)).toBe(false)
  })
})

describe("applyExports() on Linux, with exportfs played", () => {
  const linux = (): ExportsSystem => system("linux")
  const own = (): string => join(etc, "exports.d/skep-dev.exports")

  it("has a file of its own, which goes with the machine", async () => {
    writeFileSync(file, "/srv *(ro)\n")
    await applyExports(request(), linux(), signal)
    expect(readFileSync(own(), "utf8")).toContain("/shared\\040dir 192.168.64.5(rw,")
    expect(statSync(own()).mode).toBe(0o100644)
    expect(ran).toStrictEqual(["exportfs -ra"])
    expect(await exportedMachines(linux())).toStrictEqual(["dev"])
    await removeExports("dev", linux(), signal)
    expect(readdirSync(join(etc, "exports.d"))).toStrictEqual([])
    expect(readFileSync(file, "utf8")).toBe("/srv *(ro)\n")
  })

  it("is taken back when exportfs finds fault with it, not when it finds fault with others", async () => {
    refuses("exportfs -ra", "exportfs: /etc/exports:3: unknown keyword")
    await expect(applyExports(request(), linux(), signal)).resolves.toMatchObject({
      warnings: ["exportfs: /etc/exports:3: unknown keyword"],
    })
    await removeExports("dev", linux(), signal)
    refuses("exportfs -ra", "exportfs: /etc/exports.d/skep-dev.exports:2: unknown keyword")
    await expect(applyExports(request(), linux(), signal)).rejects.toThrow("unknown keyword")
    expect(existsSync(own())).toBe(false)
  })
})
