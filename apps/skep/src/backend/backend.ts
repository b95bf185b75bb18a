/**
 * The backend: one process per user that owns the machines' Docker sockets and supervises their launchers.
 *
 * It is started by the first `skep` command that needs it and ends by itself when the last machine is removed. Killing it hurts
 * nobody: virtual machines run on, and the next command starts a backend that adopts them.
 *
 * @module
 */
import { join } from "node:path"
import { type Context, type Counters, type Running, type Sidecar, SidecarError } from "@skep/contract"
import { type Lock, notRunning, type Routes, tryLock, withResolvers } from "@skep/runtime"
import { z } from "zod"
import { createHome, homeFrom } from "../home/paths.ts"
import { readSettings } from "../home/settings.ts"
import { VERSION } from "../version.ts"
import { Machines } from "./machines.ts"
import { backendRoutes } from "./routes.ts"

/** How long a backend without machines waits for one before it ends. */
const IDLE_MS = 3000

export interface BackendOptions {
  readonly home: string
  readonly run: string
  /** Node's arguments that run the launcher's program. */
  readonly launcherProgram: readonly string[]
}

const Options: z.ZodType<BackendOptions> = z.strictObject({
  home: z.string().min(1),
  run: z.string().min(1),
  launcherProgram: z.array(z.string()).min(1),
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
    const home = homeFrom({ SKEP_HOME: options.home, SKEP_RUN: options.run })
    await createHome(home)
    const lock = tryLock(join(home.run, "backend.lock"))
    if (lock === undefined) {
      throw new SidecarError(
        "already-running",
        `Cannot start the backend for "${home.run}": another one owns the machines there`,
      )
    }
    const counters = { events: 0 }
    const settings = await readSettings(home.settingsFile).catch((error: unknown) => {
      // A corrupt file must not keep running machines from being adopted: whoever needs the settings is told.
      context.log.info("settings unreadable", { reason: String(error) })
      return undefined
    })
    const machines = await Machines.load({
      home,
      log: context.log,
      emit: (event) => {
        counters.events++
        context.emit({ ...event, at: new Date().toISOString() })
      },
      launcherProgram: options.launcherProgram,
      publishAddress: settings?.publishAddress ?? "127.0.0.1",
    })
    context.log.info("started", { version: VERSION, machines: machines.size })
    return run(machines, counters, context, lock)
  },
}

function run(machines: Machines, counters: { events: number }, context: Context, lock: Lock): BackendRunning {
  const closed = withResolvers<void>()
  let stopping: Promise<void> | undefined
  const idle = setInterval(() => {
    if (machines.size > 0) return
    context.log.info("idle", { reason: "there are no machines" })
    void stop()
  }, IDLE_MS)
  const stop = (): Promise<void> => {
    clearInterval(idle)
    stopping ??= machines
      .release()
      .finally(() => lock[Symbol.dispose]())
      .then(closed.resolve, closed.reject)
    return stopping
  }
  return {
    endpoints: [],
    closed: closed.promise,
    routes: backendRoutes(machines, () => void stop()),
    status: async () => {
      if (stopping !== undefined) throw notRunning("backend")
      return { machines: machines.size, counters: { ...counters } }
    },
    [Symbol.asyncDispose]: stop,
  }
}
