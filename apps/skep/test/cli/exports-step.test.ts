// What a command says and does about exports of the host, with sudo and the backend played.
import { chmodSync, existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import type { ExportRequest } from "@skep/shares/exports"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { exportFirst, takeBackRest } from "../../src/cli/exports-step.ts"
import { Output } from "../../src/cli/output.ts"
import type { Session } from "../../src/cli/session.ts"
import type { BackendClient } from "../../src/client/backend.ts"
import { homeFrom } from "../../src/home/paths.ts"
import { exportName } from "../../src/machine/export-name.ts"
import { printed } from "./printed.ts"

let directory: TemporaryDirectory
let root: string
let session: Session
/** What the backend was asked. */
let asked: unknown[]

beforeEach(async () => {
  directory = await temporaryDirectory()
  root = realpathSync(directory.path)
  mkdirSync(join(root, "etc/exports.d"), { recursive: true })
  mkdirSync(join(root, "src"))
  const home = homeFrom({ SKEP_HOME: join(root, "h") })
  session = { home, output: new Output(false), signal: new AbortController().signal }
  asked = []
})
afterEach(async () => await directory[Symbol.asyncDispose]())

function backendOf(answer: ExportRequest | null | SidecarError, state = "running"): BackendClient {
  const backend: Partial<BackendClient> = {
    request: async (method, path, body) => {
      asked.push([method, path, body])
      if (answer instanceof SidecarError) throw answer
      return answer
    },
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- nothing else of it is looked at
    machine: async () => ({ state }) as Awaited<ReturnType<BackendClient["machine"]>>,
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
  return backend as BackendClient
}

/** Notes its words. */
function sudo(does: "lets" | "refuses") {
  const path = join(root, "sudo")
  const answer =
    does === "lets" ? `echo '{"plan":{},"serving":true,"paths":[],"warnings":["others: wrong"]}'` : "exit 1"
  writeFileSync(path, `#!/bin/sh\nprintf '%s ' "$@" > ${join(root, "words")}\ncat > /dev/null\n${answer}\n`)
  chmodSync(path, 0o700)
  return { sudo: path, etc: join(root, "etc") }
}

const words = (): string => (existsSync(join(root, "words")) ? readFileSync(join(root, "words"), "utf8") : "")

function request(): ExportRequest {
  const directories = [{ path: join(root, "src"), readOnly: false }]
  return { machine: exportName(session.home, "dev"), directories, client: "127.64.0.1", uid: 1, gid: 1 }
}

function exportedTo(machine: string): void {
  writeFileSync(join(root, `etc/exports.d/skep-${exportName(session.home, machine)}.exports`), "")
}

describe("exportFirst()", () => {
  it("does nothing for a machine that needs none, and passes on why it cannot be", async () => {
    const wish = { changes: { cpus: 2 } }
    const host = sudo("lets")
    await exportFirst({ session, backend: backendOf(null), machine: "dev", host }, wish)
    expect(asked).toEqual([["POST", "/machines/dev/exports", wish]])
    const refusal = new SidecarError("unsupported", "there is no nfsd")
    const step = { session, backend: backendOf(refusal), machine: "dev", host }
    await expect(exportFirst(step, wish)).rejects.toBe(refusal)
    expect(words()).toBe("")
  })

  it("says what changes before root is asked, and what root has to say of others", async () => {
    const step = { session, backend: backendOf(request()), machine: "dev", host: sudo("lets") }
    const { err } = await printed(() => exportFirst(step, {}))
    expect(err).toMatch(
      /^Skep changes .* as root, .*\n\+1: .*\n\+2: .*\/src 127\.64\.0\.1\(rw,.*\nothers: wrong\n$/,
    )
    expect(words()).toMatch(/^-n -- .* apply --etc /)
  })

  it("refuses the change where root is not to be had, with what to type", async () => {
    const step = { session, backend: backendOf(request()), machine: "dev", host: sudo("refuses") }
    await printed(async () => {
      await expect(exportFirst(step, {})).rejects.toMatchObject({
        code: "permission-denied",
        next: expect.stringContaining("As root: "),
      })
    })
  })
})

describe("takeBackRest()", () => {
  it("asks nobody where nothing is exported to the machine", async () => {
    exportedTo("db")
    await takeBackRest({ session, backend: backendOf(request()), machine: "dev", host: sudo("lets") })
    expect([asked, words()]).toEqual([[], ""])
  })

  it("takes all of it back from one that does not run or is gone, and the rest from one that runs", async () => {
    exportedTo("dev")
    const host = sudo("lets")
    const remove = new RegExp(`remove --etc .* ${exportName(session.home, "dev")} $`)
    await printed(() =>
      takeBackRest({ session, backend: backendOf(request(), "stopped"), machine: "dev", host }),
    )
    expect([asked, words()]).toEqual([[], expect.stringMatching(remove)])
    await printed(() => takeBackRest({ session, machine: "dev", host }))
    expect(words()).toMatch(remove)
    await printed(() => takeBackRest({ session, backend: backendOf(null), machine: "dev", host }))
    expect(words()).toMatch(remove)
    await printed(() => takeBackRest({ session, backend: backendOf(request()), machine: "dev", host }))
    expect(words()).toMatch(/ apply --etc /)
    expect(asked).toHaveLength(2)
  })

  it("tells what stays, and what to type: the change itself is done", async () => {
    exportedTo("dev")
    const { err } = await printed(() => takeBackRest({ session, machine: "dev", host: sudo("refuses") }))
    expect(err).toMatch(/What was exported to dev stays so: .*\. As root: .* remove /)
  })
})
