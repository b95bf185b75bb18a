import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import type { ShareRule } from "@skep/contract"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { checkDirectory, checkTarget, directoryAt, sameDirectory, within } from "../../src/rules/check.ts"

function rule(path: string, target = path): ShareRule {
  return { path, target, readOnly: false, cache: "consistent", ownership: "virtual" }
}

const alone = { others: [], hidden: [] }

describe("checkTarget()", () => {
  it.each([
    "/",
    "/etc",
    "/usr",
    "/tmp",
    "/dev/shm",
    "/proc",
    "/run/skep/shares",
    "/run/user/1000",
    "/usr/bin",
    "/var/lib/skep",
    "/var/lib/docker/volumes",
    "/var",
  ])("keeps %s for the machine's own system", (target) => {
    expect(() => checkTarget(rule("/home/me", target), alone)).toThrow(
      expect.objectContaining({ code: "bad-options", message: expect.stringContaining(target) }),
    )
  })

  it.each(["/home/me", "/root", "/srv", "/mnt/x", "/usr/src/app", "/tmp/x", "/etcetera", "/var/www"])(
    "takes %s",
    (target) => {
      expect(() => checkTarget(rule("/home/me", target), alone)).not.toThrow()
    },
  )

  it("lets no share lie in another's", () => {
    const others = [rule("/home/me")]
    const refused = expect.objectContaining({
      code: "bad-options",
      next: expect.stringContaining("--target"),
    })
    expect(() => checkTarget(rule("/x", "/home/me/x"), { others, hidden: [] })).toThrow(refused)
    expect(() => checkTarget(rule("/x", "/home"), { others, hidden: [] })).toThrow(refused)
    expect(() => checkTarget(rule("/x", "/home/me"), { others, hidden: [] })).toThrow(refused)
    expect(() => checkTarget(rule("/x", "/home/me2"), { others, hidden: [] })).not.toThrow()
  })
})

describe("checkDirectory()", () => {
  it("says which directory it is", async () => {
    await using directory = await temporaryDirectory()
    const found = checkDirectory(rule(directory.path), alone)
    expect(sameDirectory(found, directoryAt(directory.path))).toBe(true)
  })

  it("has a sentence and a next step for what cannot be shared", async () => {
    await using directory = await temporaryDirectory()
    const at = (name: string): string => directory.at(name)
    writeFileSync(at("file"), "")
    mkdirSync(at("real"))
    mkdirSync(at("real/inner"))
    symlinkSync("real", at("link"))
    const refusal = (path: string, hidden: readonly string[] = []) => {
      try {
        checkDirectory(rule(path), { hidden })
      } catch (error) {
        return error
      }
      return undefined
    }
    expect(refusal(at("missing"))).toMatchObject({
      code: "not-found",
      next: `Make it first: mkdir -p ${at("missing")}`,
    })
    expect(refusal(at("file/x"))).toMatchObject({ code: "not-found" })
    expect(refusal(at("file"))).toMatchObject({
      code: "bad-options",
      next: expect.stringContaining(directory.path),
    })
    expect(refusal(at("link/inner"))).toMatchObject({
      code: "bad-options",
      next: `Share "${at("real/inner")}" instead`,
    })
    expect(refusal(at("real/inner"), [at("real")])).toMatchObject({ code: "permission-denied" })
    expect(refusal(at("real/inner"), [at("link")])).toMatchObject({ code: "permission-denied" })
    expect(refusal(at("real"), [at("real/inner")])).toBeUndefined()
  })
})

describe("directoryAt()", () => {
  it("knows a directory from another one at its path, and from none", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("d")
    expect(directoryAt(path)).toBeUndefined()
    mkdirSync(path)
    const first = directoryAt(path)
    mkdirSync(directory.at("keeps the inode from being given again"))
    rmSync(path, { recursive: true })
    writeFileSync(path, "")
    expect(directoryAt(path)).toBeUndefined()
    rmSync(path)
    mkdirSync(directory.at("another"))
    mkdirSync(path)
    expect(sameDirectory(first, first)).toBe(true)
    expect(first).toBeDefined()
  })
})

describe("within()", () => {
  it("knows a directory from one whose name only begins so", () => {
    expect(within("/a/b", "/a")).toBe(true)
    expect(within("/a", "/a")).toBe(true)
    expect(within("/ab", "/a")).toBe(false)
    expect(within("/ab", "/")).toBe(true)
  })
})
