/**
 * The shares of one machine, whether it runs or not: what the record says, and what becomes of a wish to change that.
 *
 *     wish ── rule (share-rules.ts) ── running? ── yes ──> its sidecar, then the record
 *                                          └────── no ───> the record
 *
 * @module
 */
import { realpath } from "node:fs/promises"
import { homedir } from "node:os"
import {
  type Log,
  type ShareRule,
  type ShareState,
  type SharesStatus,
  SidecarError,
  type SidecarEvent,
} from "@skep/contract"
import { orAborted } from "@skep/runtime"
import type { TakenOwners } from "@skep/shares/client"
import type { ExportRequest } from "@skep/shares/exports"
import { type Found, type Places, placeOf } from "../docker/mounts/places.ts"
import { hiddenDirectories } from "../home/hidden.ts"
import type { Home, MachinePaths } from "../home/paths.ts"
import { readSettings } from "../home/settings.ts"
import type { Changes, MachineRecord } from "../machine/record.ts"
import type { SharesProvider } from "../machine/schema.ts"
import { HOME_SHARE, ruleNamed, ruleOf, type ShareWish, sameRule, withRule } from "../machine/share-rules.ts"
import { type ExportsWish, type MachineExports, type Say, sayTo } from "./exports/machine-exports.ts"
import type { Report } from "./operation.ts"
import { type OwnersSource, ownersOf } from "./share-owners.ts"
import type { MachineShares } from "./vm/shares/machine-shares.ts"
import { usesExports } from "./vm/shares/over.ts"

/** A container may want what the guest is about to have. */
const MOUNT_MS = 15_000

export interface SharesView {
  readonly provider: SharesProvider
  /** How they get into the machine and why so, while it runs. */
  readonly protocol?: string
  readonly reason?: string
  readonly shares: readonly SharedDirectory[]
}

export interface SharedDirectory extends ShareRule {
  /** "stopped" with its machine; "unserved" where the machine has no shares in this run. */
  readonly state: ShareState["state"] | "stopped" | "unserved"
  readonly reason?: string
}

/** What it has to know of its machine. */
export interface SharesOwner {
  readonly name: string
  readonly home: Home
  readonly paths: MachinePaths
  readonly log: Log
  readonly emit: (event: SidecarEvent) => void
  /** Throws what is wrong with the machine. */
  readonly record: () => MachineRecord
  /** Writes the record with these. */
  readonly keep: (shares: readonly ShareRule[]) => Promise<void>
  /** Resolves when no start or stop is under way. */
  readonly settled: () => Promise<void>
  /** What the host's kernel exports to it. */
  readonly exports: Pick<MachineExports, "put" | "keepOnly" | "request">
  /** What serves them, while it runs; "none" where it runs without. */
  readonly running: () => MachineShares | "none" | undefined
  /** Whether the device is lost by which it has them, until it starts anew: whoever asks for them in the machine waits for ever. */
  readonly lost: () => Promise<boolean>
}

const LOST = "the shared directories were lost with the machine's keeper"

export class SharesOfMachine {
  readonly #owner: SharesOwner
  #changing: Promise<unknown> = Promise.resolve()

  constructor(owner: SharesOwner) {
    this.#owner = owner
  }

  /** What a machine is to have: what it has, or what the settings say, with these changes. Throws what cannot be shared. */
  async wanted(has: readonly ShareRule[] | undefined, changes: Changes): Promise<readonly ShareRule[]> {
    let rules = has ?? (await this.#defaults())
    const own = await this.#hidden()
    if (changes.homeShare !== undefined) {
      const user = await realpath(homedir()).catch(() => homedir())
      rules = rules.filter(({ path }) => path !== user)
      if (changes.homeShare) rules = withRule(rules, await ruleOf(HOME_SHARE, own))
    }
    for (const wish of changes.share ?? []) rules = withRule(rules, await ruleOf(wish, own))
    return rules
  }

  async add(wish: ShareWish, signal: AbortSignal): Promise<SharedDirectory> {
    const rule = await ruleOf(wish, await this.#hidden())
    await this.#change((rules) => withRule(rules, rule), signal)
    this.#owner.emit({ type: "share-added", path: rule.path, target: rule.target })
    return (
      (await this.view()).shares.find(({ target }) => target === rule.target) ?? { ...rule, state: "stopped" }
    )
  }

  /** `named`: its target, or its directory on the host. Returns what was removed. */
  async remove(named: string, signal: AbortSignal): Promise<ShareRule> {
    let rule: ShareRule | undefined
    await this.#change((rules) => {
      const found = ruleNamed(rules, named)
      rule = found
      return rules.filter((other) => other !== found)
    }, signal)
    if (rule === undefined) throw new Error("a change without its rule")
    this.#owner.emit({ type: "share-removed", path: rule.path, target: rule.target })
    return rule
  }

