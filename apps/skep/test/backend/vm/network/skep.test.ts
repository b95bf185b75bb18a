// How a machine gets onto Skep's network: by the link that it was told, or by the best one that the network has.

import { join } from "node:path"
import { testContext } from "@skep/contract-tests"
import { fromSource, temporaryDirectory } from "@skep/testkit"
import { describe, expect, it, vi } from "vitest"
import { HomeNetwork } from "../../../../src/backend/network/home-network.ts"
import { SkepNetwork } from "../../../../src/backend/vm/network/skep.ts"
import { createHome, homeFrom, machinePaths } from "../../../../src/home/paths.ts"
import { freePort } from "../../../../src/machine/port.ts"
import { type Changes, newRecord } from "../../../../src/machine/record.ts"
import type { NetworkLink } from "../../../../src/machine/schema.ts"

const PROGRAM = fromSource(import.meta.dirname, "../../../../../../packages/network/src/main.ts")
const WITHOUT_SYSTEM_CALLS = ["--require", join(import.meta.dirname, "no-koffi.cjs"), ...PROGRAM]
const SETTINGS = {
  cpus: 2,
  memoryMiB: 2048,
  diskGiB: 8,
  accelerator: "auto",
  networkPolicy: "loopback",
  network: "skep",
  publishAddress: "127.0.0.1",
  sshAgent: false,
  shares: [],
  sharesProvider: "none",
  shareProtocol: "auto",
  shareXattrs: false,
} as const

interface Place extends AsyncDisposable {
  readonly network: HomeNetwork
  readonly said: readonly string[]
  join(name: string, link?: NetworkLink, changes?: Changes): Promise<SkepNetwork>
}

async function place(program: readonly string[]): Promise<Place> {
  const directory = await temporaryDirectory()
  const home = homeFrom({ SKEP_HOME: directory.at("h"), SKEP_RUN: directory.at("r") })
  await createHome(home)
  const said: string[] = []
  const { log: silent, emit } = testContext()
  const log = { ...silent, info: (event: string) => void said.push(event) }
  const network = new HomeNetwork({ home, log, emit, program })
  const joined: SkepNetwork[] = []
  return {
    network,
    said,
    join: async (name, link, changes = {}) => {
      const record = newRecord(name, changes, SETTINGS, await freePort())
      const machine = new SkepNetwork({ network, paths: machinePaths(home, name), record, log }, link)
      joined.push(machine)
      await machine.ready()
      return machine
    },
    [Symbol.asyncDispose]: async () => {
      for (const each of joined) await each[Symbol.asyncDispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}

async function linksOf({ network }: Place): Promise<readonly string[]> {
  const links = (await network.running?.links()) ?? []
  return links.map(({ name, kind, mtu }) => `${name} ${kind} ${mtu}`)
}

describe("a machine on Skep's network", () => {
  it("is joined by vhost-user, and by QEMU's stream where it is told to", async () => {
    await using it = await place(PROGRAM)
    const [web, db] = [await it.join("web"), await it.join("db", "stream")]
    expect(web.describe()).toMatchObject({ kind: "vhost-user", provider: "skep" })
    expect(db.describe()).toMatchObject({ kind: "stream", provider: "skep", mtu: 65_520 })
    expect(await linksOf(it)).toEqual(["web vhost-user 1500", "db qemu 65520"])
    expect(it.said).not.toContain(FALLBACK)
  })

  it("has a way to its own NFS server where its shares come by that, and none otherwise", async () => {
    await using it = await place(PROGRAM)
    await it.join("web")
    const { running } = it.network
    if (running === undefined) throw new Error("there is no network")
    const added = vi.spyOn(running, "addLink")
    await it.join("db", undefined, { sharesProvider: "skep", shareProtocol: "nfs" })
    await it.join("search", undefined, { sharesProvider: "skep", shareProtocol: "exports" })
    await it.join("cache", undefined, { sharesProvider: "none", shareProtocol: "nfs" })
    await it.join("queue", undefined, { sharesProvider: "skep", shareProtocol: "virtiofs" })
    expect(added.mock.calls.map(([{ machine, services }]) => [machine, services])).toEqual([
      ["db", [{ port: 2049, socket: expect.stringMatching(/\/db\/shares-nfs\.sock$/) }]],
      [
        "search",
        [
          { port: 2049, socket: expect.stringMatching(/\/search\/shares-nfs\.sock$/) },
          { port: 20_048, socket: expect.stringMatching(/\/search\/shares-mount\.sock$/) },
        ],
      ],
      ["cache", undefined],
      ["queue", undefined],
    ])
  })

  it("is joined by QEMU's stream where the network runs on Node's sockets, and the log says why", async () => {
    await using it = await place(WITHOUT_SYSTEM_CALLS)
    for (const name of ["web", "db"])
      expect((await it.join(name)).describe()).toMatchObject({ kind: "stream", mtu: 65_520 })
    expect(await linksOf(it)).toEqual(["web qemu 65520", "db qemu 65520"])
    expect(it.said.filter((event) => event === FALLBACK)).toHaveLength(2)
    await expect(it.join("cache", "vhost-user")).rejects.toMatchObject({ code: "unsupported" })
  })
})

const FALLBACK = "network over QEMU's stream"
