/**
 * The shares of a machine while they are served, seen from the main thread: verbs, one after the other, and what the guest is told of them.
 *
 * @module
 */
import {
  type Context,
  type ErrorCode,
  type Share,
  type ShareRule,
  type ShareState,
  SidecarError,
} from "@skep/contract"
import type { ArgumentOf, LoopThread, ResultOf } from "@skep/loop"
import { type Cleanup, notRunning, parseShareRule, sameShare } from "@skep/runtime"
import { firstOf } from "./guest-side.ts"
import { type OpenedGuest, openGuest } from "./guest-way.ts"
import { ownSockets, type SharesOptions } from "./options.ts"
import { runningOwners } from "./owners/running-owners.ts"
import type { ShareOwners } from "./owners/verbs.ts"
import { checkDirectory, checkTarget } from "./rules/check.ts"
import type { ServedShare } from "./serving/served-shares.ts"
import type { SkepShares, SkepSharesStatus } from "./status.ts"
import type { ThreadCalls, ThreadNotice } from "./thread/calls.ts"

const NAME = "shares"

/** A rule of the start that cannot be served. */
export interface Refused {
  readonly rule: ShareRule
  readonly reason: string
}

export interface RunningParts {
  readonly options: SharesOptions
  readonly thread: LoopThread<ThreadCalls>
  readonly context: Context
  readonly refused: readonly Refused[]
}

