/**
 * The keeper in a process of its own, which outlives its launcher.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs"
import { readFile, rm } from "node:fs/promises"
import { type Identity as ProcessIdentity, SidecarError, type SidecarEvent } from "@skep/contract"
import { adopt, errnoOf, type Remote, silentLog, spawn, writeFileWhole } from "@skep/runtime"
import * as z from "zod"
import { endProcess } from "../machine/end-process.ts"
import { type KeeperOptions, parseKeeperOptions } from "./options.ts"
import { keeperProgram } from "./program.ts"
import { type KeeperStatus, parseKeeperStatus } from "./status.ts"

const Identity: z.ZodType<ProcessIdentity> = z.object({ pid: z.int().min(1), startTime: z.string() })

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

/**
 * Ends the keeper that was last seen on this control socket and is not there any more, as when somebody removed the socket: two would race for
 * QEMU's connection.
 */
async function endForgotten(control: string): Promise<void> {
  const forgotten = await lastKeeper(control)
  if (forgotten !== undefined) await endProcess(forgotten)
}

async function lastKeeper(control: string): Promise<ProcessIdentity | undefined> {
  try {
    const parsed = Identity.safeParse(JSON.parse(await readFile(recordOf(control), "utf8")))
    return parsed.success ? parsed.data : undefined
  } catch (error) {
    if (error instanceof SyntaxError || errnoOf(error) === "ENOENT") return undefined
    throw error
  }
}

async function remember(control: string, { pid, startTime }: ProcessIdentity): Promise<void> {
  await writeFileWhole(recordOf(control), `${JSON.stringify({ pid, startTime })}\n`)
}

/** Beside the control socket: which process a keeper is, for when its socket does not lead to it. */
function recordOf(control: string): string {
  return `${control}.json`
}

/** Rejects with what the process reported, such as "unsupported". */
export async function spawnKeeper(wanted: KeeperProcessOptions): Promise<Remote<KeeperStatus>> {
  await endForgotten(wanted.control)
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
    const running = await sidecar.start(wanted.options, { signal, emit, log: silentLog })
    await remember(wanted.control, running.identity)
    return running
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
    if (!(error instanceof SidecarError)) throw error
    await endForgotten(control)
  }
  await forget(control)
}

async function forget(control: string): Promise<void> {
  await rm(recordOf(control), { force: true })
}

function namesOf(devices: readonly { readonly name: string }[]): string {
  return devices
    .map(({ name }) => name)
    .toSorted()
    .join()
}
