/** The recipe's hash, the host's mirrors, the kernel's command line. */
import { appendFile, chmod, cp, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { describe, expect, test } from "vitest"
import * as apt from "../src/apt.ts"
import { hostPrograms, hostTscKhz, kernelCommandLine, recipe, recipeHash } from "../src/index.ts"
import * as mirror from "../src/mirror.ts"

const PACKAGE = fileURLToPath(new URL("..", import.meta.url))

describe("recipeHash()", () => {
  test("depends on content and executable bits of our files, not on place, time or umask", async () => {
    const copy = await mkdtemp(join(tmpdir(), "skep-recipe-"))
    try {
      for (const name of ["rootfs", "initrd", "applets.txt"])
        await cp(join(PACKAGE, name), join(copy, name), { recursive: true })
      const hash = await recipeHash("amd64")
      expect(hash).toMatch(/^[0-9a-f]{64}$/)
      await chmod(join(copy, "rootfs/etc/inittab"), 0o600)
      expect(await recipeHash("amd64", copy)).toBe(hash)
      await chmod(join(copy, "rootfs/etc/inittab"), 0o755)
      const executable = await recipeHash("amd64", copy)
      expect(executable).not.toBe(hash)
      await appendFile(join(copy, "rootfs/etc/inittab"), "#\n")
      const changed = await recipeHash("amd64", copy)
      expect(new Set([hash, executable, changed]).size).toBe(3)
      await appendFile(join(copy, "initrd/init"), "#\n")
      expect(await recipeHash("amd64", copy)).not.toBe(changed)
    } finally {
      await rm(copy, { recursive: true })
    }
  })
})

describe("recipe()", () => {
  test("names each package once, in order", () => {
    const names = recipe("amd64").packages.map((each) => each.name)
    expect(names).toEqual([...new Set(names)].toSorted())
  })

  test("refuses arm64 for now", () => {
    expect(() => recipe("arm64")).toThrow(expect.objectContaining({ code: "unsupported-arch" }))
  })
})

describe("mirror.choose()", () => {
  test("takes Debian's suites of any release and leaves other archives alone", () => {
    const lines = [
      "m:/docker|trixie|stable|Docker",
      "m:/cloud|cloud-sdk-bookworm|main|cloud",
      "m:/other|bookworm|main|Other",
      "m:/debian/|trixie|main|Debian",
      "m:/debian/|trixie-updates|main|Debian",
      "m:/security/|trixie-security|main|",
      "",
    ]
    expect(mirror.choose(lines)).toEqual({
      main: "m:/debian/",
      updates: "m:/debian/",
      security: "m:/security/",
    })
  })

  test("says download-failed without a Debian mirror", () => {
    expect(() => mirror.choose(["m:/ubuntu|noble|main|Ubuntu"])).toThrow(
      expect.objectContaining({ code: "download-failed" }),
    )
  })
})

describe("apt.parse()", () => {
  test("reads stanzas and skips what is no package", () => {
    const text =
      "Package: a\nVersion: 1:2\nArchitecture: all\nSize: 7\nSHA256: ff\nDepends: b (= 1)\nDescription: x\n y: z\n\nfoo\n"
    const expected = {
      name: "a",
      version: "1:2",
      architecture: "all",
      size: 7,
      sha256: "ff",
      depends: "b (= 1)",
    }
    expect(apt.parse(text)).toEqual([expected])
    expect(apt.debFile("/debs", expected)).toBe("/debs/a_1%3a2_all.deb")
  })
})

describe("kernelCommandLine()", () => {
  test("lowers no guard but under emulation", () => {
    expect(kernelCommandLine({ arch: "amd64" })).not.toMatch(/mitigations|norandmaps|tsc_early/)
    expect(kernelCommandLine({ arch: "amd64", accelerator: "kvm", tscKhz: 1 })).toBe(
      kernelCommandLine({ arch: "amd64" }),
    )
    expect(kernelCommandLine({ arch: "amd64", accelerator: "tcg", tscKhz: 2_596_125 })).toMatch(
      / mitigations=off norandmaps tsc_early_khz=2596125$/,
    )
  })

  test("is x86's", () => {
    expect(() => kernelCommandLine({ arch: "arm64" })).toThrow(
      expect.objectContaining({ code: "unsupported-arch" }),
    )
  })
})

describe("hostTscKhz()", () => {
  test("derives the counter from bogomips where it is constant", async () => {
    const directory = await mkdtemp(join(tmpdir(), "skep-cpuinfo-"))
    try {
      const path = join(directory, "cpuinfo")
      await writeFile(path, "flags\t\t: fpu constant_tsc\nbogomips\t: 5192.25\n")
      expect(await hostTscKhz(path)).toBe(2_596_125)
      await writeFile(path, "flags\t\t: fpu\nbogomips\t: 5192.25\n")
      expect(await hostTscKhz(path)).toBeUndefined()
      expect(await hostTscKhz(join(directory, "none"))).toBeUndefined()
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})

test("hostPrograms() names a Debian package for each program", () => {
  expect(hostPrograms()).toContainEqual({ program: "mkfs.erofs", debianPackage: "erofs-utils" })
})