export class RunningShares implements SkepShares {
  readonly closed: Promise<void>
  readonly endpoints: readonly string[]
  readonly owners: ShareOwners = runningOwners((name, argument, doing) => this.#call(name, argument, doing))
  readonly #parts: RunningParts
  #guest: OpenedGuest | undefined
  #changing: Promise<unknown> = Promise.resolve()
  #refused: readonly Refused[]
  #over = false
  #stopping: Promise<void> | undefined
  #owned: Cleanup | undefined

  constructor(parts: RunningParts) {
    this.#parts = parts
    this.#refused = parts.refused
    this.endpoints = ownSockets(parts.options)
    this.closed = parts.thread.closed.then(
      () => this[Symbol.asyncDispose](),
      async (error: unknown) => {
        await this[Symbol.asyncDispose]()
        throw new SidecarError("crashed", `The share manager crashed: ${String(error)}`, { cause: error })
      },
    )
    this.closed.catch(() => undefined) // whoever awaits it gets the reason; nobody has to
  }

  /** What goes with it, from the end of a successful start on. */
  own(owned: Cleanup): void {
    this.#owned = owned
  }

  /** Looks for the guest, and tells it of all that there is. */
  async begin(): Promise<void> {
    const { options, context } = this.#parts
    const { shares, nfs } = await this.#call("status", undefined)
    this.#guest = openGuest({
      options,
      context,
      nfs,
      onGuest: (state) => this.#send("guest", state),
      onEchoed: (results) => this.#send("echoed", results),
    })
    for (const share of shares) void this.#guest?.side.put(share)
  }

  /** What the thread tells of the guest. */
  hear(notice: ThreadNotice): void {
    if (notice.type === "echo") this.#guest?.echo(notice.lines)
    else if (notice.type === "connected") this.#guest?.nudge()
  }

  async status(): Promise<SkepSharesStatus> {
    const { options } = this.#parts
    const { connected, shares, counters, nfs } = await this.#call("status", undefined)
    const choice = this.#guest?.side.choice ?? firstOf([])
    return {
      machine: options.machine,
      ...choice,
      guestReady: this.#guest?.side.ready ?? false,
      connected,
      tag: options.tag,
      ...(nfs === undefined ? {} : { nfs }),
      shares: [
        ...shares.map((share) => this.#state(share, choice.protocol)),
        ...this.#failed(choice.protocol),
      ],
      counters: { ...counters, ...this.#guest?.side.counters },
    }
  }

  async share(wanted: ShareRule): Promise<Share> {
    const rule = parseShareRule(wanted)
    await this.#inTurn(() => this.#share(rule))
    let removed: Promise<void> | undefined
    return {
      rule,
      [Symbol.asyncDispose]: async () => {
        removed ??= this.#inTurn(() => this.#unshare(rule))
        await removed
      },
    }
  }

  async unshare(target: string): Promise<void> {
    await this.#inTurn(async () => {
      const { shares } = await this.#call("status", undefined)
      const failed = this.#refused.find(({ rule }) => rule.target === target)
      const share = shares.find(({ rule }) => rule.target === target) ?? failed
      if (share !== undefined) return await this.#unshare(share.rule)
      throw new SidecarError("not-found", `Cannot remove the share at "${target}": there is none`)
    })
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#over = true
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    await this.#guest?.side[Symbol.asyncDispose]()
    await this.#owned?.[Symbol.asyncDispose]()
  }

  async #share(rule: ShareRule): Promise<void> {
    const { options, context } = this.#parts
    const { shares } = await this.#call("status", undefined)
    const before = shares.find((share) => share.rule.target === rule.target)
    const others = shares.flatMap((share) => (share === before ? [] : [share.rule]))
    if (before === undefined || before.gone !== undefined || !sameShare(before.rule, rule)) {
      checkTarget(rule, { others, hidden: options.hidden })
      const directory = checkDirectory(rule, { hidden: options.hidden })
      const share = await this.#call("put", { rule, directory }, `share "${rule.path}"`)
      this.#refused = this.#refused.filter((refused) => refused.rule.target !== rule.target)
      await this.#tell(share, before === undefined)
      context.emit({ type: "share-added", ...rule })
      return
    }
    await this.#tell(before, false)
  }

  /** Resolves when the guest has it, where there is a guest. One that cannot have it, and had not before, is not shared after all. */
  async #tell(share: ServedShare, isNew: boolean): Promise<void> {
    try {
      await this.#guest?.side.put(share)
    } catch (error) {
      if (isNew) await this.#unshare(share.rule)
      throw error
    }
  }

  async #unshare({ target, path }: ShareRule): Promise<void> {
    const { context } = this.#parts
    this.#refused = this.#refused.filter(({ rule }) => rule.target !== target)
    if (this.#over) return
    // The guest first: programs there lose a mount, and not the files under their feet.
    await this.#guest?.side.remove(target)
    if (await this.#call("remove", target)) context.emit({ type: "share-removed", target, path })
  }

  #state({ number, rule, gone }: ServedShare, protocol: ShareState["protocol"]): ShareState {
    if (gone !== undefined) return { ...rule, protocol, state: "gone", reason: gone }
    const failure = this.#guest?.side.failureOf(number)
    if (failure !== undefined) return { ...rule, protocol, state: "failed", reason: failure }
    return { ...rule, protocol, state: this.#guest?.side.has(number) === true ? "mounted" : "waiting" }
  }

  #failed(protocol: ShareState["protocol"]): readonly ShareState[] {
    return this.#refused.map(({ rule, reason }) => ({ ...rule, protocol, state: "failed", reason }))
  }

  /** One change after the other. */
  async #inTurn<T>(change: () => Promise<T>): Promise<T> {
    const turn = this.#changing.then(change)
    this.#changing = turn.catch(() => undefined)
    return await turn
  }

  /** For what nobody waits for: the thread is gone when this fails. */
  #send<Name extends keyof ThreadCalls>(name: Name, argument: ArgumentOf<ThreadCalls, Name>): void {
    void this.#parts.thread.call(name, argument).catch(() => undefined)
  }

  async #call<Name extends keyof ThreadCalls>(
    name: Name,
    argument: ArgumentOf<ThreadCalls, Name>,
    doing = "ask for the shares",
  ): Promise<ResultOf<ThreadCalls, Name>> {
    if (this.#over) throw notRunning(NAME)
    try {
      return await this.#parts.thread.call(name, argument)
    } catch (error) {
      throw refusalOf(error, doing)
    }
  }
}

/** The thread's refusals as the contract has them. */
function refusalOf(error: unknown, doing: string): SidecarError {
  if (error instanceof SidecarError) return error
  const code = error instanceof Error && "code" in error ? String(error.code) : ""
  const text = error instanceof Error ? error.message : String(error)
  return new SidecarError(
    CODES[code] ?? "internal",
    text.startsWith("Cannot ") ? text : `Cannot ${doing}: ${text}`,
    {
      cause: error,
    },
  )
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  busy: "busy",
  ESTALE: "not-running",
  ENOENT: "not-found",
  ENOTDIR: "bad-options",
  EACCES: "permission-denied",
  EPERM: "permission-denied",
  EMFILE: "busy",
  ENFILE: "busy",
  stopped: "not-running",
  timeout: "timeout",
}
