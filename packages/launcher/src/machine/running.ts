/**
 * The launcher role over a machine: its verbs, its stop, its one `closed`.
 *
 * @module
 */
import { type LauncherRunning, type LauncherStatus, SidecarError } from "@skep/contract"
import type { Qmp } from "@skep/qmp"
import { type Cleanup, notRunning, sleep, withDeadline, withResolvers } from "@skep/runtime"
import type { Upkeep } from "../keeper/upkeep.ts"
import type { BootWatch } from "./boot-watch.ts"
import type { Environment } from "./environment.ts"
import type { Machine } from "./machine.ts"

/** How long a disposal waits for the guest to power itself off. */
const POWERDOWN_MS = 4000
const ASK_AGAIN_MS = 2000
/** Then for QEMU to quit, which flushes its disks. */
const QUIT_MS = 1000

export interface RunningParts {
  readonly env: Environment
  readonly machine: Machine
  readonly hypervisor: string
  /** Undefined for a machine without devices of other programs. */
  readonly upkeep: Upkeep | undefined
  /** Undefined for a machine that was adopted: what its console said before is not known. */
  readonly bootWatch: BootWatch | undefined
  /** Started before the machine and let go after it: console socket, logs, lock. */
  readonly cleanup: Cleanup
  readonly counters: Readonly<Record<string, number>>
}

export function runningOf(parts: RunningParts): LauncherRunning {
  const { env, machine, cleanup } = parts
  const closed = withResolvers<void>()
  closed.promise.catch(() => undefined) // whoever awaits it gets the reason; nobody has to
  const gone = machine.ended.then(async (ending) => {
    await cleanup[Symbol.asyncDispose]()
    if (ending.state === "stopped") return
    const message = `The machine "${env.options.name}" crashed: ${ending.reason}`
    throw new SidecarError("crashed", message, {
      detail: ending.detail,
      next: `Read ${env.paths.hypervisorLog}`,
    })
  })
  gone.then(closed.resolve, closed.reject)
  let stopping: Promise<void> | undefined
  const stopped = gone.catch(() => undefined) // `closed` has the reason
  return {
    endpoints: [env.paths.console, env.paths.qmp, env.paths.qmpNetwork],
    closed: closed.promise,
    status: async () => {
      if (machine.over) throw notRunning("launcher")
      const counters = {
        ...env.console.counters,
        ...parts.counters,
        ...parts.bootWatch?.counters,
        ...parts.upkeep?.counters,
        ...env.link?.counters,
      }
      const devices = (await parts.upkeep?.devices()) ?? []
      return { ...machine.status(parts.hypervisor, counters), ...networkStatus(parts), devices }
    },
    powerdown: async (deadlineMs) => {
      const qmp = monitorOf(machine)
      const ask = powerdownOf(machine)
      machine.expectEnd()
      try {
        await withDeadline(`power off "${env.options.name}"`, deadlineMs, neverAborts, async (signal) => {
          await askUntil(stopped, () => ask(qmp, signal), signal)
        })
      } catch (error) {
        if (machine.over) return await stopped
        machine.endIgnored()
        throw error
      }
    },
    kill: async () => {
      monitorOf(machine)
      machine.expectEnd()
      machine.process.kill()
      await stopped
    },
    pause: async () => {
      await monitorOf(machine).execute("stop")
    },
    resume: async () => {
      await monitorOf(machine).execute("cont")
    },
    reconnectNetwork: async () => {
      monitorOf(machine)
      if (env.link === undefined || machine.network?.kind !== "stream")
        throw new SidecarError(
          "unsupported",
          `Cannot join the network of "${env.options.name}" anew: it is no stream`,
        )
      await env.link.reconnect()
    },
    [Symbol.asyncDispose]: () => {
      stopping ??= stop(machine).then(() => stopped)
      return stopping
    },
  }
}

function networkStatus({ env, machine }: RunningParts): Pick<LauncherStatus, "network"> {
  const { network } = machine
  if (network === undefined) return {}
  const joined = network.kind === "stream" ? { joined: env.link?.state === "joined" } : {}
  return { network: { ...network, ...joined } }
}

/** Asks the guest, then QEMU, then the kernel. */
async function stop(machine: Machine): Promise<void> {
  if (machine.over) return
  const powerdown = powerdownOf(machine)
  machine.expectEnd()
  const steps: readonly { readonly ms: number; readonly ask: Ask }[] = [
    { ms: POWERDOWN_MS, ask: powerdown },
    { ms: QUIT_MS, ask: (qmp, signal) => qmp.execute("quit", undefined, signal) },
  ]
  for (const { ms, ask } of steps) {
    const { qmp } = machine
    if (qmp === undefined) break
    const stopped = await withDeadline("stop the machine", ms, neverAborts, async (signal) => {
      await ask(qmp, signal)
      await machine.ended
      return true
    }).catch(expected)
    if (stopped) return
  }
  machine.process.kill()
  await machine.ended
}

/** A guest that is still booting misses the button, so it is pressed again from time to time. */
async function askUntil(
  stopped: Promise<void>,
  ask: () => Promise<unknown>,
  signal: AbortSignal,
): Promise<void> {
  const over = stopped.then(() => true)
  const again = (): Promise<boolean> => sleep(ASK_AGAIN_MS, signal).then(() => false)
  do await ask()
  while (!(await Promise.race([over, again()])))
}

type Ask = (qmp: Qmp, signal: AbortSignal) => Promise<unknown>

/** A paused guest hears nothing, so it has to run for its last moments. */
function powerdownOf(machine: Machine): Ask {
  const paused = machine.state === "paused"
  return async (qmp, signal) => {
    if (paused) await qmp.execute("cont", undefined, signal)
    await qmp.execute("system_powerdown", undefined, signal)
  }
}

function monitorOf(machine: Machine): Qmp {
  if (machine.qmp === undefined) throw notRunning("launcher")
  return machine.qmp
}

/** A refusal, a lost monitor and a passed deadline all lead to the next step. */
function expected(error: unknown): false {
  if (!(error instanceof SidecarError)) throw error
  return false
}

const neverAborts = new AbortController().signal
