/**
 * What the kernel of the host exports to a machine: put in place before the machine has its shares, taken back when it is over.
 *
 * ```
 *  up, share add ── check ──► skep-exports as root ──► /etc/exports.d, exportfs ──► the guest mounts
 *  share rm, stop, kill, rm, crash, a start of the backend ──► taken back
 * ```
 *
 * The command does the same step before it asks for anything, as it may have a terminal on which sudo can ask; then there is nothing left to be done here.
 *
 * @module
 */
import { type Log, type ShareRule, SidecarError } from "@skep/contract"
import { sleep } from "@skep/runtime"
import {
  type AsRoot,
  addressOf,
  checkHost,
  type ExportRequest,
  type ExportsSystem,
  exportAsRoot,
  exportedMachines,
  findServer,
  type ServerHost,
  takeBackAsRoot,
  thisSystem,
} from "@skep/shares/exports"
import { hiddenDirectories } from "../../home/hidden.ts"
import type { Home } from "../../home/paths.ts"
import { exportName, machineOfExport } from "../../machine/export-name.ts"
import { isWithin } from "../../machine/guest-paths.ts"
import type { Changes, MachineRecord } from "../../machine/record.ts"
import type { ShareWish } from "../../machine/share-rules.ts"
import type { Report } from "../operation.ts"
import { runPhase } from "../phase.ts"
import type { Programs } from "../vm/context.ts"
import { usesExports } from "../vm/shares/over.ts"

export type Say = AsRoot["say"]

/** What one may wish for, before anything is done. */
export interface ExportsWish {
  readonly changes?: Changes
  /** One more. */
  readonly share?: ShareWish
  /** Whether the machine is stopped before. */
  readonly restarts?: boolean
}

/** How it is done on this host; tests have another one. */
export interface ExportsHost extends Pick<AsRoot, "etc" | "sudo" | "system"> {
  readonly server?: ServerHost
}

export interface MachineExportsOptions {
  readonly home: Home
  /** The machine's. */
  readonly name: string
  readonly programs: Pick<Programs, "exports">
  readonly log: Log
  readonly host?: ExportsHost
}

const PHASE = { name: "exports", title: "Exports of this host", deadlineMs: 90_000 }
/** Nobody waits who could be told; the log has it. */
const silently: Say = () => undefined
/** macOS starts its server for the first export. */
const APPEAR_MS = 10_000
const RETRY_MS = 200
const TAKE_BACK_MS = 15_000

export class MachineExports {
  readonly #options: MachineExportsOptions
  #changing: Promise<unknown> = Promise.resolve()

  constructor(options: MachineExportsOptions) {
    this.#options = options
  }

  /** What has to be exported for these shares. Throws "bad-options" for what must not be, and what this host lacks. */
  async request(rules: readonly ShareRule[], signal: AbortSignal): Promise<ExportRequest> {
    return await this.#inTurn(() => this.#request(rules, signal))
  }

