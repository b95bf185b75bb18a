/**
 * The launcher sidecar: starts a machine, or takes over the one that a dead launcher left in the same run directory.
 *
 * @module
 */
import { existsSync } from "node:fs"
import { mkdir } from "node:fs/promises"
import {
  type Context,
  type LauncherRunning,
  type LauncherStatus,
  type Sidecar,
  SidecarError,
} from "@skep/contract"
import {
  Cleanup,
  checkSocketPath,
  describeFileError,
  type Lock,
  orAborted,
  privateDirectory,
  waitForLock,
} from "@skep/runtime"
import { ConsoleHub } from "./console/hub.ts"
import { LogFile } from "./console/log-file.ts"
import { keptDevices, type LauncherOptions, parseLauncherOptions } from "./description.ts"
import { qemuArguments } from "./hypervisor/qemu.ts"
import { Upkeep } from "./keeper/upkeep.ts"
import { adopt } from "./machine/adoption.ts"
import { end } from "./machine/attempt.ts"
import { type Booted, boot, checkFiles } from "./machine/boot.ts"
import { BootWatch } from "./machine/boot-watch.ts"
import type { Environment } from "./machine/environment.ts"
import { openProcessLog } from "./machine/process-log.ts"
import { runningOf } from "./machine/running.ts"
import { StreamLink } from "./network/stream-link.ts"
import { type MachinePaths, pathsOf } from "./paths.ts"

/** A launcher that was killed is a zombie for a few milliseconds before the kernel lets go of its lock. */
const LOCK_MS = 500

export const launcher: Sidecar<LauncherOptions, LauncherStatus, LauncherRunning> = {
  name: "launcher",
  parseOptions: parseLauncherOptions,
  start,
}

/**
 * Codes: "host-program-missing", "not-found" (kernel, initrd or disk), "already-running", "unsupported-arch", "unsupported"
 * (an accelerator was asked for by name and does not work), "crashed", "timeout" (the guest stays silent), "path-too-long".
 */
async function start(options: LauncherOptions, context: Context): Promise<LauncherRunning> {
  context.signal.throwIfAborted()
  const paths = pathsOf(options)
  const sockets = [paths.console, paths.qmp, paths.qmpNetwork, paths.serial, ...Object.values(paths.fronts)]
  for (const path of sockets) checkSocketPath(path)
  // What no accelerator can do is refused before anything is touched.
  qemuArguments({ description: options, accelerator: "tcg", sockets: paths, platform: process.platform })
  await privateDirectory(options.runDirectory)
  await makeLogDirectory(options.logDirectory)
  await using cleanup = new Cleanup()
  const lock = await lockRunDirectory(options, paths, context.signal)
  cleanup.defer(() => lock[Symbol.dispose]())
  const consoleLog = new LogFile(paths.consoleLog, options.consoleLogBytes)
  cleanup.defer(() => consoleLog[Symbol.dispose]())
  const log = openProcessLog(paths.hypervisorLog)
  cleanup.defer(() => log[Symbol.dispose]())
  const console = new ConsoleHub(consoleLog)
  const env: Environment = { options, paths, context, console, log, link: linkOf(options, context) }
  cleanup.use(await console.listen(paths.console))
  // Nothing is awaited after an adoption: an abort would have to end a machine that was not started here, or leave it halfway.
  const adopted = await adopt(env)
  const upkeep = keepDevices(env, adopted !== undefined)
  if (upkeep !== undefined) cleanup.use(upkeep)
  const { machine, ...counters }: Booted =
    adopted === undefined
      ? await bootAnew(env, upkeep)
      : { machine: adopted, silentRestarts: 0, fallbacks: 0 }
  const hypervisor = `qemu ${machine.qmp?.version ?? ""}`.trim()
  context.log.info("machine runs", {
    hypervisor,
    accelerator: machine.accelerator,
    pid: machine.process.identity.pid,
  })
  return runningOf({
    env,
    machine,
    hypervisor,
    upkeep,
    bootWatch: adopted === undefined ? new BootWatch(env, machine) : undefined,
    cleanup: cleanup.move(),
    counters,
  })
}

function linkOf({ network }: LauncherOptions, { log, emit }: Context): StreamLink | undefined {
  return network.kind === "stream" ? new StreamLink({ socket: network.socket, log, emit }) : undefined
}

/** A machine that ran before may have been started without devices that the options name by now. */
function keepDevices(env: Environment, found: boolean): Upkeep | undefined {
  const { fronts } = env.paths
  const devices = keptDevices(env.options).filter(({ name }) => !found || existsSync(fronts[name] ?? ""))
  return devices.length === 0 ? undefined : new Upkeep(env, devices, found)
}

/** QEMU waits for the keeper: where there will be none, nobody waits for QEMU. */
async function bootAnew(outer: Environment, upkeep: Upkeep | undefined): Promise<Booted> {
  const noKeeper = new AbortController()
  upkeep?.ready.catch((error: unknown) => noKeeper.abort(error))
  const signal = AbortSignal.any([outer.context.signal, noKeeper.signal])
  const env: Environment = { ...outer, context: { ...outer.context, signal } }
  await checkFiles(env)
  const booted = await boot(env)
  try {
    signal.throwIfAborted()
    await orAborted(Promise.resolve(upkeep?.ready), signal)
  } catch (error) {
    await end(booted.machine)
    throw error
  }
  return booted
}

async function lockRunDirectory(
  options: LauncherOptions,
  paths: MachinePaths,
  signal: AbortSignal,
): Promise<Lock> {
  try {
    return await waitForLock(paths.lock, LOCK_MS, signal)
  } catch (error) {
    if (!(error instanceof SidecarError) || error.code !== "busy") throw error
    throw new SidecarError(
      "already-running",
      `Cannot start "${options.name}": another launcher owns "${options.runDirectory}"`,
      { next: "Use the machine that runs, or stop it first", cause: error },
    )
  }
}

/** The directory may hold more than logs, so its mode is its owner's affair once it is there. */
async function makeLogDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw describeFileError("create the directory", path, error)
  }
}
