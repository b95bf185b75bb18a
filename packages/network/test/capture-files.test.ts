// The files of captures: what is in them when, and what becomes of a disk that is full.

import { execFileSync } from "node:child_process"
import { readFile, stat, writeFile } from "node:fs/promises"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { CaptureFiles } from "../src/capture-files.ts"

const bytes = (text: string) => Uint8Array.from(Buffer.from(text))
const NOTHING = new Uint8Array(0)

describe("CaptureFiles", () => {
  it("writes in order, tells of each, and is whole at the end", async () => {
    await using directory = await temporaryDirectory()
    const told: unknown[] = []
    await using files = new CaptureFiles((written) => told.push(written))
    const [one, two] = [await files.open(directory.at("one")), await files.open(directory.at("two"))]
    files.take({ file: one, bytes: bytes("first, "), last: false })
    files.take({ file: two, bytes: bytes("another"), last: false })
    files.take({ file: one, bytes: bytes("second"), last: false })
    files.take({ file: one, bytes: NOTHING, last: true })
    files.take({ file: one, bytes: bytes("too late"), last: false })
    await files.ended()
    expect(await readFile(directory.at("one"), "utf8")).toBe("first, second")
    expect((await stat(directory.at("one"))).mode & 0o777).toBe(0o600)
    expect(told).toEqual(
      expect.arrayContaining([one, two, one].map((file, index) => ({ file, bytes: [7, 7, 6][index] }))),
    )
    // The thread is gone before it could say that it was the end.
    await files[Symbol.asyncDispose]()
    expect(await readFile(directory.at("two"), "utf8")).toBe("another")
  })

  it("has one capture to a file, and takes it again after its end", async () => {
    await using directory = await temporaryDirectory()
    await using files = new CaptureFiles(() => undefined)
    const path = directory.at("one")
    const first = await files.open(path)
    files.take({ file: first, bytes: bytes("a long first capture"), last: false })
    await expect(files.open(path)).rejects.toMatchObject({ code: "busy" })
    files.take({ file: first, bytes: NOTHING, last: true })
    const second = await files.open(path)
    files.take({ file: second, bytes: bytes("short"), last: true })
    await files.ended()
    expect(await readFile(path, "utf8")).toBe("short")
  })

  it("leaves what is there until there is something to write", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("precious")
    await writeFile(path, "a capture of last week")
    await using files = new CaptureFiles(() => undefined)
    const refused = await files.open(path)
    files.take({ file: refused, bytes: NOTHING, last: true })
    await files.ended()
    expect(await readFile(path, "utf8")).toBe("a capture of last week")
    const file = await files.open(path)
    files.take({ file, bytes: bytes("new"), last: true })
    await files.ended()
    expect(await readFile(path, "utf8")).toBe("new")
  })

  it("says what is no place for a capture, and waits for nobody", async () => {
    await using directory = await temporaryDirectory()
    await using files = new CaptureFiles(() => undefined)
    const pipe = directory.at("pipe")
    execFileSync("mkfifo", [pipe])
    for (const path of [directory.at("no/where"), directory.path, pipe])
      await expect(files.open(path)).rejects.toMatchObject({
        code: "bad-options",
        message: expect.stringContaining(path),
      })
  })

  it("writes to a pipe that somebody reads", async () => {
    await using directory = await temporaryDirectory()
    const pipe = directory.at("pipe")
    execFileSync("mkfifo", [pipe])
    const read = readFile(pipe, "utf8")
    await using files = new CaptureFiles(() => undefined)
    let file: number | undefined
    await expect
      .poll(async () => {
        file = await files.open(pipe).catch(() => undefined)
        return file
      })
      .toBeDefined()
    files.take({ file: file ?? 0, bytes: bytes("frames"), last: true })
    await files.ended()
    expect(await read).toBe("frames")
  })

  it("tells that a disk is full once, and takes the rest without a word", async () => {
    const told: unknown[] = []
    await using files = new CaptureFiles((written) => told.push(written))
    const file = await files.open("/dev/full")
    files.take({ file, bytes: bytes("one"), last: false })
    files.take({ file, bytes: bytes("two"), last: true })
    await files.ended()
    expect(told).toEqual([{ file, bytes: 0, error: expect.stringContaining("ENOSPC") }])
  })
})
