/**
 * The log of a sidecar's process where stderr is a file.
 *
 * @module
 */
import { spawnSync } from "node:child_process"
import { closeSync, openSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { fromSource, temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"

const MAX = 4 << 20

describe("openLog()", () => {
  it("bounds a file, which then holds the latest lines, each whole", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("x.log")
    const fd = openSync(path, "a")
    const program = join(import.meta.dirname, "chatter.ts")
    const { status } = spawnSync(process.execPath, fromSource(program), {
      stdio: ["ignore", "ignore", fd],
    })
    closeSync(fd)
    expect(status).toBe(0)
    expect(statSync(path).size).toBeLessThanOrEqual(MAX)
    const lines = readFileSync(path, "utf8").trim().split("\n")
    expect(lines.map((line) => (JSON.parse(line) as { i: number }).i).at(-1)).toBe(29_999)
  })
})
