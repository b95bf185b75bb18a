/**
 * virtiofsd in the shares role: the directories of one machine, served by a program of QEMU's authors.
 *
 * Theory of operation. One virtiofsd serves one directory and one hypervisor, and ends with it. So all shares are bind-mounted below a directory of a mount
 * namespace of its own (command-line.ts), which looks to the guest as Skep's own tree of shares does: the same mount, the same numbers. When it ends
 * because its hypervisor went, another one listens on the same socket.
 *
 * Limits, declared as gaps in the contract suite: the shares are those of the start, as a mount that is made later does not reach into the namespace; it needs
 * root, as it takes on the guest's users; owners are the host's own; what the guest knows of files is lost with the process, so a machine whose
 * virtiofsd was killed has to be started again; changes of the host are no events in the machine.
 *
 * @module
 */

import { dirname } from "node:path"
import {
  type Context,
  type Share,
  type ShareRule,
  type ShareState,
  type SharesRunning,
  type SharesStatus,
  type Sidecar,
  SidecarError,
} from "@skep/contract"
import { Cleanup, notRunning, parseShareRule, privateDirectory, sameShare, type Unshare } from "@skep/runtime"
import { endForgotten } from "../host-side/forgotten.ts"
import { lockSocket } from "../host-side/socket-lock.ts"
import type { Staged } from "./command-line.ts"
import { parseVirtiofsdOptions, type VirtiofsdOptions } from "./options.ts"
import { findVirtiofsd, recordOf, startVirtiofsd, type VirtiofsdProgram } from "./program.ts"
import { stagedOf } from "./staged.ts"

const NAME = "virtiofsd"
const ROOT_USER = 0

/** The guest's part of the shares, as the share manager has it. */
export interface GuestDoor extends AsyncDisposable {
  readonly ready: boolean
  readonly counters: Readonly<Record<string, number>>
  put(share: { readonly number: number; readonly rule: ShareRule }): Promise<void>
  has(number: number): boolean
  failureOf(number: number): string | undefined
}

/** Undefined where the options name no way to the guest. */
export type OpenGuestDoor = (options: VirtiofsdOptions, context: Context) => GuestDoor | undefined

export type VirtiofsdRunning = SharesRunning & Unshare
export type VirtiofsdSidecar = Sidecar<VirtiofsdOptions, SharesStatus, VirtiofsdRunning>

/** `openGuest`: who mounts in the guest. Without it the guest does so by itself. */
export function virtiofsdWith(openGuest: OpenGuestDoor = () => undefined): VirtiofsdSidecar {
  return {
    name: NAME,
    parseOptions: parseVirtiofsdOptions,
    start: (options, context) => start(openGuest, options, context),
  }
}

/** Codes: "host-program-missing", "permission-denied" (not root), "address-in-use", "crashed", and those of directories that cannot be shared. */
async function start(
  openGuest: OpenGuestDoor,
  options: VirtiofsdOptions,
  context: Context,
): Promise<VirtiofsdRunning> {
  const { signal } = context
  signal.throwIfAborted()
  if (process.getuid?.() !== ROOT_USER)
    throw new SidecarError(
      "permission-denied",
      "Cannot start virtiofsd: it takes root, as it acts as the machine's users",
      {
        next: 'Run skep as root, or use Skep\'s own share manager (sharesProvider "skep")',
      },
    )
  await using cleanup = new Cleanup()
  await privateDirectory(dirname(options.socket))
  const lock = await lockSocket(options.socket, signal)
  cleanup.defer(() => lock[Symbol.dispose]())
  await endForgotten(recordOf(options.socket))
  const staged = stagedOf(options)
  const running = new Virtiofsd(options, context, staged)
  await running.open(signal)
  cleanup.use(running)
  running.meet(openGuest(options, context))
  cleanup.move()
  running.owns(lock)
  return running
}

class Virtiofsd implements VirtiofsdRunning {
  readonly endpoints: readonly string[]
  readonly closed: Promise<void>
  readonly #options: VirtiofsdOptions
  readonly #context: Context
  readonly #staged: readonly Staged[]
  readonly #counters = { starts: 0 }
  #end: { resolve: () => void; reject: (error: unknown) => void } | undefined
  #program: VirtiofsdProgram | undefined
  #guest: GuestDoor | undefined
  /** Why the guest's mount is of no use any more. */
  #lost: string | undefined
  #lonely: NodeJS.Timeout | undefined
  #stopping: Promise<void> | undefined
  #owned: Disposable | undefined
  readonly #over = new AbortController()
  #starting: Promise<void> = Promise.resolve()