  async #request(rules: readonly ShareRule[], signal: AbortSignal): Promise<ExportRequest> {
    const { home, name } = this.#options
    checkHidden(rules, await hiddenDirectories(home))
    const system = this.#system()
    if (rules.length > 0) {
      await checkHost(system, this.#options.host?.server)
      if (system.platform === "linux") await findServer(system, signal, this.#options.host?.server)
    }
    const machine = exportName(home, name)
    return {
      machine,
      directories: directoriesOf(rules),
      client: addressOf(machine, system.platform),
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
    }
  }

  /** Exports what these shares need and nothing else. Resolves when the server is there. Throws as `request`, and "permission-denied" where root is needed and cannot be had. */
  async put(rules: readonly ShareRule[], say: Say, signal: AbortSignal): Promise<void> {
    await this.#inTurn(() => this.#put(rules, say, signal))
  }

  async #put(rules: readonly ShareRule[], say: Say, signal: AbortSignal): Promise<void> {
    const request = await this.#request(rules, signal)
    const applied = await exportAsRoot(request, this.#asRoot(say, signal))
    if (applied !== undefined && applied.warnings.length > 0) say(applied.warnings)
    if (rules.length > 0) await this.#appeared(signal)
  }

  /** Has what a machine needs in place while it boots, and takes it back where that fails. Does nothing for one that needs none. */
  async during<T>(
    record: MachineRecord,
    report: Report,
    signal: AbortSignal,
    boot: () => Promise<T>,
  ): Promise<T> {
    if (!usesExports(record)) return await boot()
    const say = sayTo(report)
    await runPhase(PHASE, report, signal, (limit) => this.put(record.shares ?? [], say, limit))
    try {
      return await boot()
    } catch (error) {
      await this.takeBack(say)
      throw error
    }
  }

  /** As `put`, for fewer than before: what cannot be taken back is the next start's to take. Never rejects. */
  async keepOnly(rules: readonly ShareRule[], say: Say): Promise<void> {
    await this.put(rules, say, AbortSignal.timeout(TAKE_BACK_MS)).catch((error: unknown) => this.#left(error))
  }

  /** Takes back all of it. Never rejects. */
  async takeBack(say: Say = silently): Promise<void> {
    const { home, name } = this.#options
    const asRoot = this.#asRoot(say, AbortSignal.timeout(TAKE_BACK_MS))
    await this.#inTurn(() => takeBackAsRoot([exportName(home, name)], asRoot)).catch((error: unknown) =>
      this.#left(error),
    )
  }

  /** One after the other: what is taken back late must not be what was put in place meanwhile. */
  async #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#changing.then(change)
    this.#changing = turn.catch(() => undefined)
    return await turn
  }

  /** The command tells, which tries again where it has a terminal. */
  #left(error: unknown): void {
    const { message } = SidecarError.of(error)
    this.#options.log.info("exports left", { reason: message })
  }

  async #appeared(signal: AbortSignal): Promise<void> {
    const limit = AbortSignal.timeout(APPEAR_MS)
    for (;;) {
      try {
        await findServer(this.#system(), signal, this.#options.host?.server)
        return
      } catch (error) {
        if (this.#system().platform !== "macos" || limit.aborted) throw error
        await sleep(RETRY_MS, signal)
      }
    }
  }

  #system(): ExportsSystem {
    const { host } = this.#options
    return host?.system ?? thisSystem(host?.etc)
  }

  #asRoot(say: Say, signal: AbortSignal): AsRoot {
    const { programs, host } = this.#options
    const { server: _server, ...where } = host ?? {}
    return { program: [process.execPath, ...programs.exports], say, interactive: false, signal, ...where }
  }
}

/** Takes back what is exported to machines of this home that do not run any more: a crash has left it. Never rejects. */
export async function takeBackGone(
  options: Omit<MachineExportsOptions, "name">,
  isOver: (machine: string) => Promise<boolean>,
): Promise<void> {
  const { home, log, host } = options
  try {
    for (const name of await exportedMachines(host?.system ?? thisSystem(host?.etc))) {
      const machine = machineOfExport(home, name)
      if (machine === undefined || !(await isOver(machine))) continue
      log.info("exports of a machine that is gone", { machine })
      await new MachineExports({ ...options, name: machine }).takeBack()
    }
  } catch (error) {
    // A file of others that cannot be read is told to whoever exports next.
    log.info("exports not looked at", { reason: String(error) })
  }
}

/** Each line of what is said of exports is a remark for whoever waits. */
export function sayTo(report: Report): Say {
  return (lines) => {
    for (const text of lines) report({ type: "note", text })
  }
}

/** A directory may be at several places of the machine, which are told apart there. */
function directoriesOf(rules: readonly ShareRule[]): ExportRequest["directories"] {
  const paths = [...new Set(rules.map(({ path }) => path))]
  return paths.map((path) => ({
    path,
    readOnly: rules.every((rule) => rule.path !== path || rule.readOnly),
  }))
}

/** The kernel's server shows all that is in a directory. */
function checkHidden(rules: readonly ShareRule[], hidden: readonly string[]): void {
  for (const { path } of rules) {
    const inside = hidden.find((own) => isWithin(own, path))
    if (inside === undefined) continue
    throw new SidecarError(
      "bad-options",
      `Cannot export "${path}": "${inside}" is in it, with Skep's machines and their keys, and the kernel's server can hide nothing`,
      {
        next: "Share what is needed of it (--no-home-share --share DIRECTORY), or say --share-protocol nfs, whose server hides that",
      },
    )
  }
}
