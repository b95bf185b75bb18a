import { mkdirSync, realpathSync } from "node:fs"
import { join } from "node:path"
import { Readable } from "node:stream"
import { readOrder } from "@skep/runtime/root-step"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { runExports } from "../../src/exports/program.ts"

let directory: TemporaryDirectory
let etc: string
beforeAll(async () => {
  directory = await temporaryDirectory()
  etc = join(realpathSync(directory.path), "etc")
  mkdirSync(etc)
})
afterAll(async () => await directory[Symbol.asyncDispose]())

function run(argv: readonly string[], input = "", sudoUid?: string): Promise<unknown> {
  const { signal } = new AbortController()
  return runExports({
    argv,
    readInput: () => readOrder(Readable.from([input]), 1000),
    sudoUid,
    uid: 0,
    signal,
  })
}

function request(more: object = {}): string {
  const directories = [{ path: realpathSync(directory.path), readOnly: false }]
  return JSON.stringify({ machine: "dev", directories, client: "10.0.2.0/24", uid: 1000, gid: 1000, ...more })
}

describe("runExports()", () => {
  it.each([
    [["apply"], "{", "bad-options"],
    [["apply"], "", "bad-options"],
    [["apply"], "[]", "bad-options"],
    [["check"], '{"machine": "dev"}', "bad-options"],
    [["destroy"], "", "bad-options"],
    [[], "", "bad-options"],
    [["remove"], "", "bad-options"],
    [["remove", "../x"], "", "bad-name"],
    [["list", "--etc", "x"], "", "bad-options"],
    [["list", "--shell"], "", "bad-options"],
  ])("refuses %j with input %j: %s", async (words, input, code) => {
    await expect(run(words, input)).rejects.toMatchObject({ code })
  })

  it("lets who ran sudo export only as that user, and root as anybody", async () => {
    const check = ["check", "--etc", etc]
    await expect(run(check, request({ uid: 0 }), "1000")).rejects.toMatchObject({ code: "permission-denied" })
    await expect(run(check, request({ uid: 1001 }), "1000")).rejects.toMatchObject({
      code: "permission-denied",
    })
    await expect(run(check, request(), "none")).rejects.toMatchObject({ code: "permission-denied" })
    await expect(run(check, request(), "1000")).resolves.toMatchObject({ changed: true })
    await expect(run(check, request({ uid: 0 }))).resolves.toMatchObject({ changed: true })
  })

  it("lists nothing where nothing is", async () => {
    expect(await run(["list", "--etc", etc])).toStrictEqual([])
  })
})
