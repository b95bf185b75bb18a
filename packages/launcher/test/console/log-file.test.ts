import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { temporaryDirectory } from "@skep/testkit"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { LogFile } from "../../src/console/log-file.ts"

describe("LogFile", () => {
  it("keeps the newest bytes in two files that stay within the bound", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("console.log")
    let round = 0
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "grapheme-ascii", maxLength: 90 })), (texts) => {
        const at = `${path}${round++}`
        using log = new LogFile(at, 100)
        for (const text of texts) log.write(Buffer.from(text))
        const older = existsSync(`${at}.1`) ? readFileSync(`${at}.1`, "utf8") : ""
        const newer = readFileSync(at, "utf8")
        expect(older.length).toBeLessThanOrEqual(50)
        expect(newer.length).toBeLessThanOrEqual(50)
        expect(texts.join("").endsWith(older + newer)).toBe(true)
        if (texts.join("").length > 100) expect((older + newer).length).toBeGreaterThan(50)
      }),
      { numRuns: 50 },
    )
  })

  it("goes on where it was, and rotates on demand unless it is empty", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("console.log")
    writeFileSync(path, "one")
    using log = new LogFile(path, 1000)
    log.write(Buffer.from(" two"))
    log.rotate()
    log.rotate()
    expect(readFileSync(`${path}.1`, "utf8")).toBe("one two")
    expect(statSync(path)).toMatchObject({ size: 0 })
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it("counts what the disk refuses and writes nothing more once disposed", async () => {
    await using directory = await temporaryDirectory()
    const log = new LogFile("/dev/full", 1000)
    log.write(Buffer.from("x"))
    expect(log.errors).toBe(1)
    log[Symbol.dispose]()
    log[Symbol.dispose]()
    log.write(Buffer.from("x"))
    expect(log.errors).toBe(1)
    expect(() => new LogFile(directory.at("missing", "x.log"), 10)).toThrow("ENOENT")
  })
})
