/**
 * The shares of a machine on record, without one that runs and with one that has no sidecar.
 *
 * @module
 */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs"
import { type ShareRule, SidecarError, type SidecarEvent } from "@skep/contract"
import { silentLog } from "@skep/runtime"
import type { ExportRequest } from "@skep/shares/exports"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest"
import { SharesOfMachine } from "../../src/backend/shares.ts"
import type { MachineShares } from "../../src/backend/vm/shares/machine-shares.ts"
import { homeFrom, machinePaths } from "../../src/home/paths.ts"
import type { MachineRecord } from "../../src/machine/record.ts"

const never = new AbortController().signal

let directory: TemporaryDirectory
let record: { name: string; shares?: readonly ShareRule[] }
let events: SidecarEvent[]
let running: MachineShares | "none" | undefined
let isLost: boolean
let shares: SharesOfMachine
/** What was asked of the host's exports, by the paths. */
let exported: string[]
const exports = {
  request: async (rules: readonly ShareRule[]): Promise<ExportRequest> => {
    const directories = rules.map(({ path, readOnly }) => ({ path, readOnly }))
    return { machine: "m-0", directories, client: "127.64.0.1", uid: 1, gid: 1 }
  },
  put: async (rules: readonly ShareRule[]): Promise<void> => {
    exported.push(`put ${targets(rules)}`)
  },
  keepOnly: async (rules: readonly ShareRule[]): Promise<void> => {
    exported.push(`keep ${targets(rules)}`)
  },
}

function targets(rules: readonly ShareRule[]): string {
  return rules.map(({ target }) => target).join(" ")
}

beforeEach(async () => {
  directory = await temporaryDirectory()
  for (const name of ["user", "data", "skep"]) mkdirSync(directory.at(name))
  symlinkSync(directory.at("user"), directory.at("link"))
  vi.stubEnv("HOME", directory.at("link"))
  record = { name: "m" }
  events = []
  exported = []
  running = undefined
  isLost = false
  const home = homeFrom({ SKEP_HOME: directory.at("skep") })
  shares = new SharesOfMachine({
    name: "m",
    home,
    paths: machinePaths(home, "m"),
    log: silentLog,
    emit: (event) => events.push(event),
    record: () => record as MachineRecord,
    keep: async (rules) => {
      record = { ...record, shares: rules }
    },
    settled: async () => undefined,
    exports,
    running: () => running,
    lost: async () => isLost,
  })
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await directory[Symbol.asyncDispose]()
})

const home = (): Partial<ShareRule> => ({
  path: directory.at("user"),
  target: directory.at("link"),
  readOnly: false,
})

describe("wanted()", () => {
  test("is the home directory, at the path by which the user knows it, unless told", async () => {
    expect(await shares.wanted(undefined, {})).toEqual([expect.objectContaining(home())])
  })

  test("is without it where that is said, and with what is said beside", async () => {
    const share = [{ path: directory.at("data"), readOnly: true }]
    expect(await shares.wanted(undefined, { homeShare: false, share })).toEqual([
      expect.objectContaining({ path: directory.at("data"), readOnly: true }),
    ])
    const has = await shares.wanted(undefined, {})
    expect(await shares.wanted(has, { homeShare: false })).toEqual([])
    expect(await shares.wanted([], { homeShare: true })).toEqual([expect.objectContaining(home())])
  })

  test("is what the settings say for a machine that is new, and what a machine has for others", async () => {
    const settings = {
      shares: [{ path: directory.at("data"), target: "/data" }, { path: directory.at("not-there") }],
    }
    writeFileSync(directory.at("skep/settings.json"), JSON.stringify(settings))
    expect(await shares.wanted(undefined, {})).toEqual([
      expect.objectContaining({ path: directory.at("data"), target: "/data" }),
    ])
    expect(await shares.wanted([], {})).toEqual([])
  })

  test("refuses what cannot be shared, and the directory of the machines", async () => {
    await expect(shares.wanted([], { share: [{ path: directory.at("nothing") }] })).rejects.toMatchObject({
      code: "not-found",
    })
    await expect(shares.wanted([], { share: [{ path: directory.at("skep") }] })).rejects.toThrow(
      /its machines/,
    )
  })
})

describe("a machine that does not run", () => {
  test("has what was added at its next start, and not what was removed", async () => {
    const added = await shares.add({ path: directory.at("data") }, never)
    expect(added).toMatchObject({ path: directory.at("data"), state: "stopped" })
    // One of an earlier build has the home directory from then on.
    expect(record.shares).toHaveLength(2)
    await shares.remove(directory.at("user"), never)
    expect(record.shares?.map(({ path }) => path)).toEqual([directory.at("data")])
    expect(events).toEqual([
      { type: "share-added", path: directory.at("data"), target: directory.at("data") },
      { type: "share-removed", path: directory.at("user"), target: directory.at("link") },
    ])
  })

  test("two changes at once are both made", async () => {
    record = { name: "m", shares: [] }
    mkdirSync(directory.at("more"))
    await Promise.all([
      shares.add({ path: directory.at("data") }, never),
      shares.add({ path: directory.at("more") }, never),
    ])
    expect(record.shares).toHaveLength(2)
  })

  test("a change that is refused changes nothing", async () => {
    record = { name: "m", shares: [] }
    await expect(shares.remove("/x", never)).rejects.toMatchObject({ code: "not-found" })
    await expect(shares.add({ path: directory.at("nothing") }, never)).rejects.toThrow(/no such directory/)
    expect(record.shares).toEqual([])
    expect(events).toEqual([])
  })
})

