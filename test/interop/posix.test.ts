// POSIX as the host's own file system has it, on FUSE by the host's kernel: over files in memory, and over a directory with owners of its own.

import { spawnSync } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { memoryFileSystem, openPassthrough, withOwnership } from "@skep/vfs"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { CACHED, CONSISTENT, type FuseSessionOptions } from "../../packages/fuse/src/index.ts"
import { mountHere, unavailable } from "../../packages/fuse/test/kernel-mount.ts"
import { KNOWN, type Known, knownAs } from "../posix/known.ts"
import { buildProgram, CASES, differences, parseTranscript, script, type Transcript } from "../posix/suite.ts"

const why = unavailable()
const SEEN = new Set<Known>()

let directory: TemporaryDirectory
let program = ""
let local: Transcript

/** What is neither as it is on the host nor known to be otherwise. */
async function faultsOf(options: Pick<FuseSessionOptions, "fileSystem" | "policyOf">) {
  using mounted = mountHere(options)
  const text = await mounted.run(`"${program}" . < "${directory.at("script")}"`)
  return differences(parseTranscript(text), local).filter((difference) => {
    const known = knownAs(difference, "fuse")
    if (known !== undefined) SEEN.add(known)
    return known === undefined
  })
}

describe.skipIf(why !== undefined)(`POSIX on FUSE${why === undefined ? "" : ` (${why})`}`, () => {
  beforeAll(async () => {
    directory = await temporaryDirectory()
    program = directory.at("posix")
    buildProgram(program)
    writeFileSync(directory.at("script"), script())
    mkdirSync(directory.at("local"))
    const { stdout } = spawnSync(program, [directory.at("local")], { input: script() })
    local = parseTranscript(String(stdout))
  })
  afterAll(() => directory[Symbol.asyncDispose]())

  it("is what the cases say on the host's own file system", () => {
    expect(CASES.length).toBeGreaterThan(200)
    expect(differences(local, local)).toEqual([])
  })

  it("is the same in memory", async () => {
    using fileSystem = memoryFileSystem()
    expect(await faultsOf({ fileSystem, policyOf: () => CACHED })).toEqual([])
  })

  it("is the same in a directory of the host with owners of its own, and differs where that is known alone", async () => {
    mkdirSync(directory.at("shared"))
    const files = openPassthrough({ path: directory.at("shared") })
    using fileSystem = withOwnership(files, { database: directory.at("owners") })
    expect(await faultsOf({ fileSystem, policyOf: () => CONSISTENT })).toEqual([])
    expect(KNOWN.filter((known) => known.on.includes("fuse") && !SEEN.has(known))).toEqual([])
  })
})
