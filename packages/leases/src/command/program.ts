/**
 * The command line: `ls`, `show`, `explain`, `prune`, `undo`. The same verbs for `skep-leases` and `skep leases`.
 *
 * @module
 */
import { resolve } from "node:path"
import { type LeaseKind, SidecarError } from "@skep/contract"
import { exitCodeFor } from "@skep/runtime/exit"
import { readOrder } from "@skep/runtime/root-step"
import { Command, Option } from "commander"
import { backupsOf } from "../file/backup.ts"
import { nodeDisk } from "../file/disk.ts"
import { hostNeighbours } from "../janitor/neighbours.ts"
import { type Survey, type SurveyOptions, survey } from "../janitor/survey.ts"
import { Host } from "../owners/host.ts"
import type { PruneWish } from "../plan/choose.ts"
import { runProgram } from "../servers/programs.ts"
import { placesOn } from "../servers/servers.ts"
import type { AsRoot } from "./as-root.ts"
import { EXIT_HELP } from "./exit.ts"
import { explain, show } from "./explain.ts"
import { list } from "./list.ts"
import { prune, undoPrune } from "./prune.ts"
import { parseRemoveStep, parseUndoStep, removeStep, type StepContext, undoStep } from "./steps.ts"
import { type Streams, Terminal } from "./terminal.ts"
import { parseLength } from "./words.ts"

const KINDS: readonly LeaseKind[] = ["live", "stale", "expired", "duplicate", "reserved", "declined", "free"]
const INPUT_MAX = 1 << 26

const EXAMPLES = `
Examples:
  skep-leases ls                              every lease, whose it is, and how many addresses are left
  skep-leases explain 192.168.64.7            whose it is, and what would become of it
  skep-leases prune --all-stale --dry-run     what would go: leases that no machine has, over or not
  skep-leases prune --all-stale               shows it again, asks, and does it (by sudo where the file is root's)
  skep-leases undo                            puts the file back as it was

An exhausted vmnet of macOS (Lima, minikube: "no IP address found") is the third and the fourth line.

Exit codes:
  ${EXIT_HELP}`

interface Common {
  readonly json?: boolean
  readonly file?: readonly string[]
  readonly format?: string
}

interface Pruning extends Common {
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly fullDiff?: boolean
  readonly olderThan?: number
  readonly machine?: readonly string[]
  readonly mac?: readonly string[]
  readonly address?: readonly string[]
  readonly allStale?: boolean
}

interface Undoing extends Common {
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly fullDiff?: boolean
  readonly force?: boolean
}

export interface CommandContext {
  readonly streams: Streams
  readonly signal: AbortSignal
  /** Node and its arguments that run this very command: for the part of root. */
  readonly program: readonly [string, ...string[]]
  readonly now?: () => number
}

/** `skep-leases`, without its name. */
export function leasesCommand(name: string, version: string, context: CommandContext): Command {
  const command = new Command(name)
    .description(
      "The leases of this host's DHCP servers: whose they are, and taking back what no machine has",
    )
    .version(version)
    .addHelpText("after", EXAMPLES)
  return addVerbs(command, context)
}

/** Adds the verbs to a command. */
export function addVerbs(parent: Command, context: CommandContext): Command {
  addLooks(parent, context)
  addPrune(parent, context)
  addUndo(parent, context)
  addSteps(parent, context)
  return parent
}

function addLooks(parent: Command, context: CommandContext): void {
  common(parent.command("ls").alias("list").description("list leases, and how many addresses are left"))
    .addOption(
      new Option("--state <state>", "only of this state; may be repeated")
        .choices([...KINDS])
        .argParser(kinds),
    )
    .action(async (options: Common & { readonly state?: readonly LeaseKind[] }) => {
      const { found, terminal, now } = await look(options, context)
      list(found, options.state ?? [], now, terminal)
    })
  common(parent.command("show <address>").description("print what the files say about an address")).action(
    async (address: string, options: Common) => {
      const { found, terminal, now } = await look(options, context)
      show(found, address, now, terminal)
    },
  )
  common(parent.command("explain <address>").description("say whose an address is, and why")).action(
    async (address: string, options: Common) => {
      const { found, terminal, now } = await look(options, context, [address])
      explain(found, address, now, terminal)
    },
  )
}

function addPrune(parent: Command, context: CommandContext): void {
  changing(
    common(parent.command("prune").description("take away leases that no machine has, after showing which")),
  )
    .addOption(
      new Option("--older-than <time>", "only what has been over for so long: 90m, 24h, 7d").argParser(
        parseLength,
      ),
    )
    .option("--machine <name>", "only leases of this machine, which must be gone; may be repeated", collected)
    .option("--mac <mac>", "only leases of this Ethernet address; may be repeated", collected)
    .option("--address <address>", "only this address; may be repeated", collected)
    .option("--all-stale", "also what is not over, where no machine has it and nobody answers")
    .action(async (options: Pruning) => {
      const terminal = new Terminal(options.json === true, context.streams)
      const lookAll = async (): Promise<Survey> => (await look(options, context, "all")).found
      await prune(lookAll, wishOf(options), { ...changeOf(options), terminal, ...changer(context, terminal) })
    })
}