describe("a machine that runs", () => {
  test("and has no shares in this run has them at its next start, and says so", async () => {
    running = "none"
    record = { name: "m", shares: [] }
    expect(await shares.add({ path: directory.at("data") }, never)).toMatchObject({ state: "unserved" })
    const notes: unknown[] = []
    await shares.apply(record as MachineRecord, (progress) => notes.push(progress), never)
    expect(notes).toEqual([{ type: "note", text: "shares: take effect with skep restart m" }])
    await shares.apply(
      { name: "m", shares: [] } as unknown as MachineRecord,
      (progress) => notes.push(progress),
      never,
    )
    expect(notes).toHaveLength(1)
    await expect(shares.findMount(directory.at("data"))).rejects.toMatchObject({
      code: "not-running",
      next: expect.stringContaining("skep restart m"),
    })
  })

  test("by exports of the host has them before it mounts, and keeps no more than it has", async () => {
    const made: string[] = []
    running = {
      isLive: true,
      provider: "skep",
      change: async (wanted: readonly ShareRule[]) => {
        exported.push(`change ${targets(wanted)}`)
        if (wanted.some(({ target }) => target === "/refused")) throw new SidecarError("timeout", "no answer")
        made.push(...wanted.map(({ target }) => target))
      },
      status: async () => ({ protocol: "exports", reason: "", guestReady: true, shares: [], counters: {} }),
    } as unknown as MachineShares
    record = { name: "m", shares: [] }
    await shares.add({ path: directory.at("data"), target: "/a" }, never)
    await shares.add({ path: directory.at("data"), target: "/b", readOnly: true }, never)
    await expect(shares.add({ path: directory.at("data"), target: "/refused" }, never)).rejects.toThrow(
      "no answer",
    )
    await shares.remove("/a", never)
    expect(exported).toEqual(
      [
        ["put /a", "change /a", "keep /a"],
        ["put /a /a /b", "change /a /b", "keep /a /b"],
        ["put /a /b /a /b /refused", "change /a /b /refused", "keep /a /b"],
        ["put /a /b /b", "change /b", "keep /b"],
      ].flat(),
    )
    const asked = await shares.exportsFor(
      record as MachineRecord,
      { share: { path: directory.at("user") } },
      never,
    )
    expect(asked?.directories.map(({ path }) => path)).toEqual([
      directory.at("data"),
      directory.at("data"),
      directory.at("user"),
    ])
  })

  test("by other means, or not at all, has nothing exported unless its record says so", async () => {
    record = { name: "m", shares: [] }
    const by = (shareProtocol: string): MachineRecord =>
      ({ name: "m", shares: [], shareProtocol }) as unknown as MachineRecord
    expect(await shares.exportsFor(by("nfs"), { changes: {} }, never)).toBeUndefined()
    expect(await shares.exportsFor(by("exports"), { changes: {} }, never)).toMatchObject({ directories: [] })
    // It is not about to run.
    const share = { path: directory.at("data") }
    expect(await shares.exportsFor(by("exports"), { share }, never)).toBeUndefined()
    running = "none"
    expect(await shares.exportsFor(by("exports"), { changes: {} }, never)).toBeUndefined()
    expect(await shares.exportsFor(by("exports"), { restarts: true, changes: {} }, never)).toMatchObject({
      directories: [],
    })
    expect(exported).toEqual([])
  })

  test("is asked first: what it refuses is not on record", async () => {
    const rules: ShareRule[] = []
    running = {
      isLive: true,
      provider: "skep",
      change: async (wanted: readonly ShareRule[]) => {
        if (wanted.some(({ readOnly }) => readOnly))
          throw new SidecarError("timeout", "the guest does not answer")
        rules.splice(0, rules.length, ...wanted)
      },
      status: async () => ({
        protocol: "virtiofs",
        reason: "it can",
        guestReady: true,
        shares: rules.map((rule) => ({ ...rule, protocol: "virtiofs", state: "mounted" })),
        counters: {},
      }),
    } as unknown as MachineShares
    record = { name: "m", shares: [] }
    await expect(shares.add({ path: directory.at("data"), readOnly: true }, never)).rejects.toThrow(
      /does not answer/,
    )
    expect(record.shares).toEqual([])
    expect(await shares.add({ path: directory.at("data") }, never)).toMatchObject({ state: "mounted" })
    expect(await shares.findMount(directory.at("data"))).toBe(directory.at("data"))
    expect(await shares.view()).toMatchObject({ provider: "skep", protocol: "virtiofs", reason: "it can" })
    expect(await shares.findMount("/var/run/docker.sock")).toBe("/var/run/docker.sock")
    isLost = true
    await expect(shares.findMount(directory.at("data"))).rejects.toMatchObject({
      code: "not-running",
      next: expect.stringContaining("skep restart m"),
    })
    expect(await shares.findMount("/var/run/docker.sock")).toBe("/var/run/docker.sock")
    // What is lost is asked for nothing: it would never answer.
    const asked = rules.length
    mkdirSync(directory.at("late"))
    expect(await shares.add({ path: directory.at("late") }, never)).toMatchObject({
      state: "failed",
      reason: expect.stringContaining("skep restart m"),
    })
    expect(record.shares).toHaveLength(2)
    await shares.remove(directory.at("late"), never)
    expect([rules.length, record.shares?.length]).toEqual([asked, 1])
    expect((await shares.view()).shares).toMatchObject([
      { state: "failed", reason: expect.stringContaining("keeper") },
    ])
  })
})
