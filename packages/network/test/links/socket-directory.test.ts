// Where the socket of a link may lie, and what becomes of the directory it lies in.

import { chmod, chown, mkdir, stat, writeFile } from "node:fs/promises"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { socketDirectory } from "../../src/links/socket-directory.ts"

const isRoot = process.getuid?.() === 0
const NOBODY = 65_534

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o7777
}

/** Makes a directory of that mode, whatever the umask. */
async function makeDirectory(path: string, mode: number): Promise<string> {
  await mkdir(path)
  await chmod(path, mode)
  return path
}

describe("socketDirectory()", () => {
  it("makes what is missing for this user alone", async () => {
    await using directory = await temporaryDirectory()
    await socketDirectory(directory.at("a/b/web.sock"))
    expect([await modeOf(directory.at("a")), await modeOf(directory.at("a/b"))]).toEqual([0o700, 0o700])
  })

  it.each([0o700, 0o755, 0o711, 0o1777])("takes one of mode %i as it is, and leaves it so", async (mode) => {
    await using directory = await temporaryDirectory()
    const path = await makeDirectory(directory.at("there"), mode)
    await socketDirectory(`${path}/web.sock`)
    expect(await modeOf(path)).toBe(mode)
  })

  it.each([0o777, 0o775, 0o702])("refuses one of mode %i, which others may write to", async (mode) => {
    await using directory = await temporaryDirectory()
    const path = await makeDirectory(directory.at("there"), mode)
    await expect(socketDirectory(`${path}/web.sock`)).rejects.toMatchObject({
      code: "permission-denied",
      message: `Cannot listen on "unix:${path}/web.sock": other users may put files in "${path}"`,
      next: `Choose another place for the socket, or take that right from them: chmod go-w ${path}`,
    })
    expect(await modeOf(path)).toBe(mode)
  })

  it("refuses a file, and a place where there can be none", async () => {
    await using directory = await temporaryDirectory()
    await writeFile(directory.at("file"), "")
    await expect(socketDirectory(directory.at("file/web.sock"))).rejects.toMatchObject({
      code: "exists",
      message: `Cannot listen on "unix:${directory.at("file")}/web.sock": "${directory.at("file")}" is no directory`,
    })
    await expect(socketDirectory(directory.at("file/more/web.sock"))).rejects.toMatchObject({
      code: "exists",
      next: "Choose another place for the socket",
    })
  })

  it.runIf(isRoot)("refuses one of another user", async () => {
    await using directory = await temporaryDirectory()
    const path = await makeDirectory(directory.at("theirs"), 0o755)
    await chown(path, NOBODY, NOBODY)
    await expect(socketDirectory(`${path}/web.sock`)).rejects.toMatchObject({
      code: "permission-denied",
      message: `Cannot listen on "unix:${path}/web.sock": "${path}" belongs to another user`,
    })
    expect(await modeOf(path)).toBe(0o755)
  })
})
