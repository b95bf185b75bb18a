/**
 * The keeper in a process of its own, which outlives its launcher.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs"
import { SidecarError, type SidecarEvent } from "@skep/contract"
import { adopt, type Remote, silentLog, spawn } from "@skep/runtime"
import { type KeeperOptions, parseKeeperOptions } from "./options.ts"
import { keeperProgram } from "./program.ts"
import { type KeeperStatus, parseKeeperStatus } from "./status.ts"

const NO_SIGNAL = new AbortController().signal

export interface KeeperProcessOptions {
  readonly options: KeeperOptions
  readonly control: string
  /** Gets what it has to say. */
  readonly logFile: string
  readonly signal: AbortSignal
  readonly emit: (event: SidecarEvent) => void
}

/** The keeper that runs on this control socket for the same devices; undefined where there is none, or one for others, which is ended. */
export async function adoptKeeper(wanted: KeeperProcessOptions): Promise<Remote<KeeperStatus> | undefined> {
  const { control, signal, emit } = wanted
  let found: Remote<KeeperStatus>
  try {
    found = await adopt({ control, signal, emit, parseStatus: parseKeeperStatus })
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof SidecarError && error.code !== "timeout") return undefined
    throw error
  }
  const status = await found.status().catch((error: unknown) => {
    if (error instanceof SidecarError) throw error
    return undefined // it is of another build, and speaks of itself in another way
  })
  if (status !== undefined && namesOf(status.devices) === namesOf(wanted.options.devices)) return found
  await found[Symbol.asyncDispose]()
  return undefined
}

/** Rejects with what the process reported, such as "unsupported". */
export async function spawnKeeper(wanted: KeeperProcessOptions): Promise<Remote<KeeperStatus>> {
  const stderr = openSync(wanted.logFile, "a", 0o600)
  try {
    const sidecar = spawn<KeeperOptions, KeeperStatus, Remote<KeeperStatus>>(
      {
        name: "keeper",
        file: process.execPath,
        args: keeperProgram(),
        control: () => wanted.control,
        parseOptions: parseKeeperOptions,
        parseStatus: parseKeeperStatus,
        stderr,
      },
      (remote) => remote,
    )
    const { signal, emit } = wanted
    return await sidecar.start(wanted.options, { signal, emit, log: silentLog })
  } finally {
    closeSync(stderr)
  }
}

/** Ends the keeper that runs on this control socket, if one does. */
export async function endKeeper(control: string): Promise<void> {
  try {
    const found = await adopt({ control, signal: NO_SIGNAL, parseStatus: parseKeeperStatus })
    await found[Symbol.asyncDispose]()
  } catch (error) {
    if (!(error instanceof SidecarError)) throw error // there is none, or it ends by itself once its QEMU is gone
  }
}

function namesOf(devices: readonly { readonly name: string }[]): string {
  return devices
    .map(({ name }) => name)
    .toSorted()
    .join()
}
