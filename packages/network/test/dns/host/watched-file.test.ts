import { mkdir, rename, rm, writeFile } from "node:fs/promises"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { WatchedFile } from "../../../src/dns/host/watched-file.ts"

describe("WatchedFile", () => {
  it("is what the file is now: changed, replaced, gone, back", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("file")
    let reads = 0
    const file = new WatchedFile(path, (text) => {
      reads++
      return text
    })
    expect(file.value).toBe("")
    await writeFile(path, "one")
    expect([file.value, file.value]).toEqual(["one", "one"])
    expect(reads).toBe(2)
    await writeFile(directory.at("other"), "two")
    await rename(directory.at("other"), path)
    const { version } = file
    expect(file.value).toBe("two")
    await rm(path)
    expect(file.value).toBe("")
    expect(file.version).toBe(version + 1)
    await mkdir(path)
    expect([file.value, file.version]).toEqual(["", version + 1])
  })
})
