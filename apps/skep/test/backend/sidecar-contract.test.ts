import { once } from "node:events"
import { existsSync } from "node:fs"
import { connect } from "node:net"
import { join } from "node:path"
import { setImmediate as turn } from "node:timers/promises"
import type { Running, Sidecar } from "@skep/contract"
import { type SidecarFixture, sidecarContract } from "@skep/contract-tests"
import { type Remote, spawn } from "@skep/runtime"
import { fromSource, processesMentioning } from "@skep/testkit"
import { type BackendOptions, type BackendStatus, backend } from "../../src/backend/backend.ts"
import { openPlace } from "./fixture.ts"

const spawned = spawn<BackendOptions, BackendStatus, Remote<BackendStatus>>(
  {
    name: "backend",
    file: process.execPath,
    args: fromSource(import.meta.dirname, "../../src/backend/main.ts"),
    control: ({ run }) => join(run, "backend.sock"),
    parseOptions: (input) => backend.parseOptions(input),
    // It comes from the very sources that this file is compiled with.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    parseStatus: (value) => value as BackendStatus,
    endWithParent: true,
  },
  (remote) => remote,
)

async function fixture<R extends Running<BackendStatus>>(
  sidecar: Sidecar<BackendOptions, BackendStatus, R>,
  crash?: (running: R) => Promise<void>,
): Promise<SidecarFixture<BackendOptions, BackendStatus, R>> {
  const place = await openPlace()
  return {
    sidecar,
    input: (index) => place.options(index),
    bad: [
      undefined,
      {},
      { home: "", run: "/r", programs: { launcher: ["x"], vsock: ["x"], passt: ["x"], network: ["x"] } },
      { ...place.options(0), more: 1 },
    ],
    hold: async () => {
      const client = connect(place.dockerSocket(0))
      client.on("error", () => client.destroy())
      await once(client, "connect")
      return {
        [Symbol.asyncDispose]: async () => {
          client.destroy()
          if (!client.closed) await once(client, "close")
          // The handle of the test's own client is freed at the end of a turn.
          await turn()
          await turn()
        },
      }
    },
    ...(crash === undefined ? {} : { crash }),
    leftovers: async () => [
      ...[place.dockerSocket(0), place.controlSocket(0)].filter((path) => existsSync(path)),
      ...processesMentioning(place.options(0).run),
    ],
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  }
}

sidecarContract({
  name: "backend in process",
  open: () => fixture(backend),
  gaps: { "rejects closed after a crash": "in this process nothing but the test's own end is a crash" },
})
sidecarContract({
  name: "backend spawned",
  open: () =>
    fixture(spawned, async ({ identity }) => {
      process.kill(identity.pid, "SIGKILL")
    }),
})
