import { once } from "node:events"
import { createServer, type Socket } from "node:net"
import { setImmediate as turn } from "node:timers/promises"
import type { Running, Sidecar } from "@skep/contract"
import { type SidecarFixture, sidecarContract } from "@skep/contract-tests"
import { type Remote, spawn } from "@skep/runtime"
import { fromSource, leftoversOf, temporaryDirectory } from "@skep/testkit"
import { keeper } from "../../src/keeper/keeper.ts"
import { type KeeperOptions, parseKeeperOptions } from "../../src/keeper/options.ts"
import { type KeeperStatus, parseKeeperStatus } from "../../src/keeper/status.ts"

function spawnedKeeper(control: string): Sidecar<KeeperOptions, KeeperStatus, Remote<KeeperStatus>> {
  return spawn<KeeperOptions, KeeperStatus, Remote<KeeperStatus>>(
    {
      name: "keeper",
      file: process.execPath,
      args: fromSource(import.meta.dirname, "../../src/keeper/main.ts"),
      control: ({ devices }) => `${control}.${devices[0]?.name ?? ""}`,
      parseOptions: parseKeeperOptions,
      parseStatus: parseKeeperStatus,
      endWithParent: true,
    },
    (remote) => remote,
  )
}

async function fixture<R extends Running<KeeperStatus>>(
  sidecarAt: (control: string) => Sidecar<KeeperOptions, KeeperStatus, R>,
  crash?: (running: R) => Promise<void>,
): Promise<SidecarFixture<KeeperOptions, KeeperStatus, R>> {
  const directory = await temporaryDirectory()
  const input = (index: number): unknown => ({
    devices: [
      { name: `d${index}`, front: directory.at(`front${index}`), back: directory.at(`back${index}`) },
    ],
  })
  return {
    sidecar: sidecarAt(directory.at("keeper.sock")),
    input,
    bad: [
      undefined,
      {},
      { devices: [] },
      { devices: [{ name: "d", front: "relative", back: "/b" }] },
      { devices: [{ name: "d", front: "/f", back: "/b" }], lonelyMs: -1 },
      {
        devices: [
          { name: "d", front: "/f", back: "/b" },
          { name: "d", front: "/g", back: "/c" },
        ],
      },
    ],
    // A front end that has been given a keeper.
    hold: async () => {
      const clients = new Set<Socket>()
      const server = createServer((client) => {
        clients.add(client.resume())
        client.on("error", () => client.destroy())
      })
      const connected = once(server, "connection")
      server.listen(directory.at("front0"))
      await connected
      return {
        [Symbol.asyncDispose]: async () => {
          server.close()
          for (const client of clients) client.destroy()
          await once(server, "close")
          // The handle is freed at the end of a turn.
          await turn()
          await turn()
        },
      }
    },
    ...(crash === undefined ? {} : { crash }),
    leftovers: () => leftoversOf(directory.path),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

sidecarContract({
  name: "keeper in process",
  open: () => fixture(() => keeper),
  gaps: {
    "is ready when start resolves": "it listens nowhere but on a control socket, which is its process's",
    "rejects closed after a crash": "in this process nothing but the test's own end is a crash",
  },
})
sidecarContract({
  name: "keeper spawned",
  open: () =>
    fixture(spawnedKeeper, async ({ identity }) => {
      process.kill(identity.pid, "SIGKILL")
    }),
})
