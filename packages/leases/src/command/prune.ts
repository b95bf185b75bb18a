/**
 * `prune` and `undo`: shows what would change, asks, and has it done, by root only where the file is root's.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8"
import { SidecarError } from "@skep/contract"
import { EXIT } from "@skep/runtime/exit"
import { planUndo, writtenSince } from "../file/backup.ts"
import { type LeaseFormat, mayRewrite, together } from "../format.ts"
import { readLeases, type Survey, type Surveyed } from "../janitor/survey.ts"
import { type Document, type Lease, shown } from "../model.ts"
import { chosenBy, type PruneWish } from "../plan/choose.ts"
import { unifiedDiff } from "../plan/diff.ts"
import { entryOf, type Judged, keyOf, reasonOf } from "../plan/judge.ts"
import { serverNamed } from "../servers/servers.ts"
import { type AsRoot, mayReplace, runAsRoot } from "./as-root.ts"
import { remarks } from "./list.ts"
import {
  type RemoveResult,
  type RemoveStep,
  removeStep,
  type StepContext,
  type UndoResult,
  undoStep,
} from "./steps.ts"
import type { Terminal } from "./terminal.ts"

export interface ChangeOptions {
  readonly dryRun: boolean
  /** Asks nothing. */
  readonly yes: boolean
  /** Every line of the diff, however long it is. */
  readonly fullDiff: boolean
  readonly terminal: Terminal
  readonly context: StepContext
  readonly asRoot: AsRoot
}

const DIFF_LINES = 200

interface Plan extends Surveyed {
  readonly chosen: readonly Judged[]
  /** How it will be done, where the server has its leases in memory. */
  readonly asked: boolean
}

/** All that is needed of a plan to do it. */
interface Order {
  readonly path: string
  readonly asked: boolean
  readonly step: RemoveStep
  readonly document: Document
  /** For JSON. */
  readonly told: Readonly<Record<string, unknown>> | undefined
}

export async function prune(
  look: () => Promise<Survey>,
  wish: PruneWish,
  options: ChangeOptions,
): Promise<void> {
  // A file of a hundred thousand leases is there three times, as it was, as it is and as it will be: what is garbage is collected sooner, which costs time.
  setFlagsFromString("--heap-growing-percent=20")
  const { terminal, context } = options
  const orders = await ordersOf(look, wish, options)
  const count = orders.reduce((sum, { step }) => sum + step.keys.length, 0)
  if (count === 0) return
  if (options.dryRun) {
    if (terminal.json) terminal.value(orders.map(({ told }) => told))
    else terminal.note(`Nothing is changed: without --dry-run ${leasesOf(count)} would be taken away`)
    return
  }
  for (const { path, asked } of orders) if (!asked) sayRoot(path, options)
  if (!options.yes && !(await terminal.confirm(`Take ${leasesOf(count)} away?`, context.signal)))
    throw new SidecarError("aborted", "Stopped: nothing is changed")
  await executeAll(orders, options)
}

/** What is done is said, also where a later file cannot be changed. */
async function executeAll(orders: readonly Order[], options: ChangeOptions): Promise<void> {
  const { terminal } = options
  const done: unknown[] = []
  try {
    for (const order of orders) {
      const result = await execute(order, options)
      if ((result.stays ?? []).length > 0) process.exitCode = EXIT.wrongState
      done.push({ ...order.told, result })
      if (!terminal.json) sayResult(order, result, terminal)
    }
  } finally {
    if (terminal.json && done.length > 0) terminal.value(done)
  }
}

/** Looks, shows what was found, and keeps only what is needed. */
async function ordersOf(
  look: () => Promise<Survey>,
  wish: PruneWish,
  options: ChangeOptions,
): Promise<readonly Order[]> {
  const { terminal, context } = options
  const found = await look()
  const plans = await plansOf(found, wish, context)
  if (plans.length === 0) nothingToDo(found, wish, options)
  if (!terminal.json) for (const plan of plans) showPlan(plan, options)
  return plans.map((plan) => {
    const { document, format, chosen, asked } = plan
    const keys = chosen.map(keyOf)
    return {
      path: document.path,
      asked,
      document,
      step: { path: document.path, format: format.name, keys },
      told: terminal.json ? planJson(plan) : undefined,
    }
  })
}

/** Files with something to be taken away. Throws what is wrong with such a file before anything is changed anywhere. */
async function plansOf({ files }: Survey, wish: PruneWish, context: StepContext): Promise<readonly Plan[]> {
  const plans: Plan[] = []
  for (const each of files) {
    const chosen = chosenBy(each.judged, wish, context.now())
    if (chosen.length === 0) continue
    const server = serverNamed(each.format.name)
    const running = (await server?.isRunning(each.document.path, context.host, context.signal)) === true
    const asked = running && server?.whileRunning === "ask"
    if (!asked) mayRewrite(each.document)
    plans.push({ ...each, chosen, asked })
  }
  return plans
}

function nothingToDo(found: Survey, wish: PruneWish, { terminal, context }: ChangeOptions): void {
  if (terminal.json) {
    terminal.value([])
    return
  }
  remarks(found, context.now(), terminal)
  const stale = found.files.flatMap(({ judged }) => judged).filter(({ kind }) => kind === "stale").length
  const hint =
    stale > 0 && wish.stale !== true
      ? `. ${leasesOf(stale)} of no machine that is known would go with --all-stale`
      : ""
  terminal.note(`There is nothing to take away${hint}`)
}

