/**
 * `serve` makes a process of a sidecar: options from flags and `--config`, a control socket, one `ready` line on stdout,
 * SIGTERM and SIGINT stop it, the exit code tells how it ended.
 *
 * @module
 */
import { readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import type { Counters, Instance, Log, Running, Sidecar, SidecarEvent } from "@skep/contract"
import { SidecarError } from "@skep/contract"
import { Command } from "commander"
import * as z from "zod"
import { Cleanup } from "../cleanup.ts"
import { type Metric, renderMetrics } from "../control/metrics.ts"
import type { Routes } from "../control/routes.ts"
import { startControlServer } from "../control/server.ts"
import { describeFileError } from "../files.ts"
import { ownIdentity } from "../identity.ts"
import { openLog } from "../log.ts"

/** Exit codes of every sidecar process. */
export const EXIT = { ok: 0, crashed: 1, badOptions: 2, aborted: 130 } as const

const STOP_DEADLINE_MS = 5000
const EARLIER_MAX = 256

/** A command-line flag of a sidecar: `--memory <mib>` sets `key` of the options. */
export interface Flag {
  readonly flags: string
  readonly description: string
  readonly key: string
  readonly parse?: (text: string) => unknown
}

export interface ServeOptions<R, Status = unknown> {
  readonly version: string
  /** One sentence for `--help`. */
  readonly description: string
  readonly flags?: readonly Flag[]
  /** Lines under "Examples:" in `--help`. */
  readonly examples?: readonly string[]
  /** The verbs of the role. */
  readonly routes?: (running: R) => Routes
  /** What `/metrics` shows beside the counters of a status. */
  readonly metrics?: (status: Status) => readonly Metric[]
  /** How long a stop may take before the process ends anyway; 5 s unless told. */
  readonly stopDeadlineMs?: number
}

/** What `GET /health` answers. */
export interface Health {
  readonly name: string
  readonly version: string
  readonly identity: Instance
  readonly endpoints: readonly string[]
}

const Config = z.record(z.string(), z.unknown())

/** Runs the sidecar to its end and sets the exit code. Call it once, as the last line of a `main.ts`. */
export async function serve<
  Options,
  Status extends { readonly counters: Counters },
  R extends Running<Status>,
>(
  sidecar: Sidecar<Options, Status, R>,
  options: ServeOptions<R, Status>,
  argv: readonly string[] = process.argv,
): Promise<void> {
  const stop = new AbortController()
  for (const name of ["SIGTERM", "SIGINT"] as const) process.on(name, () => stop.abort(interrupted(name)))
  const log = await openLog({ name: sidecar.name })
  try {
    await run(sidecar, options, await parseArguments(sidecar.name, options, argv, stop), {
      stop: stop.signal,
      log,
    })
    process.exitCode = EXIT.ok
  } catch (error) {
    process.exitCode = exitCodeOf(error, stop.signal)
    reportEnd(log, error)
  }
  // Nothing of ours is open any more; whatever a library still holds must not keep the process.
  process.exit()
}

interface Arguments {
  readonly control: string | undefined
  readonly options: Readonly<Record<string, unknown>>
}

interface Life {
  readonly stop: AbortSignal
  readonly log: Log
}

async function run<Options, Status extends { readonly counters: Counters }, R extends Running<Status>>(
  sidecar: Sidecar<Options, Status, R>,
  serveOptions: ServeOptions<R, Status>,
  args: Arguments,
  life: Life,
): Promise<void> {
  await using cleanup = new Cleanup()
  const checked = sidecar.parseOptions(args.options)
  // Events of the start itself: nobody can have subscribed yet.
  const earlier: SidecarEvent[] = []
  let publish = (event: SidecarEvent): void => {
    if (earlier.length < EARLIER_MAX) earlier.push(event)
  }
  const context = { signal: life.stop, log: life.log, emit: (event: SidecarEvent) => publish(event) }
  const running = cleanup.use(await sidecar.start(checked, context))
  running.closed.catch(() => undefined) // awaited below; a crash before that must not end the process unseen
  let endpoints = running.endpoints
  const requested = new AbortController()
  const identity = ownIdentity()
  if (args.control !== undefined) {
    const health = (): Health => ({ name: sidecar.name, version: serveOptions.version, identity, endpoints })
    const control = cleanup.use(
      await startControlServer({
        endpoint: args.control,
        log: life.log,
        instance: identity.nonce,
        earlier,
        routes: {
          "GET /health": async () => health(),
          "GET /status": () => running.status(),
          "GET /metrics": async () => {
            const status = await running.status()
            return renderMetrics(sidecar.name, status.counters, serveOptions.metrics?.(status))
          },
          "POST /stop": async () => {
            setImmediate(() => requested.abort(interrupted("POST /stop")))
          },
          ...serveOptions.routes?.(running),
        },
      }),
    )
    endpoints = [control.endpoint, ...endpoints]
    publish = (event) => control.publish(event)
  }
  process.stdout.write(`${JSON.stringify({ ready: true, name: sidecar.name, identity, endpoints })}\n`)
  await ended(
    running,
    AbortSignal.any([life.stop, requested.signal]),
    publish,
    serveOptions.stopDeadlineMs ?? STOP_DEADLINE_MS,
  )
}

/** Resolves when the sidecar is gone, by itself or because it was asked to stop; tells the subscribers which. */
async function ended<Status>(
  running: Running<Status>,
  stop: AbortSignal,
  publish: (event: SidecarEvent) => void,
  deadlineMs: number,
): Promise<void> {
  const onStop = (): void => {
    setTimeout(() => process.exit(EXIT.crashed), deadlineMs).unref()
    Promise.resolve(running[Symbol.asyncDispose]()).catch(() => undefined) // `closed` carries the reason
  }
  if (stop.aborted) onStop()
  else stop.addEventListener("abort", onStop, { once: true })
  try {
    await running.closed
    publish({ type: "stopped" })
  } catch (error) {
    publish({ type: "crashed", reason: error instanceof Error ? error.message : String(error) })
    throw error
  } finally {
    stop.removeEventListener("abort", onStop)
  }
}

async function parseArguments<R, Status>(
  name: string,
  options: ServeOptions<R, Status>,
  argv: readonly string[],
  stop: AbortController,
): Promise<Arguments> {
  const command = new Command(`skep-${name}`)
    .description(options.description)
    .version(options.version)
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? EXIT.ok : EXIT.badOptions))
    .option("--config <file>", "read options as JSON from a file; `-` reads one line from standard input")
    .option("--control <socket>", "serve the control socket here: a path, or fd:N for an inherited one")
    .option("--end-with-stdin", "stop when standard input closes")
  for (const flag of options.flags ?? []) {
    if (flag.parse === undefined) command.option(flag.flags, flag.description)
    else command.option(flag.flags, flag.description, flag.parse)
  }
  if (options.examples !== undefined) {
    command.addHelpText("after", `\nExamples:\n${options.examples.map((line) => `  ${line}`).join("\n")}\n`)
  }
  command.addHelpText(
    "after",
    "\nExit codes: 0 stopped, 1 crashed, 2 bad options, 130 interrupted before it was ready.",
  )
  command.parse([...argv])
  const { config, control, endWithStdin, ...flags } = z
    .looseObject({
      config: z.string().optional(),
      control: z.string().optional(),
      endWithStdin: z.boolean().optional(),
    })
    .parse(command.opts())
  const read = config === undefined ? {} : await readConfig(config)
  if (endWithStdin === true) {
    process.stdin.on("end", () => stop.abort(interrupted("the end of standard input"))).resume()
  }
  const byKey = Object.fromEntries(
    (options.flags ?? []).flatMap((flag) => {
      const value = flags[attributeName(flag.flags)]
      return value === undefined ? [] : [[flag.key, value]]
    }),
  )
  return { control, options: { ...read, ...byKey } }
}

