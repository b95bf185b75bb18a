// The adapter in the contracts: on Unix sockets in the place of the kernel's, and on the kernel's where that has a guest to offer.
import { existsSync } from "node:fs"
import { join } from "node:path"
import type { Sidecar, VsockRunning, VsockStatus } from "@skep/contract"
import {
  type SidecarFixture,
  sidecarContract,
  testContext,
  type VsockFixture,
  vsockContract,
  vsockSetup,
} from "@skep/contract-tests"
import { type Remote, spawn } from "@skep/runtime"
import { fromSource, openClient, processesMentioning, temporaryDirectory } from "@skep/testkit"
import { hostPaths } from "@skep/vsock-host/options"
import { z } from "zod"
import type { VhostVsockOptions } from "../../src/vhost-vsock/options.ts"
import { probeVhostVsock } from "../../src/vhost-vsock/probe.ts"
import { onUnix } from "./on-unix.ts"
import { unixGuest } from "./unix-sockets.ts"

const Status: z.ZodType<VsockStatus> = z.object({
  streams: z.int(),
  counters: z.record(z.string(), z.number()),
})

const spawned = spawn<VhostVsockOptions, VsockStatus, Remote<VsockStatus>>(
  {
    name: "vhost-vsock",
    file: process.execPath,
    args: fromSource(import.meta.dirname, "unix-main.ts"),
    control: ({ udsPath }) => `${udsPath}.control`,
    parseOptions: (input) => onUnix.parseOptions(input),
    parseStatus: (value) => Status.parse(value),
    endWithParent: true,
  },
  (remote) => remote,
)

const GAPS = {
  "leads the guest to a service on a port that nobody told of":
    "the kernel listens on ports of the host that it is told of, not on all of them",
  "refuses the guest where the service is gone":
    "the kernel accepts for the adapter before that can ask, so the guest hears an end instead of a refusal",
}

async function openContract(
  sidecar: Sidecar<VhostVsockOptions, VsockStatus, VsockRunning>,
): Promise<VsockFixture> {
  const directory = await temporaryDirectory()
  const setup = vsockSetup(directory.path)
  const guest = unixGuest(directory.path)
  const vsock = await sidecar.start(sidecar.parseOptions(setup), testContext())
  return {
    vsock,
    setup,
    guest,
    [Symbol.asyncDispose]: async () => {
      await vsock[Symbol.asyncDispose]()
      await guest[Symbol.asyncDispose]()
      await directory[Symbol.asyncDispose]()
    },
  }
}

vsockContract({ name: "vhost-vsock on Unix sockets", open: () => openContract(onUnix), gaps: GAPS })
vsockContract({ name: "vhost-vsock on Unix sockets, spawned", open: () => openContract(spawned), gaps: GAPS })

/** Why the suite cannot be run on the kernel's own sockets: it needs the device, and a guest behind it that the suite can make act. */
const probe = probeVhostVsock()
const noGuest = "this run starts no guest on it"

vsockContract({
  name: "vhost-vsock on the kernel's own sockets",
  unavailable: probe.state === "opens" ? `${probe.reason}, and ${noGuest}` : probe.reason,
  open: () => Promise.reject(new Error(noGuest)),
})

async function openLife<R extends VsockRunning>(
  sidecar: Sidecar<VhostVsockOptions, VsockStatus, R>,
  crash?: (running: R) => Promise<void>,
): Promise<SidecarFixture<VhostVsockOptions, VsockStatus, R>> {
  const directory = await temporaryDirectory()
  const input = (index: 0 | 1) => ({
    guestCid: 3 + index,
    directory: directory.at(`v${index}`),
    guestForwards: [2376],
    udsPath: directory.at(`fc${index}.sock`),
    // Ports of the host are the whole host's.
    services: [7000 + index],
  })
  return {
    sidecar,
    input,
    bad: [
      undefined,
      {},
      { ...input(0), guestCid: 2 },
      { ...input(0), services: [-1] },
      { ...input(0), more: 1 },
    ],
    hold: () => openClient(join(input(0).directory, "connect")),
    ...(crash === undefined ? {} : { crash }),
    leftovers: async () => [
      ...hostPaths(onUnix.parseOptions(input(0)))
        .flatMap((path) => [path, `${path}.lock`])
        .filter((path) => existsSync(path)),
      ...processesMentioning(input(0).udsPath),
    ],
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

sidecarContract({
  name: "vhost-vsock in process",
  open: () => openLife(onUnix),
  gaps: { "rejects closed after a crash": "in this process nothing but the test's own end is a crash" },
})
sidecarContract({
  name: "vhost-vsock spawned",
  open: () =>
    openLife(spawned, async ({ identity }) => {
      process.kill(identity.pid, "SIGKILL")
    }),
})
