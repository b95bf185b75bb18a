/**
 * The shares of a machine that runs: the sidecar that serves them, found or started, and started again when it is gone; and what is asked of it when
 * shares come and go.
 *
 * The record says which shares there are. A sidecar that was found may have others, from before the backend died: it is told.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs"
import { type ShareRule, type SharesStatus, SidecarError } from "@skep/contract"
import { orAborted, privateDirectory, Supervisor, sleep, withDeadline } from "@skep/runtime"
import type { ShareOwners } from "@skep/shares/client"
import type { MachinePaths } from "../../../home/paths.ts"
import { sameRule } from "../../../machine/share-rules.ts"
import type { Report } from "../../operation.ts"
import { reasonOf } from "../../problem.ts"
import type { Served, SharesProgram, SharesSidecar } from "./program.ts"

/** Whoever asks for the machine's status waits for it. */
const STATUS_MS = 3000
/** A guest that was told of a share has it in much less, or says why not. */
const CHANGE_MS = 30_000
const RETRY_MS = 100

/** Disposing it ends the sidecar: the machine is over. */
export class MachineShares implements AsyncDisposable {
  readonly provider: SharesProgram["provider"]
  readonly isLive: boolean
  readonly #context: Served
  readonly #program: SharesProgram
  readonly #sidecar: Supervisor<SharesSidecar>
  #rules: readonly ShareRule[]
  #changing: Promise<unknown> = Promise.resolve()
  #over = false

  /** Begins at once; `ready` says how that went. */
  constructor(context: Served, program: SharesProgram) {
    const { log, record } = context
    // Each change of a file is for those who ask its sidecar for them.
    const emit: Served["emit"] = (event) => {
      if (event.type !== "file-event") context.emit(event)
    }
    this.provider = program.provider
    this.isLive = program.isLive
    this.#context = { ...context, emit }
    this.#program = program
    this.#rules = record.shares ?? []
    this.#sidecar = new Supervisor({
      name: "shares",
      log,
      open: async (signal) => (await this.#found(signal)) ?? (await this.#started(signal)),
      onDown: (reason) => emit({ type: "sidecar-lost", sidecar: "shares", reason: reasonOf(reason) }),
      onUp: ({ identity }) => emit({ type: "sidecar-up", sidecar: "shares", pid: identity.pid }),
    })
  }

  /** Waits for the sidecar. Where there can be none, it says so and resolves to undefined: the machine goes without. */
  async ready(report: Report): Promise<MachineShares | undefined> {
    try {
      await this.#sidecar.ready
      return this
    } catch (error) {
      // One that was ended from here says nothing of the machine: its start was interrupted.
      if (this.#over || !(error instanceof SidecarError)) throw error
      await this[Symbol.asyncDispose]()
      const next = error.next === undefined ? "" : `. ${error.next}`
      report({ type: "note", text: `this machine gets no shared directories: ${error.message}${next}` })
      return undefined
    }
  }

  /** What the sidecar says; undefined where it does not answer. Never rejects. */
  async status(): Promise<SharesStatus | undefined> {
    const { running } = this.#sidecar
    if (running === undefined) return undefined
    return await withDeadline("ask for the shares", STATUS_MS, neverAborts, () => running.status()).catch(
      () => undefined,
    )
  }

  /** Makes them the machine's shares. Resolves when all are in place; on a failure those from before are, and it throws why. */
  async change(rules: readonly ShareRule[], signal: AbortSignal): Promise<void> {
    const change = this.#changing.then(() =>
      withDeadline("change the shares of the machine", CHANGE_MS, signal, async (limit) => {
        const before = this.#rules
        const running = this.#sidecar.running ?? (await this.#sidecar.ready)
        limit.throwIfAborted()
        this.#rules = rules
        try {
          await make(running, before, rules)
        } catch (error) {
          this.#rules = before
          await make(running, rules, before).catch((again: unknown) =>
            this.#context.log.info("shares not restored", { reason: String(again) }),
          )
          throw error
        }
      }),
    )
    this.#changing = change.catch(() => undefined)
    await change
  }

  /** Resolves with the sidecar's word once the guest has every share, or a reason why not. Rejects with the signal's reason. */
  async settled(signal: AbortSignal): Promise<SharesStatus> {
    for (;;) {
      const status = await this.status()
      if (status !== undefined && isSettled(status)) return status
      await sleep(RETRY_MS, signal)
    }
  }

  /** What the sidecar keeps of owners; undefined where it keeps nothing. Waits for one that is about to be there. */
  async owners(signal: AbortSignal): Promise<ShareOwners | undefined> {
    const sidecar =
      this.#sidecar.running ??
      (await withDeadline("ask for the shares", STATUS_MS, signal, (limit) =>
        orAborted(this.#sidecar.ready, limit),
      ))
    return sidecar.owners
  }

  /** Lets go of it: the sidecar stays with the machine. */
  release(): void {
    this.#sidecar.release()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true
    await this.#sidecar[Symbol.asyncDispose]()
  }

  async #found(signal: AbortSignal): Promise<SharesSidecar | undefined> {
    const { paths, emit } = this.#context
    try {
      const sidecar = await this.#program.adopt({ control: controlOf(paths), signal, emit })
      if (this.isLive) await make(sidecar, (await sidecar.status()).shares, this.#rules)
      return sidecar
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof SidecarError && error.code === "unreachable") return undefined
      throw error
    }
  }

  async #started(signal: AbortSignal): Promise<SharesSidecar> {
    const { paths, log, emit } = this.#context
    await privateDirectory(paths.run)
    const stderr = openSync(paths.sharesLog, "a", 0o600)
    try {
      return await this.#program.start(this.#context, this.#rules, stderr, { signal, log, emit })
    } finally {
      closeSync(stderr)
    }
  }
}

/** From one set of rules to another: first what goes, since a target may get another directory. */
async function make(
  running: SharesSidecar,
  before: readonly ShareRule[],
  after: readonly ShareRule[],
): Promise<void> {
  for (const rule of before)
    if (!after.some((kept) => sameRule(kept, rule))) await running.unshare(rule.target)
  for (const rule of after) if (!before.some((there) => sameRule(there, rule))) await running.share(rule)
}

/** Beside the vhost-user socket: of all programs. */
export function controlOf({ sharesSocket }: Pick<MachinePaths, "sharesSocket">): string {
  return `${sharesSocket}.control`
}

function isSettled({ guestReady, shares }: SharesStatus): boolean {
  return guestReady && shares.every(({ state }) => state !== "waiting")
}

const neverAborts = new AbortController().signal
