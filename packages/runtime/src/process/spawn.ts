/**
 * `spawn` returns a sidecar whose `start` runs a process: whoever starts it cannot tell it from one in the same process.
 *
 * @module
 */
import { type ChildProcess, spawn as spawnProcess } from "node:child_process"
import { createInterface } from "node:readline"
import {
  type Context,
  type ErrorBody,
  type Instance,
  type Running,
  type Sidecar,
  SidecarError,
} from "@skep/contract"
import { orAborted } from "../deadline.ts"
import { adopt, InstanceBody, type Remote } from "./adopt.ts"
import type { Liveness } from "./liveness.ts"

export interface SpawnCommand<Options, Status> {
  readonly name: string
  readonly file: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string | undefined>>
  /** The control socket for these options. */
  readonly control: (options: Options) => string
  readonly parseOptions: (input: unknown) => Options
  readonly parseStatus: (value: unknown) => Status
  /** Where its log goes: an open descriptor, or nowhere. */
  readonly stderr?: number | "ignore" | "inherit"
  /** Ends the process when this one ends: for tests. Otherwise it outlives its parent. */
  readonly endWithParent?: boolean
  readonly stopDeadlineMs?: number
  /** As of `adopt`. */
  readonly liveness?: Liveness
  /** As of `adopt`. */
  readonly without?: readonly string[]
}

/** A sidecar in a process of its own. `wrap` adds the verbs of the role to the remote. */
export function spawn<Options, Status, R extends Running<Status>>(
  command: SpawnCommand<Options, Status>,
  wrap: (remote: Remote<Status>) => R,
): Sidecar<Options, Status, R> {
  return {
    name: command.name,
    parseOptions: command.parseOptions,
    start: async (options, context) => wrap(await start(command, options, context)),
  }
}

async function start<Options, Status>(
  command: SpawnCommand<Options, Status>,
  options: Options,
  context: Context,
): Promise<Remote<Status>> {
  context.signal.throwIfAborted()
  const control = command.control(options)
  const child = launch(command, control)
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => resolve())
    child.once("error", () => resolve())
  })
  try {
    child.stdin?.write(`${JSON.stringify(options)}\n`)
    const identity = await orAborted(ready(command.name, child), context.signal)
    const remote = await adopt({
      control,
      identity,
      parseStatus: command.parseStatus,
      signal: context.signal,
      emit: context.emit,
      ...(command.stopDeadlineMs === undefined ? {} : { stopDeadlineMs: command.stopDeadlineMs }),
      ...(command.liveness === undefined ? {} : { liveness: command.liveness }),
      ...(command.without === undefined ? {} : { without: command.without }),
    })
    if (command.endWithParent !== true) detach(child)
    return { ...remote, [Symbol.asyncDispose]: () => remote[Symbol.asyncDispose]().then(() => exited) }
  } catch (error) {
    child.kill("SIGTERM")
    const killer = setTimeout(() => child.kill("SIGKILL"), command.stopDeadlineMs ?? 10_000)
    await exited
    clearTimeout(killer)
    detach(child)
    throw error
  }
}

function launch<Options, Status>(command: SpawnCommand<Options, Status>, control: string): ChildProcess {
  const args = [...command.args, "--config", "-", "--control", control]
  if (command.endWithParent === true) args.push("--end-with-stdin")
  const child = spawnProcess(command.file, args, {
    detached: command.endWithParent !== true,
    stdio: ["pipe", "pipe", command.stderr ?? "ignore"],
    ...(command.env === undefined ? {} : { env: command.env }),
  })
  child.stdin?.on("error", () => undefined) // it ended before it read its options; the exit tells
  return child
}

/** Resolves on the `ready` line with who says so; rejects with the error that the process reported, or with how it ended. */
function ready(name: string, child: ChildProcess): Promise<Instance> {
  return new Promise((resolve, reject) => {
    let reported = false
    child.once("error", (cause) => {
      reject(
        new SidecarError("host-program-missing", `Cannot start the sidecar "${name}": ${cause.message}`, {
          cause,
        }),
      )
    })
    child.once("close", (code, signal) => {
      if (reported) return
      const how = signal === null ? `code ${code}` : signal
      reject(new SidecarError("crashed", `Cannot start the sidecar "${name}": its process ended with ${how}`))
    })
    if (child.stdout === null) return
    createInterface({ input: child.stdout }).on("line", (line) => {
      const report = parseReport(line)
      if (report === undefined) return
      reported = true
      if (report.ready) resolve(report.identity)
      else reject(new SidecarError(report.error.code, report.error.message, report.error))
    })
  })
}

type Report =
  | { readonly ready: true; readonly identity: Instance }
  | { readonly ready: false; readonly error: ErrorBody }

function parseReport(line: string): Report | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return isReport(value) ? value : undefined
  } catch {
    return undefined // some program's own words
  }
}

function isReport(value: unknown): value is Report {
  if (typeof value !== "object" || value === null || !("ready" in value)) return false
  if (value.ready === true) return "identity" in value && InstanceBody.safeParse(value.identity).success
  return "error" in value
}

function detach(child: ChildProcess): void {
  child.stdin?.destroy()
  child.stdout?.destroy()
  child.unref()
}
