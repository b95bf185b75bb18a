import { chmod, mkdir, stat, writeFile } from "node:fs/promises"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { createDisk, DISK_BYTES_MIN, growDisk } from "../../src/index.ts"

const GIB = 1 << 30

describe("createDisk()", () => {
  it("makes a private file that takes no room yet", async () => {
    await using directory = await temporaryDirectory()
    await createDisk(directory.at("data.img"), 20 * GIB)
    const { size, blocks, mode } = await stat(directory.at("data.img"))
    expect({ size, blocks, mode: mode & 0o777 }).toEqual({ size: 20 * GIB, blocks: 0, mode: 0o600 })
  })

  it("refuses what is there with exists, and leaves it alone", async () => {
    await using directory = await temporaryDirectory()
    await writeFile(directory.at("data.img"), "precious")
    await expect(createDisk(directory.at("data.img"), GIB)).rejects.toMatchObject({ code: "exists" })
    expect((await stat(directory.at("data.img"))).size).toBe(8)
  })

  it.each([
    [1, "too-small"],
    [DISK_BYTES_MIN - 1, "too-small"],
    [Number.NaN, "bad-options"],
    [2 ** 53, "bad-options"],
    [2 ** 52, "disk-full"],
  ])("refuses %s bytes with %s and leaves nothing", async (bytes, code) => {
    await using directory = await temporaryDirectory()
    await expect(createDisk(directory.at("data.img"), bytes)).rejects.toMatchObject({ code })
    expect(await directory.list()).toEqual([])
  })

  it("says not-found when the directory is missing", async () => {
    await using directory = await temporaryDirectory()
    await expect(createDisk(directory.at("no", "data.img"), GIB)).rejects.toMatchObject({ code: "not-found" })
  })
})

describe("growDisk()", () => {
  it("grows, keeps what is written, and says whether it had to", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("data.img")
    await createDisk(path, GIB)
    expect(await growDisk(path, GIB)).toBe(false)
    expect(await growDisk(path, 2 * GIB)).toBe(true)
    expect(await stat(path)).toMatchObject({ size: 2 * GIB, blocks: 0 })
  })

  it("refuses to shrink", async () => {
    await using directory = await temporaryDirectory()
    await createDisk(directory.at("data.img"), GIB)
    await expect(growDisk(directory.at("data.img"), GIB - 1)).rejects.toMatchObject({
      code: "shrink-refused",
    })
    await expect(growDisk(directory.at("data.img"), 1)).rejects.toMatchObject({ code: "too-small" })
    expect((await stat(directory.at("data.img"))).size).toBe(GIB)
  })

  it("refuses what is no regular file", async () => {
    await using directory = await temporaryDirectory()
    await mkdir(directory.at("folder"))
    await expect(growDisk(directory.at("folder"), GIB)).rejects.toMatchObject({ code: "unsupported" })
    await expect(growDisk("/dev/null", GIB)).rejects.toMatchObject({ code: "unsupported" })
    await expect(growDisk(directory.at("missing"), GIB)).rejects.toMatchObject({ code: "not-found" })
  })

  it.skipIf(process.getuid?.() === 0)("says permission-denied for a file of others", async () => {
    await using directory = await temporaryDirectory()
    await createDisk(directory.at("data.img"), GIB)
    await chmod(directory.at("data.img"), 0o400)
    await expect(growDisk(directory.at("data.img"), 2 * GIB)).rejects.toMatchObject({
      code: "permission-denied",
    })
  })
})