function showPlan(plan: Plan, options: ChangeOptions): void {
  const { document, chosen, format, asked } = plan
  const { terminal } = options
  for (const judged of chosen.slice(0, DIFF_LINES))
    terminal.note(`${judged.lease.address}  ${judged.kind}: ${reasonOf(judged)}`)
  if (chosen.length > DIFF_LINES) terminal.note(`… and ${chosen.length - DIFF_LINES} more`)
  if (asked) {
    terminal.note(
      `${serverNamed(format.name)?.title} runs: it is asked to release them, and writes ${shown(document.path)} itself`,
    )
    return
  }
  terminal.lines(coloured(diffOf(document, format, chosen), options))
}

function* diffOf(document: Document, format: LeaseFormat, chosen: readonly Judged[]): Generator<string> {
  const leases = together(document, leasesIn(chosen))
  const after = format.remove(document, leases)
  yield* unifiedDiff(
    document.bytes,
    after,
    document.path,
    leases.map(({ source }) => source),
  )
}

function leasesIn(judged: readonly Judged[]): readonly Lease[] {
  return judged.map(({ lease }) => lease)
}

function* coloured(lines: Iterable<string>, { terminal, fullDiff }: ChangeOptions): Generator<string> {
  let count = 0
  for (const line of lines) {
    if (count++ === DIFF_LINES && !fullDiff) {
      yield "… the rest of it is shown with --full-diff"
      return
    }
    const style = line.startsWith("-")
      ? "red"
      : line.startsWith("+")
        ? "green"
        : line.startsWith("@@")
          ? "cyan"
          : undefined
    yield style === undefined ? line : terminal.style(style, line)
  }
}

function sayRoot(path: string, { terminal, asRoot }: ChangeOptions): void {
  if (mayReplace(path)) return
  const more = process.platform === "darwin" ? ", and starting bootpd anew," : ""
  terminal.note(
    `${shown(path)} is root's: replacing it${more} is done by ${asRoot.sudo ?? "sudo"}, and nothing else`,
  )
}

async function execute(
  { path, asked, step, document }: Order,
  options: ChangeOptions,
): Promise<RemoveResult> {
  if (asked || mayReplace(path)) return await removeStep(step, options.context, document)
  // What runs as root is of our own build: what one writes the other reads.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return (await runAsRoot("remove-as-root", step, options.asRoot)) as RemoveResult
}

const TOLD: Readonly<Record<RemoveResult["server"], string>> = {
  asked: "the server released them",
  told: "the server has read it again, and has them no more",
  "not-running": "the server does not run, and will read it when it starts",
}

function sayResult({ path, step }: Order, result: RemoveResult, terminal: Terminal): void {
  const { keys, backup, server, path: real, stays = [] } = result
  const left = step.keys.length - keys.length - stays.length
  const link = real === path ? "" : ` (which ${shown(path)} leads to)`
  if (keys.length > 0)
    terminal.note(`${leasesOf(keys.length)} taken away from ${shown(real)}${link}: ${TOLD[server]}`)
  for (const reason of stays) terminal.note(reason)
  if (left > 0) terminal.note(`Not taken away: ${leasesOf(left)}, changed meanwhile`)
  if (backup !== undefined) terminal.note(`The old file is ${shown(backup)}; undo puts it back`)
}

function planJson({ document, chosen, format, asked }: Plan): Readonly<Record<string, unknown>> {
  return {
    path: document.path,
    format: format.name,
    way: asked ? "ask" : "edit",
    leases: chosen.map(entryOf),
  }
}

function leasesOf(count: number): string {
  return count === 1 ? "1 lease" : `${count} leases`
}

/** Puts the newest backup of a file back. */
export async function undoPrune(path: string, force: boolean, options: ChangeOptions): Promise<void> {
  const { terminal, context, asRoot } = options
  const { format, document } = readLeases(path, context.disk)
  const plan = planUndo(path, context.disk)
  if (!terminal.json) terminal.lines(coloured(unifiedDiff(plan.before, plan.after, document.path), options))
  if (options.dryRun) {
    if (terminal.json) terminal.value({ path, backup: plan.backup.path, changed: plan.changed })
    else {
      const since = plan.changed
        ? ". The server has written it since: --force is needed, and loses what it wrote"
        : ""
      terminal.note(
        `Nothing is changed: without --dry-run ${shown(plan.backup.path)} would be put back${since}`,
      )
    }
    return
  }
  if (plan.changed && !force) throw writtenSince(path)
  if (!mayReplace(path))
    terminal.note(`${shown(path)} is root's: putting the backup back is done by ${asRoot.sudo ?? "sudo"}`)
  if (!options.yes && !(await terminal.confirm(`Put ${shown(plan.backup.path)} back?`, context.signal)))
    throw new SidecarError("aborted", "Stopped: nothing is changed")
  const step = { path, format: format.name, force }
  const done = mayReplace(path)
    ? await undoStep(step, context)
    : // As above.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      ((await runAsRoot("undo-as-root", step, asRoot)) as UndoResult)
  if (terminal.json) terminal.value(done)
  else
    terminal.note(
      `${shown(done.path)} is as it was before. What it was until now is ${shown(done.backup ?? "")}`,
    )
}
