// What Skep's own share manager is started with: by which protocol, and where it serves NFS.
import { existsSync, mkdirSync, statSync } from "node:fs"
import { testContext } from "@skep/contract-tests"
import { fromSource, type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import type { Served } from "../../../../src/backend/vm/shares/program.ts"
import { SKEP } from "../../../../src/backend/vm/shares/skep.ts"
import { createHome, type Home, homeFrom, machinePaths } from "../../../../src/home/paths.ts"
import type { SharesOver } from "../../../../src/machine/schema.ts"

const PROGRAM = fromSource(import.meta.dirname, "../../../../../../packages/shares/src/main.ts")
const STDERR = 2

let directory: TemporaryDirectory
let home: Home
beforeEach(async () => {
  directory = await temporaryDirectory()
  home = homeFrom({ SKEP_HOME: directory.at("h"), SKEP_RUN: directory.at("r") })
  await createHome(home)
  for (const made of [machinePaths(home, "m").run, machinePaths(home, "m").directory])
    mkdirSync(made, { recursive: true, mode: 0o700 })
})
afterEach(() => directory[Symbol.asyncDispose]())

function machine(shareProtocol: SharesOver | undefined, hostAddress: () => Promise<string>): Served {
  return {
    home,
    paths: machinePaths(home, "m"),
    record: { name: "m", guestCid: 3, shareProtocol },
    programs: { shares: PROGRAM },
    hostAddress,
  } as unknown as Served
}

function nobodyAsks(): Promise<string> {
  throw new Error("nobody is to wait for the network")
}

describe("shares by Skep", () => {
  it("over NFS wait for the machine's network and are served on a socket of the user's own", async () => {
    const asked: string[] = []
    const address = async (): Promise<string> => {
      asked.push("address")
      return "192.168.64.1"
    }
    await using shares = await SKEP.start(machine("nfs", address), [], STDERR, testContext())
    expect(asked).toEqual(["address"])
    expect(await shares.status()).toMatchObject({ protocol: "nfs", reason: "it was asked for" })
    const { sharesNfsSocket } = machinePaths(home, "m")
    expect(statSync(sharesNfsSocket).isSocket()).toBe(true)
  })

  it("by exports of the host lead to its server by sockets of the user's own", async () => {
    const address = async (): Promise<string> => "192.168.64.1"
    await using shares = await SKEP.start(machine("exports", address), [], STDERR, testContext())
    expect(await shares.status()).toMatchObject({ protocol: "exports", reason: "it was asked for" })
    const { sharesNfsSocket, sharesMountSocket } = machinePaths(home, "m")
    for (const path of [sharesNfsSocket, sharesMountSocket]) {
      expect(statSync(path).isSocket()).toBe(true)
      expect(statSync(path).mode & 0o077).toBe(0)
    }
  })

  it.each([undefined, "virtiofs"] as const)("over %s wait for none and serve no NFS", async (over) => {
    await using shares = await SKEP.start(machine(over, nobodyAsks), [], STDERR, testContext())
    expect(await shares.status()).toMatchObject({ protocol: "virtiofs" })
    expect(existsSync(machinePaths(home, "m").sharesNfsSocket)).toBe(false)
  })

  it("that are ended while the machine is not on its network yet are not started", async () => {
    const ended = new AbortController()
    const never = async (): Promise<string> => {
      ended.abort(new Error("ended"))
      return await new Promise<string>(() => undefined)
    }
    const context = { ...testContext(), signal: ended.signal }
    await expect(SKEP.start(machine("nfs", never), [], STDERR, context)).rejects.toThrow("ended")
    expect(existsSync(machinePaths(home, "m").sharesSocket)).toBe(false)
  })
})
