/**
 * The user's side of `skep-exports`: says beforehand what changes and why root is needed, runs that one step by sudo, and says what to type where sudo
 * cannot ask.
 *
 * @module
 */
import { runRootStep } from "@skep/runtime/root-step"
import type { Applied } from "./apply.ts"
import { previewExports } from "./apply.ts"
import type { ExportRequest } from "./request.ts"
import { exportedMachines } from "./state.ts"
import { type ExportsSystem, thisSystem } from "./system.ts"

export interface AsRoot {
  /** Node and its arguments that run `skep-exports`. */
  readonly program: readonly [string, ...string[]]
  /** Tells the user, before sudo asks for anything. */
  readonly say: (lines: readonly string[]) => void
  /** Whether sudo may ask for a password: there is a terminal. */
  readonly interactive: boolean
  readonly signal: AbortSignal
  /** `/etc` unless told. */
  readonly etc?: string
  /** `sudo` unless told; none for root. */
  readonly sudo?: string
  /** What is looked at beforehand; this host unless told. */
  readonly system?: ExportsSystem
}

const OUTPUT_MAX = 1 << 20

/** Exports what is wanted; asks for root only if that changes anything. Undefined where it does not. */
export async function exportAsRoot(request: ExportRequest, how: AsRoot): Promise<Applied | undefined> {
  const system = systemOf(how)
  const plan = await previewExports(request, system)
  if (!plan.changed) return undefined
  how.say([`Skep changes ${plan.path} as root, to export directories to ${request.machine}:`, ...plan.diff])
  // What runs as root is of our own build: what one writes the other reads.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return (await run(["apply", "--etc", system.etc], JSON.stringify(request), how)) as Applied
}

/** Takes back what is exported for those machines, where anything is: at `rm`, and at a start for what a crash has left. */
export async function takeBackAsRoot(machines: readonly string[], how: AsRoot): Promise<readonly string[]> {
  const system = systemOf(how)
  const there = await exportedMachines(system)
  const gone = machines.filter((machine) => there.includes(machine))
  if (gone.length === 0) return []
  how.say([`Skep takes back what it exported to ${gone.join(", ")}, as root`])
  await run(["remove", "--etc", system.etc, ...gone], "", how)
  return gone
}

function systemOf({ etc, system }: AsRoot): ExportsSystem {
  if (system !== undefined) return system
  return etc === undefined ? thisSystem() : thisSystem(etc)
}

/** Runs the verb as root and returns its answer. Rejects with its error, or with "permission-denied" where sudo did not let us. */
async function run(words: readonly string[], input: string, how: AsRoot): Promise<unknown> {
  const [program, ...rest] = how.program
  const line = [program, ...rest, ...words] as const
  const isRoot = process.getuid?.() === 0 && how.sudo === undefined
  const typed = `${line.map(quoted).join(" ")}${input === "" ? "" : ` <<< ${quoted(input)}`}`
  return await runRootStep({
    line,
    input,
    interactive: how.interactive,
    prompt: "Password for root's part of skep: ",
    sudo: isRoot ? undefined : (how.sudo ?? "sudo"),
    outputMax: OUTPUT_MAX,
    signal: how.signal,
    refused: {
      message: "Cannot change the exports of this host: sudo did not run it",
      next: `As root: ${typed}`,
    },
    withoutSudo: "Run skep as root, or install sudo",
  })
}

/** For a person's shell. */
function quoted(word: string): string {
  return /^[\w./:=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