function addUndo(parent: Command, context: CommandContext): void {
  changing(common(parent.command("undo").description("put back what the last prune took away")))
    .option("--force", "also where the server has written the file since: that is lost")
    .action(async (options: Undoing) => {
      const terminal = new Terminal(options.json === true, context.streams)
      const path = lastPruned(options, context)
      await undoPrune(path, options.force === true, {
        ...changeOf(options),
        terminal,
        ...changer(context, terminal),
      })
    })
}

/** What `sudo` runs: told on standard input, answers with a line of JSON. */
function addSteps(parent: Command, context: CommandContext): void {
  parent
    .command("remove-as-root", { hidden: true })
    .action(() =>
      answer(context, async (input) => await removeStep(parseRemoveStep(input), stepContext(context))),
    )
  parent
    .command("undo-as-root", { hidden: true })
    .action(() =>
      answer(context, async (input) => await undoStep(parseUndoStep(input), stepContext(context))),
    )
}

/** Errors are an answer too: who asked is another process. */
async function answer(context: CommandContext, step: (input: unknown) => Promise<unknown>): Promise<void> {
  const terminal = new Terminal(true, context.streams)
  try {
    terminal.line(JSON.stringify(await step(await readOrder(context.streams.input, INPUT_MAX))))
  } catch (error) {
    const known = SidecarError.of(error)
    terminal.error(known)
    process.exitCode = exitCodeFor(known.code)
  }
}

function common(command: Command): Command {
  return command
    .option("--json", "print JSON")
    .option(
      "--file <path>",
      "this lease file, and not those of this host's servers; may be repeated",
      collected,
    )
    .option(
      "--format <name>",
      "what it is, where it does not say so itself: bootpd, dnsmasq, libvirt, isc-dhcpd, …",
    )
}

function changing(command: Command): Command {
  return command
    .option("-n, --dry-run", "only show what would change")
    .option("-y, --yes", "ask nothing")
    .option("--full-diff", "show the whole difference, however long")
}

function collected(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}

function kinds(value: string, before: readonly LeaseKind[] = []): readonly LeaseKind[] {
  const kind = KINDS.find((each) => each === value)
  if (kind !== undefined) return [...before, kind]
  throw new SidecarError("bad-options", `Cannot use "${value}" as a state: it is none`, {
    next: `There are ${KINDS.join(", ")}`,
  })
}

interface Looked {
  readonly found: Survey
  readonly terminal: Terminal
  readonly now: number
}

/** Reads everything; addresses are asked whether somebody is there, all of them that nobody is known to have with "all". */
async function look(
  options: Common,
  context: CommandContext,
  ask: readonly string[] | "all" = [],
): Promise<Looked> {
  const neighbours = hostNeighbours()
  const base: SurveyOptions = {
    paths: (options.file ?? []).map((path) => resolve(path)),
    ...(options.format === undefined ? {} : { format: options.format }),
    host: { env: context.streams.env },
    disk: nodeDisk,
    now: context.now ?? Date.now,
    signal: context.signal,
    neighbours,
  }
  const terminal = new Terminal(options.json === true, context.streams)
  const found = await survey({ ...base, ask: (files) => (ask === "all" ? doubtful(files) : ask) })
  return { found, terminal, now: base.now() }
}

/** Those that would go but for somebody who answers. */
function doubtful(files: Survey["files"]): readonly string[] {
  return files.flatMap(({ judged }) =>
    judged
      .filter(({ kind }) => kind !== "live" && kind !== "reserved" && kind !== "free")
      .map(({ lease }) => lease.address),
  )
}

function wishOf({ olderThan, allStale, machine, mac, address }: Pruning): PruneWish {
  return {
    ...(olderThan === undefined ? {} : { olderThanMs: olderThan }),
    ...(allStale === true ? { stale: true } : {}),
    ...(machine === undefined ? {} : { machines: machine }),
    ...(mac === undefined ? {} : { macs: mac }),
    ...(address === undefined ? {} : { addresses: address }),
  }
}

function changeOf({
  dryRun,
  yes,
  fullDiff,
}: Pruning): Readonly<Record<"dryRun" | "yes" | "fullDiff", boolean>> {
  return { dryRun: dryRun === true, yes: yes === true, fullDiff: fullDiff === true }
}

function stepContext({ signal, now = Date.now }: CommandContext): StepContext {
  return { disk: nodeDisk, host: { run: runProgram, root: "/", platform: process.platform }, now, signal }
}

function changer(
  context: CommandContext,
  terminal: Terminal,
): { readonly context: StepContext; readonly asRoot: AsRoot } {
  const { program, signal } = context
  return { context: stepContext(context), asRoot: { program, interactive: terminal.interactive, signal } }
}

/** The file that was changed last. Throws "not-found" where none was, "bad-options" where several are named. */
function lastPruned({ file = [] }: Common, { streams }: CommandContext): string {
  if (file.length > 1)
    throw new SidecarError("bad-options", "Cannot undo several files at once", { next: "Name one --file" })
  const [named] = file
  if (named !== undefined) return resolve(named)
  const places = placesOn(new Host({ env: streams.env })).filter(({ isSettings }) => !isSettings)
  const backups = places.flatMap(({ path }) => backupsOf(path, nodeDisk).map(({ time }) => ({ path, time })))
  const last = backups.toSorted((one, other) => (one.time < other.time ? 1 : -1))[0]
  if (last !== undefined) return last.path
  throw new SidecarError("not-found", "Cannot undo anything: beside no lease file of this host is a backup", {
    next: "Name the file with --file",
  })
}
