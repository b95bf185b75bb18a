import { existsSync } from "node:fs"
import { join } from "node:path"
import type { Sidecar } from "@skep/contract"
import { type SidecarFixture, sidecarContract } from "@skep/contract-tests"
import { fromSource, openClient, processesMentioning, temporaryDirectory } from "@skep/testkit"
import {
  ownPaths,
  type VsockOptions,
  type VsockRunning,
  type VsockStatus,
  vsock,
  vsockProcess,
} from "../src/index.ts"

const spawned = vsockProcess({
  file: process.execPath,
  args: fromSource(import.meta.dirname, "../src/main.ts"),
  endWithParent: true,
})

async function fixture<R extends VsockRunning>(
  sidecar: Sidecar<VsockOptions, VsockStatus, R>,
  crash?: (running: R) => Promise<void>,
): Promise<SidecarFixture<VsockOptions, VsockStatus, R>> {
  const directory = await temporaryDirectory()
  const input = (index: 0 | 1) => ({
    guestCid: 3 + index,
    socket: directory.at(`vhost${index}.sock`),
    directory: directory.at(`vsock${index}`),
    guestForwards: [2376],
    udsPath: directory.at(`v${index}.sock`),
    ports: [
      { port: 1024, path: directory.at(`in${index}.sock`), mode: "connect" },
      { port: 1024, path: directory.at(`out${index}.sock`) },
    ],
  })
  return {
    sidecar,
    input,
    bad: [
      undefined,
      {},
      { ...input(0), guestCid: 2 },
      { ...input(0), socket: "relative" },
      { ...input(0), more: 1 },
    ],
    hold: () => openClient(join(input(0).directory, "connect")),
    ...(crash === undefined ? {} : { crash }),
    leftovers: async () => [
      ...ownPaths(vsock.parseOptions(input(0))).filter((path) => existsSync(path)),
      ...processesMentioning(input(0).socket),
    ],
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

sidecarContract({
  name: "vsock in process",
  open: () => fixture(vsock),
  gaps: { "rejects closed after a crash": "in this process nothing but the test's own end is a crash" },
})
sidecarContract({
  name: "vsock spawned",
  open: () =>
    fixture(spawned, async ({ identity }) => {
      process.kill(identity.pid, "SIGKILL")
    }),
})
