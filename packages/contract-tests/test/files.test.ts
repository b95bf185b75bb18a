/**
 * The directories of @skep/runtime, which has no tests of its own as it may not import these suites.
 *
 * @module
 */
import { chmod, chown, lchown, mkdir, stat, symlink, writeFile } from "node:fs/promises"
import { privateDirectory } from "@skep/runtime"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"

const isRoot = process.getuid?.() === 0

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o7777
}

/** Makes a directory of that mode, whatever the umask. */
async function makeDirectory(path: string, mode: number): Promise<string> {
  await mkdir(path)
  await chmod(path, mode)
  return path
}

describe("privateDirectory()", () => {
  it("creates a directory for this user alone, with those above it", async () => {
    await using directory = await temporaryDirectory()
    await privateDirectory(directory.at("a", "b"))
    expect(await modeOf(directory.at("a"))).toBe(0o700)
    expect(await modeOf(directory.at("a", "b"))).toBe(0o700)
  })

  it("refuses a file, and leaves its mode", async () => {
    await using directory = await temporaryDirectory()
    const path = directory.at("file")
    await writeFile(path, "", { mode: 0o644 })
    await expect(privateDirectory(path)).rejects.toMatchObject({
      code: "exists",
      message: `Cannot use "${path}" as a directory: it is none`,
    })
    expect(await modeOf(path)).toBe(0o644)
  })

  it("closes one that lies in a closed directory of ours", async () => {
    await using directory = await temporaryDirectory()
    const path = await makeDirectory(directory.at("open"), 0o755)
    await privateDirectory(path)
    expect(await modeOf(path)).toBe(0o700)
  })

  it("refuses a sticky one, which many use, and says what to do", async () => {
    await using directory = await temporaryDirectory()
    const path = await makeDirectory(directory.at("shared"), 0o1777)
    await expect(privateDirectory(path)).rejects.toMatchObject({
      code: "permission-denied",
      message: `Cannot keep "${path}" private: other users may enter it`,
      next: `Set SKEP_HOME and SKEP_RUN to directories for Skep alone; if nobody else needs it: chmod 700 ${path}`,
    })
    expect(await modeOf(path)).toBe(0o1777)
  })

  it.runIf(isRoot)("refuses an open one among open ones of root, such as /run", async () => {
    await using directory = await temporaryDirectory()
    const around = await makeDirectory(directory.at("system"), 0o755)
    const path = await makeDirectory(directory.at("system", "run"), 0o755)
    await expect(privateDirectory(path)).rejects.toMatchObject({ code: "permission-denied" })
    expect(await modeOf(path)).toBe(0o755)
    await chmod(around, 0o700)
    await privateDirectory(path)
    expect(await modeOf(path)).toBe(0o700)
  })

  it("judges a link of ours by where it leads", async () => {
    await using directory = await temporaryDirectory()
    const target = await makeDirectory(directory.at("target"), 0o755)
    await symlink(target, directory.at("link"))
    await privateDirectory(directory.at("link"))
    expect(await modeOf(target)).toBe(0o700)
    await chmod(target, 0o1777)
    await expect(privateDirectory(directory.at("link"))).rejects.toMatchObject({ code: "permission-denied" })
    expect(await modeOf(target)).toBe(0o1777)
  })

  it.runIf(isRoot)("refuses a link of another user, wherever it leads", async () => {
    await using directory = await temporaryDirectory()
    const target = await makeDirectory(directory.at("target"), 0o755)
    await symlink(target, directory.at("link"))
    await lchown(directory.at("link"), 65_534, 65_534)
    await expect(privateDirectory(directory.at("link"))).rejects.toMatchObject({ code: "permission-denied" })
    expect(await modeOf(target)).toBe(0o755)
  })

  it("refuses one of another user", async () => {
    await using directory = await temporaryDirectory()
    const path = isRoot ? await makeDirectory(directory.at("theirs"), 0o700) : "/usr"
    if (isRoot) await chown(path, 65_534, 65_534)
    await expect(privateDirectory(path)).rejects.toMatchObject({
      code: "permission-denied",
      message: expect.stringContaining("it belongs to another user"),
    })
  })
})
