/**
 * The backend: one process per user that owns the machines' Docker sockets and supervises their launchers.
 *
 * It is started by the first `skep` command that needs it and ends by itself when the last machine is removed. Killing it hurts
 * nobody: virtual machines run on, and the next command starts a backend that adopts them.
 *
 * @module
 */
import { join } from "node:path"
import {
  type Counters,
  type Log,
  type Running,
  type Sidecar,
  SidecarError,
  type SidecarEvent,
} from "@skep/contract"
import { Cleanup, notRunning, type Routes, tryLock, withResolvers } from "@skep/runtime"
import * as z from "zod"
import { createHome, type Home, homeFrom } from "../home/paths.ts"
import { readSettings, type Settings } from "../home/settings.ts"
import { VERSION } from "../version.ts"
import { Images } from "./image-builder/images.ts"
import { Janitor, timerLater } from "./leases/janitor.ts"
import { MachineLeases } from "./leases/machine-leases.ts"
import { Machines } from "./machines.ts"
import { HomeNetwork } from "./network/home-network.ts"
import { backendRoutes } from "./routes.ts"
import type { Programs } from "./vm/context.ts"

/** How long a backend without machines waits for a request before it ends. */
const IDLE_MS = 3000

export interface BackendOptions {
  readonly home: string
  readonly run: string
  readonly programs: Programs
}

const program = z.array(z.string()).min(1)

const Options: z.ZodType<BackendOptions> = z.strictObject({
  home: z.string().min(1),
  run: z.string().min(1),
  programs: z.strictObject({
    launcher: program,
    vsock: program,
    network: program,
    passt: program,
    gvproxy: program,
    shares: program,
    exports: program,
    virtiofsd: program,
  }),
})

export interface BackendStatus {
  readonly machines: number
  readonly counters: Counters
}

export interface BackendRunning extends Running<BackendStatus> {
  readonly routes: Routes
}

export const backend: Sidecar<BackendOptions, BackendStatus, BackendRunning> = {
  name: "backend",
  parseOptions: (input) => {
    const parsed = Options.safeParse(input)
    if (parsed.success) return parsed.data
    throw new SidecarError(
      "bad-options",
      `Cannot read the options of the backend: ${z.prettifyError(parsed.error)}`,
    )
  },
  start: async (options, context) => {
    context.signal.throwIfAborted()
    await using cleanup = new Cleanup()
    const home = homeFrom({ SKEP_HOME: options.home, SKEP_RUN: options.run })
    await createHome(home)
    const lock = tryLock(join(home.run, "backend.lock"))
    if (lock === undefined) {
      throw new SidecarError(
        "already-running",
        `Cannot start the backend for "${home.run}": another one owns the machines there`,
      )
    }
    cleanup.defer(() => lock[Symbol.dispose]())
    const { log } = context
    const counters = { events: 0, requests: 0 }
    const emit = (event: SidecarEvent): void => {
      counters.events++
      context.emit({ ...event, at: new Date().toISOString() })
    }
    const network = new HomeNetwork({ home, log, emit, program: options.programs.network })
    cleanup.defer(() => network.release())
    const machines = await Machines.load({
      home,
      log,
      emit,
      network,
      leases: new MachineLeases({ network, path: home.networkLeases, log, emit }),
      images: new Images(home, log),
      programs: options.programs,
      publishAddress: async () => (await settingsOf(home, log))?.publishAddress ?? "127.0.0.1",
      sharesSshAgent: async () => (await settingsOf(home, log))?.sshAgent ?? false,
    })
    cleanup.defer(() => machines.release())
    cleanup.use(
      new Janitor({
        sweep: (signal) => machines.sweepLeases(signal),
        log,
        later: timerLater,
        random: Math.random,
      }),
    )
    context.signal.throwIfAborted()
    log.info("started", { version: VERSION, machines: machines.size })
    return run({ home, machines, counters, log, owned: cleanup.move() })
  },
}

/** Containers of a machine that runs must not lose their ports to a file that cannot be read: `up` is told of it. */
async function settingsOf(home: Home, log: Log): Promise<Settings | undefined> {
  try {
    return await readSettings(home.settingsFile)
  } catch (error) {
    log.info("settings unreadable", { reason: String(error) })
    return undefined
  }
}

interface Parts {
  readonly home: Home
  readonly machines: Machines
  readonly counters: { events: number; requests: number }
  readonly log: Log
  readonly owned: Cleanup
}

function run({ home, machines, counters, log, owned }: Parts): BackendRunning {
  const closed = withResolvers<void>()
  let stopping: Promise<void> | undefined
  const stop = (): Promise<void> => {
    clearTimeout(idle)
    if (stopping === undefined) {
      stopping = owned[Symbol.asyncDispose]()
      stopping.then(closed.resolve, closed.reject)
    }
    return stopping
  }
  const idle = setTimeout(() => {
    if (machines.size > 0) {
      idle.refresh()
      return
    }
    log.info("idle", { reason: "there are no machines" })
    void stop()
  }, IDLE_MS)
  const touch = (): void => {
    if (stopping !== undefined) throw notRunning("backend")
    counters.requests++
    idle.refresh()
  }
  return {
    endpoints: [home.dockerSocket],
    closed: closed.promise,
    routes: backendRoutes(machines, { touch, stop: () => void stop() }),
    status: async () => {
      if (stopping !== undefined) throw notRunning("backend")
      return { machines: machines.size, counters: { ...counters } }
    },
    [Symbol.asyncDispose]: stop,
  }
}