  constructor(options: VirtiofsdOptions, context: Context, staged: readonly Staged[]) {
    this.#options = options
    this.#context = context
    this.#staged = staged
    this.endpoints = [options.socket]
    this.closed = new Promise((resolve, reject) => {
      this.#end = { resolve, reject }
    })
    this.closed.catch(() => undefined) // whoever awaits it gets the reason; nobody has to
  }

  async open(signal: AbortSignal): Promise<void> {
    const { socket, program, xattrs } = this.#options
    const { log, emit } = this.#context
    const started = await startVirtiofsd({
      program: await findVirtiofsd(program),
      socket,
      shares: this.#staged,
      xattrs,
      signal,
      onLine: (line) => log.debug(NAME, { line }),
    })
    this.#program = started
    this.#counters.starts++
    this.#watchCompany(started)
    void started.exited.then((words) => {
      if (this.#program !== started || this.#stopping !== undefined) return
      if (!started.joined()) return this.#died(words)
      this.#lost = LOST
      emit({ type: "disconnected", reason: words.at(-1) ?? "it ended" })
      this.#starting = this.#startAgain(started)
    })
  }

  /** The guest is told of all shares as soon as it is there. */
  meet(guest: GuestDoor | undefined): void {
    this.#guest = guest
    for (const { number, rule } of this.#staged) void guest?.put({ number, rule }).catch(() => undefined)
  }

  /** Let go of at the end. */
  owns(lock: Disposable): void {
    this.#owned = lock
  }

  async status(): Promise<SharesStatus> {
    this.#mustRun()
    return {
      protocol: "virtiofs",
      reason: "virtiofsd was asked for",
      guestReady: this.#guest?.ready ?? false,
      shares: this.#staged.map((share) => this.#stateOf(share)),
      counters: { ...this.#counters, ...this.#guest?.counters },
    }
  }

  async share(wanted: ShareRule): Promise<Share> {
    this.#mustRun()
    const rule = parseShareRule(wanted)
    const there = this.#staged.find((share) => sameShare(share.rule, rule))
    if (there === undefined) throw unsupported(`share "${rule.path}" with`)
    await this.#guest?.put(there)
    return { rule, [Symbol.asyncDispose]: () => this.unshare(rule.target) }
  }

  async unshare(target: string): Promise<void> {
    this.#mustRun()
    if (this.#staged.some(({ rule }) => rule.target === target)) throw unsupported(`take "${target}" from`)
    throw new SidecarError("not-found", `Cannot remove the share at "${target}": there is none`)
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  #stateOf({ number, rule }: Staged): ShareState {
    const state = { ...rule, protocol: "virtiofs" } as const
    const reason = this.#lost ?? this.#guest?.failureOf(number)
    if (reason !== undefined) return { ...state, state: "failed", reason }
    return { ...state, state: this.#guest?.has(number) === true ? "mounted" : "waiting" }
  }

  async #startAgain(last: VirtiofsdProgram): Promise<void> {
    try {
      await last[Symbol.asyncDispose]()
      await this.open(this.#over.signal)
    } catch (error) {
      if (!this.#over.signal.aborted) this.#died([error instanceof Error ? error.message : String(error)])
    }
  }

  /** Ends with its machine: nobody has come, or nobody has come again. */
  #watchCompany(program: VirtiofsdProgram): void {
    const { lonelyMs } = this.#options
    clearTimeout(this.#lonely)
    if (lonelyMs === 0) return
    this.#lonely = setTimeout(() => {
      if (program.joined() || this.#stopping !== undefined) return
      this.#context.log.info("lonely", { lonelyMs })
      void this[Symbol.asyncDispose]()
    }, lonelyMs)
  }

  #died(words: readonly string[]): void {
    const reason = words.at(-1) ?? "its process ended without a word"
    this.#stopping ??= this.#release()
    this.#end?.reject(new SidecarError("crashed", `virtiofsd is gone: ${reason}`, { detail: words }))
  }

  async #stop(): Promise<void> {
    this.#over.abort()
    await this.#starting
    await this.#release()
    this.#end?.resolve()
  }

  async #release(): Promise<void> {
    clearTimeout(this.#lonely)
    await this.#guest?.[Symbol.asyncDispose]()
    await this.#program?.[Symbol.asyncDispose]()
    this.#owned?.[Symbol.dispose]()
  }

  #mustRun(): void {
    if (this.#stopping !== undefined) throw notRunning(NAME)
  }
}

function unsupported(what: string): SidecarError {
  return new SidecarError(
    "unsupported",
    `Cannot ${what} a machine that runs: virtiofsd has the shares of its start`,
    {
      next: 'Start the machine again, or use Skep\'s own share manager (sharesProvider "skep")',
    },
  )
}

const LOST =
  "virtiofsd ended, and another one does not know what the machine has open: start the machine again"
