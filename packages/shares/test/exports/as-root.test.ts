import { chmodSync, existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { nodeArguments } from "@skep/runtime"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { type AsRoot, exportAsRoot, takeBackAsRoot } from "../../src/exports/as-root.ts"
import type { ExportRequest } from "../../src/exports/request.ts"

const main = nodeArguments(import.meta.url, { built: "exports", source: "../../src/exports/main.ts" })

let directory: TemporaryDirectory
let etc: string
let request: ExportRequest
let said: string[]

beforeEach(async () => {
  directory = await temporaryDirectory()
  const root = realpathSync(directory.path)
  etc = join(root, "etc")
  mkdirSync(join(etc, "exports.d"), { recursive: true })
  mkdirSync(join(root, "it's $(shared)"))
  const uid = process.getuid?.() ?? 0
  request = {
    machine: "dev",
    directories: [{ path: join(root, "it's $(shared)"), readOnly: false }],
    client: "10.0.2.15",
    uid,
    gid: uid,
  }
  said = []
})
afterEach(async () => await directory[Symbol.asyncDispose]())

/** A program in the place of sudo: notes its words, and does what the test says. */
function how(script: string): AsRoot {
  const sudo = join(directory.path, "sudo")
  writeFileSync(sudo, `#!/bin/sh\nprintf '%s\\n' "$@" > ${join(directory.path, "words")}\n${script}\n`)
  chmodSync(sudo, 0o700)
  return {
    program: [process.execPath, ...main],
    say: (lines) => said.push(...lines),
    interactive: false,
    signal: new AbortController().signal,
    etc,
    sudo,
  }
}

const words = (): readonly string[] => readFileSync(join(directory.path, "words"), "utf8").trim().split("\n")

describe("exportAsRoot()", () => {
  it("says what changes before root is asked, and gives sudo words, not a line", async () => {
    const answer = JSON.stringify({ plan: {}, serving: false, paths: ["/x"], warnings: [] })
    const applied = await exportAsRoot(
      request,
      how(`cat > ${join(directory.path, "input")}; echo '${answer}'`),
    )
    expect(applied).toMatchObject({ paths: ["/x"] })
    expect(said[0]).toContain("exports.d/skep-dev.exports as root, to export directories to dev")
    expect(said.slice(1).every((line) => line.startsWith("+"))).toBe(true)
    expect(words()).toStrictEqual(["-n", "--", process.execPath, ...main, "apply", "--etc", etc])
    expect(JSON.parse(readFileSync(join(directory.path, "input"), "utf8"))).toStrictEqual(request)
  })

  it("lets sudo ask where there is a terminal, and says for whom", async () => {
    const asking = {
      ...how(`cat > /dev/null; echo '{"plan":{},"paths":[],"warnings":[]}'`),
      interactive: true,
    }
    await exportAsRoot(request, asking)
    expect(words().slice(0, 3)).toStrictEqual(["-p", "Password for root's part of skep: ", "--"])
  })

  it("asks nobody where nothing changes", async () => {
    const none = { ...request, directories: [] }
    expect(await exportAsRoot(none, how("exit 1"))).toBeUndefined()
    expect(said).toStrictEqual([])
    expect(existsSync(join(directory.path, "words"))).toBe(false)
  })

  it("says what to type where sudo does not let it", async () => {
    await expect(exportAsRoot(request, how("exit 1"))).rejects.toMatchObject({
      code: "permission-denied",
      next: expect.stringMatching(/^As root: .* apply --etc .* <<< '/) as string,
    })
    await expect(exportAsRoot(request, { ...how(""), sudo: "/none/sudo" })).rejects.toMatchObject({
      code: "host-program-missing",
    })
  })

  it("passes on what the program refuses", async () => {
    const error = { error: { code: "busy", message: "Cannot change it", next: "Wait" } }
    await expect(exportAsRoot(request, how(`echo '${JSON.stringify(error)}'; exit 1`))).rejects.toMatchObject(
      error.error,
    )
  })
})

describe("takeBackAsRoot()", () => {
  it("asks only for machines that have exports", async () => {
    writeFileSync(join(etc, "exports.d/skep-dev.exports"), "")
    writeFileSync(join(etc, "exports.d/skep-other.exports"), "")
    writeFileSync(join(etc, "exports.d/mine.exports"), "")
    expect(await takeBackAsRoot(["none", "dev"], how("echo '[]'"))).toStrictEqual(["dev"])
    expect(words().slice(-4)).toStrictEqual(["remove", "--etc", etc, "dev"])
    expect(said).toStrictEqual(["Skep takes back what it exported to dev, as root"])
    expect(await takeBackAsRoot(["none"], how("exit 1"))).toStrictEqual([])
  })
})