/** `--guest-address <ip>` is `guestAddress` in commander's result. */
function attributeName(flags: string): string {
  const long = /--([a-z0-9-]+)/.exec(flags)?.[1] ?? ""
  return long.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

async function readConfig(source: string): Promise<Readonly<Record<string, unknown>>> {
  const text = source === "-" ? await firstLine() : readOptionsFile(source)
  try {
    return Config.parse(JSON.parse(text))
  } catch (error) {
    throw new SidecarError(
      "bad-options",
      `Cannot read the options from "${source}": it is not a JSON object`,
      { cause: error },
    )
  }
}

function readOptionsFile(path: string): string {
  try {
    return readFileSync(path, "utf8")
  } catch (error) {
    const described = describeFileError("read", path, error)
    if (described instanceof SidecarError) throw described
    throw new SidecarError("bad-options", `Cannot read the options from "${path}": ${String(error)}`, {
      cause: error,
    })
  }
}

async function firstLine(): Promise<string> {
  const lines = createInterface({ input: process.stdin })
  try {
    for await (const line of lines) return line
    return ""
  } finally {
    lines.close()
    process.stdin.unref()
  }
}

function interrupted(by: string): SidecarError {
  return new SidecarError("aborted", `Stopped by ${by}`)
}

/** What options that were checked may be refused with. */
const OF_OPTIONS: ReadonlySet<string> = new Set(["bad-options", "path-too-long"])

function exitCodeOf(error: unknown, stop: AbortSignal): number {
  if (stop.aborted && error === stop.reason) return EXIT.aborted
  return error instanceof SidecarError && OF_OPTIONS.has(error.code) ? EXIT.badOptions : EXIT.crashed
}

/** The last line on stdout tells a parent that waits for `ready` why it will not come; the log tells everybody else. */
function reportEnd(log: Log, error: unknown): void {
  const known =
    error instanceof SidecarError ? error : new SidecarError("internal", String(error), { cause: error })
  try {
    process.stdout.write(`${JSON.stringify({ ready: false, error: known })}\n`)
  } catch {
    // the parent is gone: the log still has it
  }
  if (known.code === "aborted") log.info("aborted", { reason: known.message })
  else
    log.error("ended", { code: known.code, reason: known.message, next: known.next, stack: stackOf(error) })
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error && !(error instanceof SidecarError) ? error.stack : undefined
}
