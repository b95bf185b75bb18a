/**
 * Programs of the benchmark: each in a network namespace, and gone when the benchmark is.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createWriteStream, existsSync, readdirSync, readFileSync } from "node:fs"
import { setTimeout as delay } from "node:timers/promises"
import { processCpu } from "../vsock/cpu.ts"

const STOP_MS = 3000
const READY_MS = 20_000
const POLL_MS = 20

export interface Started extends AsyncDisposable {
  readonly child: ChildProcess
  /** What it wrote to stdout first, where that was waited for. */
  readonly said: string
  /** The process and its descendants that live. */
  readonly pids: () => readonly number[]
  /** Throws if it has ended. */
  readonly check: () => void
}

export interface StartOptions {
  /** File of the network namespace; without it, that of the benchmark. */
  readonly namespace?: string | undefined
  /** Where its stderr goes. */
  readonly log: string
  /** Resolves only when it has written a line to stdout. */
  readonly untilLine?: boolean
  /** For at most so long. */
  readonly readyMs?: number
}

/** A command that runs in a namespace, and that the kernel ends with the benchmark. */
export function commandIn(namespace: string | undefined, argv: readonly string[]): readonly string[] {
  const inside = namespace === undefined ? argv : ["nsenter", `--net=${namespace}`, ...argv]
  return ["setpriv", "--pdeathsig", "KILL", ...inside]
}

/** Starts a program; disposal ends it with SIGTERM, later with SIGKILL. Its stdin stays open until then. */
export async function start(argv: readonly string[], options: StartOptions): Promise<Started> {
  const [file = "", ...args] = commandIn(options.namespace, argv)
  const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"] })
  child.stdin.on("error", () => undefined) // It has ended, which `check` tells.
  child.stderr.pipe(createWriteStream(options.log, { flags: "a" }))
  const check = (): void => {
    if (hasEnded(child)) throw new Error(`"${argv.join(" ")}" has ended: see ${options.log}`)
  }
  try {
    const said = options.untilLine === true ? await firstWords(child, options.readyMs ?? READY_MS) : ""
    if (options.untilLine === true) check()
    child.stdout.resume()
    // The kernel may leave out children of a process that starts or ends others meanwhile: who was seen once is not forgotten.
    const seen = new Set<number>()
    return {
      child,
      said,
      check,
      pids: () => {
        if (child.pid === undefined || hasEnded(child)) return []
        for (const pid of family(child.pid)) seen.add(pid)
        return [...seen].filter((pid) => existsSync(`/proc/${pid}`))
      },
      [Symbol.asyncDispose]: () => ended(child),
    }
  } catch (error) {
    await ended(child)
    throw error
  }
}

async function firstWords(child: ChildProcess, limitMs: number): Promise<string> {
  const signal = AbortSignal.timeout(limitMs)
  const { stdout } = child
  if (stdout === null) return ""
  const first = (await Promise.race([
    once(stdout, "data", { signal }),
    once(child, "exit", { signal }),
  ])) as unknown[]
  return String(first[0])
}

/** Runs a program to its end, at most `limitMs`, and returns its stdout; rejects with its stderr where it fails. */
export async function runIn(
  namespace: string | undefined,
  argv: readonly string[],
  limitMs = READY_MS,
): Promise<string> {
  const [file = "", ...args] = commandIn(namespace, argv)
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk))
  const timer = setTimeout(() => child.kill("SIGKILL"), limitMs)
  const [code] = (await once(child, "close")) as [number | null]
  clearTimeout(timer)
  if (code === 0) return Buffer.concat(out).toString("utf8")
  const why = code === null ? `took more than ${limitMs} ms` : Buffer.concat(err).toString("utf8").trim()
  throw new Error(`"${argv.join(" ")}": ${why}`)
}

/** Asks again until there is an answer; rejects when the program it is asked of has ended, or after a while. */
export async function until<T>(what: string, ask: () => T | undefined | Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + READY_MS; Date.now() < end; ) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await delay(POLL_MS)
  }
  throw new Error(`${what}: not within ${READY_MS} ms`)
}

/** Processor seconds so far of processes that live. */
export function cpuOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + processCpu(pid), 0)
}

/** Their resident memory in MB. */
export function residentOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]
    return sum + Number(kib ?? 0) * 1.024e-3
  }, 0)
}

function family(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "latin1").split(" ").filter(Boolean).map(Number),
  )
  return [pid, ...children.flatMap(family)]
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || hasEnded(child)) return
  const gone = once(child, "exit")
  child.stdin?.end()
  child.kill("SIGTERM")
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS)
  await gone
  clearTimeout(timer)
}
