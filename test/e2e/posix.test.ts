// POSIX as the machine's own ext4 has it, on its shares over virtiofs and over NFS: what differs is known and why.
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { PosixCase } from "../posix/case.ts"
import { type Kind, KNOWN, type Known, knownAs } from "../posix/known.ts"
import {
  buildProgram,
  differences,
  FAMILIES,
  parseTranscript,
  script,
  type Transcript,
} from "../posix/suite.ts"
import { sharedSkep } from "./skep.ts"

const NFS_MACHINE = "posix-nfs"
/** On the machine's disk. */
const LOCAL = "/var/lib/docker/posix"

const skep = sharedSkep()
const place = join(skep.userHome, "posix")
const seen = new Set<Known>()

async function run(machine: string, directory: string, cases: readonly PosixCase[]): Promise<Transcript> {
  writeFileSync(join(place, "script"), script(cases))
  const input = `mkdir -p ${directory} && ${place}/program ${directory} < ${place}/script && rm -rf ${directory}`
  const { stdout } = await skep.run(["ssh", machine, "--", "sh", "-e"], { input })
  return parseTranscript(stdout, cases)
}

/** What is neither as it is on the machine's own file system nor known to be otherwise. */
async function faultsOf(kind: Kind, machine: string, cases: readonly PosixCase[], local: Transcript) {
  const shared = await run(machine, join(place, kind), cases)
  return differences(shared, local, cases).filter((difference) => {
    const known = knownAs(difference, kind)
    if (known !== undefined) seen.add(known)
    return known === undefined
  })
}

beforeAll(async () => {
  mkdirSync(place)
  buildProgram(join(place, "program"))
  await skep.run(["up", "--share-xattrs"])
  const sizes = ["--memory", "512m", "--cpus", "1", "--disk", "2g"]
  await skep.run(["up", NFS_MACHINE, "--network", "loopback", "--share-protocol", "nfs", ...sizes])
})

afterAll(async () => {
  await skep.run(["rm", "--force", NFS_MACHINE], { check: false })
  rmSync(place, { recursive: true, force: true })
})

describe.each(Object.entries(FAMILIES))("%s", (_name, cases) => {
  let local: Transcript

  it("are as the cases say on the machine's own disk", async () => {
    local = await run("default", LOCAL, cases)
    expect(differences(local, local, cases)).toEqual([])
  })

  it("are the same over virtiofs", async () => {
    expect(await faultsOf("virtiofs", "default", cases, local)).toEqual([])
  })

  it("are the same over NFS", async () => {
    expect(await faultsOf("nfs", NFS_MACHINE, cases, local)).toEqual([])
  })
})

describe("what is known to differ", () => {
  it("does", () => {
    const inMachines = KNOWN.filter(({ on }) => on.some((kind) => kind !== "fuse"))
    expect(inMachines.filter((known) => !seen.has(known))).toEqual([])
  })
})
