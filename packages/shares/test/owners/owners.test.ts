/**
 * Owners out of one share and into another, through a sidecar in a process of its own.
 *
 * @module
 */
import { chmodSync, mkdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import type { ShareRule } from "@skep/contract"
import { testContext } from "@skep/contract-tests"
import { call } from "@skep/runtime"
import { fromSource, type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { afterAll, beforeAll, expect, test } from "vitest"
import { type RemoteShares, sharesProcess } from "../../src/client.ts"

const never = new AbortController().signal

const sidecar = sharesProcess({
  file: process.execPath,
  args: fromSource(import.meta.dirname, "../../src/main.ts"),
  endWithParent: true,
})

let directory: TemporaryDirectory
let running: RemoteShares
beforeAll(async () => {
  directory = await temporaryDirectory()
  const rules: Partial<ShareRule>[] = []
  const share = (name: string, more: Partial<ShareRule> = {}): void => {
    const path = directory.at(name)
    mkdirSync(`${path}/data/deep`, { recursive: true })
    for (const file of ["data/a", "data/deep/b", "data/hidden"]) writeFileSync(`${path}/${file}`, "")
    for (const file of ["data/a", "data/deep/b", "data/hidden"]) chmodSync(`${path}/${file}`, 0o644)
    symlinkSync("a", `${path}/data/link`)
    rules.push({ path, target: `/${name}`, ...more })
  }
  share("from")
  share("into")
  share("read", { readOnly: true })
  share("real", { ownership: "real" })
  share("gone")
  rmSync(directory.at("gone"), { recursive: true })
  const options = sidecar.parseOptions({
    machine: "m",
    socket: directory.at("s.sock"),
    stateDirectory: directory.at("state"),
    shares: rules,
    hidden: [directory.at("into/data/hidden")],
    ioThreads: 0,
  })
  running = await sidecar.start(options, testContext())
})
afterAll(async () => {
  await running[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

async function exported(target: string): Promise<readonly string[]> {
  const lines = []
  for await (const line of await running.owners.export(target, never)) lines.push(line)
  return lines.toSorted()
}

const LINES = [
  '{"path":"data","uid":999,"gid":999,"mode":"0500"}',
  '{"path":"data/a","uid":5,"gid":6}',
  '{"path":"data/deep/b","mode":"0400"}',
  '{"path":"data/link","uid":7,"gid":8}',
]

test("what was said of owners in one share can be said in another, and the host's files stay whose they are", async () => {
  expect(await exported("/from")).toEqual([])
  expect(await running.owners.import("/from", LINES, never)).toEqual({ applied: 4, refused: [] })
  const lines = await exported("/from")
  expect(lines).toEqual(LINES)
  expect(await running.owners.import("/into", lines, never)).toEqual({ applied: 4, refused: [] })
  expect(await exported("/into")).toEqual(LINES)
  expect(statSync(directory.at("into/data/a"))).toMatchObject({ uid: process.getuid?.() })
})

test("what fits nothing is named, and what no machine sees is not changed", async () => {
  const lines = [
    "{",
    '{"path":"none","uid":1,"gid":1}',
    '{"path":"data/hidden","uid":1,"gid":1,"mode":"0777"}',
  ]
  expect(await running.owners.import("/into", lines, never)).toEqual({
    applied: 0,
    refused: [
      'Cannot read an owner from "{"',
      'Cannot find "none": ENOENT',
      'Cannot find "data/hidden": ENOENT',
    ],
  })
  expect(statSync(directory.at("into/data/hidden")).mode & 0o777).toBe(0o644)
})

test("more lines than one call of the thread takes are counted together", async () => {
  const lines = Array.from({ length: 300 }, (_, index) =>
    index % 3 === 0 ? "no" : '{"path":"data/a","uid":5,"gid":6}',
  )
  const { applied, refused } = await running.owners.import("/into", lines, never)
  expect([applied, refused.length]).toEqual([200, 100])
})

test.each([
  ["/none", "not-found", /there is no such share/],
  ["/real", "unsupported", /owners are those of the host/],
  ["/gone", "not-running", /the directory is gone/],
])("%s keeps no owners, and says why", async (target, code, message) => {
  const refusal = {
    code,
    message: expect.stringMatching(message) as string,
    next: expect.any(String) as string,
  }
  await expect(exported(target)).rejects.toMatchObject(refusal)
  await expect(running.owners.import(target, LINES, never)).rejects.toMatchObject(refusal)
})

test("a share for reading gives owners and takes none", async () => {
  expect(await exported("/read")).toEqual([])
  await expect(running.owners.import("/read", LINES, never)).rejects.toMatchObject({
    code: "bad-options",
    message: 'Cannot import owners into "/read": it is shared for reading only',
  })
})

test("requests that say too little are refused in a sentence", async () => {
  const control = `${directory.at("s.sock")}.control`
  const ask = (path: string, body?: unknown) =>
    call(control, { method: body === undefined ? "GET" : "POST", path, body, signal: never })
  await expect(ask("/shares/owners")).rejects.toThrow(/target is not said/)
  await expect(ask("/shares/owners?target=/from", { lines: [1] })).rejects.toMatchObject({
    code: "bad-options",
    message: expect.stringMatching(/^Cannot read owners/) as string,
  })
})

test("an export that is left after its first line makes room for others", async () => {
  for (let time = 0; time < 6; time++) {
    for await (const line of await running.owners.export("/from", never)) {
      expect(LINES).toContain(line)
      break
    }
  }
  expect(await exported("/from")).toEqual(LINES)
})
