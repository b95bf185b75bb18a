import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import {
  canonicalDirectory,
  isOurs,
  mountOn,
  mountsHere,
  parseMountTable,
  prepareDirectory,
} from "../src/mount-table.ts"

const directory = realpathSync(mkdtempSync(join(tmpdir(), "mt-")))
const { signal } = new AbortController()
afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe("parseMountTable()", () => {
  it("reads lines with and without optional fields, and octal", () => {
    const text = [
      "36 35 98:0 /mnt1 /mnt/with\\040space rw,noatime master:1 shared:2 - ext3 /dev/root rw",
      "44 27 0:39 / /home/u/m rw,nosuid,nodev - fuse.skep skep-default rw,user_id=0",
      "nonsense",
      "",
    ].join("\n")
    expect(parseMountTable(text)).toStrictEqual([
      { directory: "/mnt/with space", fileSystem: "ext3", source: "/dev/root" },
      { directory: "/home/u/m", fileSystem: "fuse.skep", source: "skep-default" },
    ])
    expect(parseMountTable(text).map(isOurs)).toStrictEqual([false, true])
  })

  it("reads every directory that the kernel escapes", () => {
    const escape = (path: string): string =>
      path.replace(/[ \t\n\\]/g, (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`)
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(" ", "\t", "\n", "\\", "a", "ü", "-", "0"), { maxLength: 12 }),
        (letters) => {
          const path = `/${letters.join("")}`
          const [entry] = parseMountTable(`1 2 0:3 / ${escape(path)} rw - tmpfs none rw`)
          expect(entry?.directory).toBe(path)
        },
      ),
    )
  })

  it("throws for no text", () => {
    fc.assert(fc.property(fc.string(), (text) => void parseMountTable(text)))
  })
})

describe("the table of this host", () => {
  it("has /proc", async () => {
    expect((await mountOn("/proc"))?.fileSystem).toBe("proc")
    expect((await mountsHere()).length).toBeGreaterThan(1)
  })
})

describe("prepareDirectory()", () => {
  it("makes what is missing, and takes what is empty", async () => {
    const wanted = join(directory, "new")
    await prepareDirectory(wanted, signal)
    await prepareDirectory(wanted, signal)
  })

  it.each([
    ["full", "exists"],
    ["file", "bad-options"],
    ["/proc", "exists"],
  ])("refuses %s with %s", async (name, code) => {
    mkdirSync(join(directory, "full/x"), { recursive: true })
    writeFileSync(join(directory, "file"), "")
    const path = name.startsWith("/") ? name : join(directory, name)
    await expect(prepareDirectory(path, signal)).rejects.toMatchObject({ code })
  })
})

describe("canonicalDirectory()", () => {
  it("follows links above, not at the end", async () => {
    mkdirSync(join(directory, "real"))
    symlinkSync("real", join(directory, "link"))
    expect(await canonicalDirectory(join(directory, "link/m"))).toBe(join(directory, "real/m"))
    expect(await canonicalDirectory(join(directory, "link"))).toBe(join(directory, "link"))
    expect(await canonicalDirectory("/")).toBe("/")
    await expect(canonicalDirectory(join(directory, "no/m"))).rejects.toMatchObject({ code: "not-found" })
  })
})
