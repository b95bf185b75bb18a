/**
 * The user's side of `skep-exports`: says beforehand what changes and why root is needed, runs that one step by sudo, and says what to type where sudo
 * cannot ask.
 *
 * @module
 */
import { spawn } from "node:child_process"
import { type ErrorBody, type ErrorCode, SidecarError } from "@skep/contract"
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

function systemOf({ etc }: AsRoot): ExportsSystem {
  return etc === undefined ? thisSystem() : thisSystem(etc)
}

/** Runs the verb as root and returns its answer. Rejects with its error, or with "permission-denied" where sudo did not let us. */
async function run(words: readonly string[], input: string, how: AsRoot): Promise<unknown> {
  const line = [...how.program, ...words]
  const isRoot = process.getuid?.() === 0 && how.sudo === undefined
  const flags = how.interactive ? ["-p", "Password for root's part of skep: "] : ["-n"]
  const [file = "", ...args] = isRoot ? line : [how.sudo ?? "sudo", ...flags, "--", ...line]
  const { code, output } = await ended(file, args, input, how.signal)
  const answer = parsed(output)
  if (code === 0 && answer !== undefined) return answer
  if (isError(answer)) throw new SidecarError(answer.error.code, answer.error.message, answer.error)
  throw new SidecarError("permission-denied", "Cannot change the exports of this host: sudo did not run it", {
    next: `As root: ${line.map(quoted).join(" ")}${input === "" ? "" : ` <<< ${quoted(input)}`}`,
  })
}

function ended(
  file: string,
  args: readonly string[],
  input: string,
  signal: AbortSignal,
): Promise<{ readonly code: number | null; readonly output: string }> {
  return new Promise((resolve, reject) => {
    // Its errors, and sudo's question, are for the user.
    const child = spawn(file, args, { stdio: ["pipe", "pipe", "inherit"], signal })
    const chunks: Buffer[] = []
    let bytes = 0
    child.stdout.on("data", (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= OUTPUT_MAX) chunks.push(chunk)
    })
    child.stdin.on("error", () => undefined) // it ended before it read; its exit tells
    child.stdin.end(input)
    child.once("error", (cause) => {
      if (signal.aborted) reject(signal.reason)
      else
        reject(
          new SidecarError("host-program-missing", `Cannot run ${file}: ${cause.message}`, {
            cause,
            next: "Run skep as root, or install sudo",
          }),
        )
    })
    child.once("close", (code) => resolve({ code, output: Buffer.concat(chunks).toString("utf8") }))
  })
}

function parsed(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return value
  } catch {
    return undefined
  }
}

function isError(value: unknown): value is { readonly error: ErrorBody & { readonly code: ErrorCode } } {
  return typeof value === "object" && value !== null && "error" in value
}

/** For a person's shell. */
function quoted(word: string): string {
  return /^[\w./:=-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
