import { existsSync, mkdirSync } from "node:fs"
import type { Sidecar } from "@skep/contract"
import { type SidecarFixture, sidecarContract } from "@skep/contract-tests"
import { fromSource, openClient, processesMentioning, temporaryDirectory } from "@skep/testkit"
import {
  type SharesOptions,
  type SkepShares,
  type SkepSharesStatus,
  shares,
  sharesProcess,
} from "../src/index.ts"
import { ownSockets } from "../src/options.ts"

const spawned = sharesProcess({
  file: process.execPath,
  args: fromSource(import.meta.dirname, "../src/main.ts"),
  endWithParent: true,
})

async function fixture<R extends SkepShares>(
  sidecar: Sidecar<SharesOptions, SkepSharesStatus, R>,
  crash?: (running: R) => Promise<void>,
): Promise<SidecarFixture<SharesOptions, SkepSharesStatus, R>> {
  const directory = await temporaryDirectory()
  mkdirSync(directory.at("shared"))
  const input = (index: 0 | 1) => ({
    machine: `machine${index}`,
    socket: directory.at(`s${index}.sock`),
    stateDirectory: directory.at(`state${index}`),
    shares: [{ path: directory.at("shared"), target: "/mnt/shared" }],
    ioThreads: 0,
  })
  return {
    sidecar,
    input,
    bad: [
      undefined,
      {},
      { ...input(0), socket: "relative" },
      { ...input(0), shares: [{ path: "relative" }] },
      { ...input(0), protocol: "nfs" },
      { ...input(0), more: 1 },
    ],
    hold: () => openClient(input(0).socket),
    ...(crash === undefined ? {} : { crash }),
    leftovers: async () => [
      ...ownSockets(shares.parseOptions(input(0))).filter((path) => existsSync(path)),
      ...processesMentioning(input(0).socket),
    ],
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

sidecarContract({
  name: "shares in process",
  open: () => fixture(shares),
  gaps: { "rejects closed after a crash": "in this process nothing but the test's own end is a crash" },
})

sidecarContract({
  name: "shares spawned",
  open: () =>
    fixture(spawned, async ({ identity }) => {
      process.kill(identity.pid, "SIGKILL")
    }),
})
