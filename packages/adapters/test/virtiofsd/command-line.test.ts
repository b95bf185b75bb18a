import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import type { ShareRule } from "@skep/contract"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { dialectOf, programArguments, unshareArguments } from "../../src/virtiofsd/command-line.ts"
import { parseVirtiofsdOptions } from "../../src/virtiofsd/options.ts"
import { stagedOf } from "../../src/virtiofsd/staged.ts"

function rule(path: string, readOnly = false): ShareRule {
  return { path, target: path, readOnly, cache: "consistent", ownership: "real" }
}

const isRoot = process.getuid?.() === 0

describe("dialectOf()", () => {
  it("knows the program in C from the one in Rust", () => {
    expect(dialectOf("virtiofsd version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright")).toBe("c")
    expect(dialectOf("virtiofsd backend 1.10.0")).toBe("rust")
    expect(dialectOf("virtiofsd 1.13.2\n")).toBe("rust")
  })
})

describe("programArguments()", () => {
  it("says the same to both", () => {
    const told = { socket: "/s", source: "/d", xattrs: false }
    expect(programArguments("c", told)).toContain("source=/d")
    expect(programArguments("rust", told)).toContain("--shared-dir=/d")
    for (const dialect of ["c", "rust"] as const)
      expect(programArguments(dialect, told)).toContain("--socket-path=/s")
  })
  it("leaves extended attributes out unless told", () => {
    const told = { socket: "/s", source: "/d" }
    for (const [dialect, word] of [
      ["c", "xattr"],
      ["rust", "--xattr"],
    ] as const) {
      expect(programArguments(dialect, { ...told, xattrs: false })).not.toContain(word)
      expect(programArguments(dialect, { ...told, xattrs: true })).toContain(word)
    }
  })
})

describe.skipIf(!isRoot)("unshareArguments(), which take root", () => {
  it("stage what is shared, and hide what is hidden", async () => {
    await using place = await temporaryDirectory()
    const [a, b] = [place.at("a '$(x)\""), place.at("b")]
    for (const path of [a, b, `${b}/secret`, place.at("stage")]) mkdirSync(path)
    writeFileSync(`${a}/file`, "from a")
    writeFileSync(`${b}/secret/key`, "secret")
    writeFileSync(`${b}/token`, "secret")
    const staged = stagedOf({
      shares: [rule(a), rule(b, true)],
      hidden: [`${b}/secret`, `${b}/token`, "/nowhere", place.at("stage")],
    })
    const script = `cat "$1/1/file"; echo; ls -A "$1/2/secret"; cat "$1/2/token"; touch "$1/1/new"; touch "$1/2/new" || echo refused`
    const args = unshareArguments(place.at("stage"), staged, ["sh", "-c", script, "sh", place.at("stage")])
    const { stdout } = spawnSync("unshare", args, { encoding: "utf8" })
    expect(stdout).toBe("from a\nrefused\n")
    expect(existsSync(`${a}/new`)).toBe(true)
    expect(existsSync(`${b}/new`)).toBe(false)
    expect(readFileSync(`${b}/token`, "utf8")).toBe("secret")
  })
})

describe("stagedOf()", () => {
  it("refuses what cannot be mounted", async () => {
    await using place = await temporaryDirectory()
    writeFileSync(place.at("file"), "")
    const staged = (path: string): unknown => stagedOf({ shares: [rule(path)], hidden: [] })
    expect(() => staged(place.at("missing"))).toThrow(expect.objectContaining({ code: "not-found" }))
    expect(() => staged(place.at("file"))).toThrow(expect.objectContaining({ code: "bad-options" }))
  })
})

describe("parseVirtiofsdOptions()", () => {
  it("leaves aside what only Skep's own share manager has", () => {
    const options = { machine: "m", socket: "/s.sock", stateDirectory: "/state", protocol: "auto" }
    expect(parseVirtiofsdOptions(options)).toEqual({
      machine: "m",
      socket: "/s.sock",
      shares: [],
      hidden: [],
      tag: "skep",
      xattrs: false,
      lonelyMs: 0,
    })
  })

  it.each([{}, { machine: "m" }, { machine: "m", socket: "s" }, { machine: "m", socket: "/s", shares: [1] }])(
    "refuses %j",
    (options) => {
      expect(() => parseVirtiofsdOptions(options)).toThrow(expect.objectContaining({ code: "bad-options" }))
    },
  )
})