  /** What the host's kernel would have to export to it; undefined for a machine that has its shares by other means, or is not about to run. */
  async exportsFor(
    record: MachineRecord,
    { restarts, changes, share }: ExportsWish,
    signal: AbortSignal,
  ): Promise<ExportRequest | undefined> {
    const { exports, running } = this.#owner
    const serving = restarts === true ? undefined : running()
    const isTo =
      serving === undefined
        ? changes !== undefined && usesExports(record)
        : serving !== "none" && this.#areExported(await serving.status())
    if (!isTo) return undefined
    const before = serving === undefined ? [] : (this.#owner.record().shares ?? [])
    const { shares = [] } = record
    const rules = share === undefined ? shares : withRule(shares, await ruleOf(share, await this.#hidden()))
    return await exports.request([...before, ...rules], signal)
  }

  /** Gives the machine that runs what its record says by now; notes where it has that at its next start only. */
  async apply({ shares = [] }: MachineRecord, report: Report, signal: AbortSignal): Promise<void> {
    const later = await this.#serve(shares, signal, sayTo(report))
    if (later !== undefined) report({ type: "note", text: later })
  }

  async view(): Promise<SharesView> {
    const { record } = this.#owner
    const { shares: rules = [], sharesProvider: provider = "skep" } = record()
    const running = this.#owner.running()
    if (running === undefined || running === "none") {
      const state = running === undefined ? "stopped" : "unserved"
      return { provider, shares: rules.map((rule) => ({ ...rule, state })) }
    }
    const status = await running.status()
    const lost = await this.#areLost(status?.protocol)
    const shares = rules.map((rule): SharedDirectory => {
      if (lost) return { ...rule, state: "failed", reason: `${LOST}: ${this.#lostNext()}` }
      const known = status?.shares.find(({ target }) => target === rule.target)
      if (known === undefined) return { ...rule, state: status === undefined ? "waiting" : "unserved" }
      const { state, reason } = known
      return { ...rule, state, ...(reason === undefined ? {} : { reason }) }
    })
    if (status === undefined) return { provider: running.provider, shares }
    return { provider: running.provider, protocol: status.protocol, reason: status.reason, shares }
  }

  /** What the machine has said of owners in a share, as lines of JSON. `named`: its target, or its directory on the host. */
  async exportOwners(named: string, signal: AbortSignal): Promise<AsyncIterable<string>> {
    const { owners, target } = await ownersOf(this.#ownersSource(), named, "export the owners of", signal)
    return await owners.export(target, signal)
  }

  /** Takes such lines, and tells what became of them. */
  async importOwners(named: string, lines: readonly string[], signal: AbortSignal): Promise<TakenOwners> {
    const { owners, target } = await ownersOf(this.#ownersSource(), named, "import owners into", signal)
    return await owners.import(target, lines, signal)
  }

  #ownersSource(): OwnersSource {
    const { name, record, running } = this.#owner
    return { name, rules: record().shares ?? [], running: running() }
  }

  /** Where in the machine a path of the host is that a container wants. Throws a sentence for the user of docker. */
  async findMount(path: string): Promise<string> {
    const found = await placeOf(path, await this.#places())
    if (found.share !== undefined) await this.#inPlace(path, found.share)
    return found.path
  }

  async #places(): Promise<Places> {
    const { name, home, paths, record } = this.#owner
    return {
      machine: name,
      shares: record().shares ?? [],
      dockerSockets: [paths.dockerSocket, home.dockerSocket],
      hidden: await this.#hidden(),
    }
  }

  /** Waits for a share that the guest is about to have, and throws where it does not have it. */
  async #inPlace(path: string, { target }: NonNullable<Found["share"]>): Promise<void> {
    const { name, running } = this.#owner
    const serving = running()
    if (serving === undefined) return // it is ending, as the engine will say
    if (serving !== "none" && (await this.#areLost((await serving.status())?.protocol)))
      throw new SidecarError("not-running", `Cannot mount "${path}": ${LOST}`, { next: this.#lostNext() })
    const [known, reason] = serving === "none" ? [undefined, undefined] : await inPlace(serving, target)
    if (known === "mounted") return
    const why =
      reason ?? (known === "gone" ? "its directory is gone" : "this run of the machine has no such share")
    throw new SidecarError(
      "not-running",
      `Cannot mount "${path}": the share "${target}" is not in the machine "${name}": ${why}`,
      {
        next:
          known === "gone"
            ? "Make the directory again, or see skep share ls"
            : `See skep share ls and skep logs ${name} --source shares, or start the machine anew with skep restart ${name}`,
      },
    )
  }

  async #areLost(protocol: SharesStatus["protocol"] | undefined): Promise<boolean> {
    return protocol === "virtiofs" && (await this.#owner.lost())
  }

  #lostNext(): string {
    return `skep restart ${this.#owner.name} brings them back`
  }

  /** One at a time, and beside no start: that has read the record. */
  async #change(
    change: (rules: readonly ShareRule[]) => readonly ShareRule[],
    signal: AbortSignal,
  ): Promise<void> {
    const changing = this.#changing.then(async () => {
      await orAborted(this.#owner.settled(), signal)
      const { record, keep } = this.#owner
      const rules = change(record().shares ?? (await this.#defaults()))
      await this.#serve(rules, signal)
      await keep(rules)
    })
    this.#changing = changing.catch(() => undefined)
    await changing
  }

  async #serve(
    rules: readonly ShareRule[],
    signal: AbortSignal,
    say: Say = () => undefined,
  ): Promise<string | undefined> {
    const { name, running, record } = this.#owner
    const serving = running()
    if (serving === undefined) return undefined
    const status = serving === "none" ? undefined : await serving.status()
    // A guest that is asked for what is lost waits for ever.
    if (serving !== "none" && serving.isLive && !(await this.#areLost(status?.protocol))) {
      if (this.#areExported(status)) await this.#changeExported(serving, rules, say, signal)
      else await serving.change(rules, signal)
      return undefined
    }
    const has = status?.shares ?? []
    const isSame =
      rules.length === has.length && rules.every((rule) => has.some((one) => sameRule(one, rule)))
    // Whoever wants none wants to hear nothing of them.
    return isSame || record().sharesProvider === "none"
      ? undefined
      : `shares: take effect with skep restart ${name}`
  }

  /** What comes is exported before the guest mounts it, what goes is not until the guest has let go of it. */
  async #changeExported(
    serving: MachineShares,
    rules: readonly ShareRule[],
    say: Say,
    signal: AbortSignal,
  ): Promise<void> {
    const { exports, record } = this.#owner
    const before = record().shares ?? []
    await exports.put([...before, ...rules], say, signal)
    try {
      await serving.change(rules, signal)
    } catch (error) {
      await exports.keepOnly(before, say)
      throw error
    }
    await exports.keepOnly(rules, say)
  }

  /** By what it has its shares in this run: the record may say something else for its next one. */
  #areExported(status: SharesStatus | undefined): boolean {
    return status === undefined ? usesExports(this.#owner.record()) : status.protocol === "exports"
  }

  /** A directory of the settings that is not there keeps no machine from its start. */
  async #defaults(): Promise<readonly ShareRule[]> {
    const { home, log } = this.#owner
    const own = await this.#hidden()
    let rules: readonly ShareRule[] = []
    for (const wish of (await readSettings(home.settingsFile)).shares) {
      try {
        rules = withRule(rules, await ruleOf(wish, own))
      } catch (error) {
        if (!(error instanceof SidecarError)) throw error
        log.info("not shared", { path: wish.path, reason: error.message })
      }
    }
    return rules
  }

  async #hidden(): Promise<readonly string[]> {
    return await hiddenDirectories(this.#owner.home)
  }
}

async function inPlace(
  serving: MachineShares,
  target: string,
): Promise<readonly [ShareState["state"] | undefined, string | undefined]> {
  const find = (shares: readonly ShareState[] | undefined): ShareState | undefined =>
    shares?.find((share) => share.target === target)
  let known = find((await serving.status())?.shares)
  if (known === undefined || known.state === "waiting") {
    const settled = await serving.settled(AbortSignal.timeout(MOUNT_MS)).catch(() => undefined)
    known = find(settled?.shares) ?? known
  }
  return [known?.state, known?.reason]
}
