/**
 * Running the built `skep` and the real docker command in a home of the test's own.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as delay } from "node:timers/promises"
import { processesMentioning } from "@skep/testkit"
import { inject } from "vitest"

const bin = join(import.meta.dirname, "../../apps/skep/bin/skep.js")
/** Beyond the deadline of every phase, so that a command says itself what took too long. */
const DEADLINE_MS = 240_000
const LOG_LINES = 40
const LOG_TAIL_BYTES = 16 << 10

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string | Buffer
  /** Holds the input back until the program has printed this: a terminal gives a signal to whoever is there already. */
  readonly inputAfter?: string
  /** Throws on a non-zero exit unless false. */
  readonly check?: boolean
  readonly uid?: number
}

export interface Skep {
  readonly home: string
  /** The user's home directory, which new machines have. Only that of the shared home is there. */
  readonly userHome: string
  readonly env: NodeJS.ProcessEnv
  run(args: readonly string[], options?: RunOptions): Promise<Outcome>
  // oxlint-disable-next-line typescript/no-explicit-any -- tests look into whatever the command prints
  json(args: readonly string[]): Promise<any>
  start(args: readonly string[]): ChildProcess
  docker(args: readonly string[], options?: RunOptions): Promise<Outcome>
  dockerSocket(machine?: string): string
  /** Resolves when the backend process has gone. */
  backendEnds(): Promise<void>
}

/** The shared home of this run. */
export function sharedSkep(): Skep {
  return skepIn(inject("home"))
}

export function skepIn(home: string): Skep {
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    HOME: userHomeOf(home),
    SKEP_HOME: home,
    SKEP_RUN: join(home, "r"),
    DOCKER_CONFIG: join(home, "docker"),
    // Where the docker command is on a host that has none of its own.
    PATH: `${process.env["PATH"] ?? ""}:${join(home, "bin")}`,
  }
  delete env["DOCKER_HOST"]
  delete env["DOCKER_CONTEXT"]
  delete env["SSH_AUTH_SOCK"]
  const skep: Skep = {
    home,
    userHome: userHomeOf(home),
    env,
    run: (args, options = {}) =>
      run(process.execPath, [bin, ...args], { ...options, env: { ...env, ...options.env } }),
    json: async (args) => JSON.parse((await skep.run([...args, "--json"], { check: false })).stdout),
    start: (args) => spawn(process.execPath, [bin, ...args], { env, stdio: ["ignore", "pipe", "pipe"] }),
    docker: (args, options = {}) =>
      run("docker", [...args], { ...options, env: { ...env, DOCKER_BUILDKIT: "0", ...options.env } }),
    dockerSocket: (machine = "default") => join(home, "r", machine, "docker.sock"),
    backendEnds: async () => {
      const socket = join(home, "r", "backend.sock")
      const end = Date.now() + 30_000
      const runs = (): boolean => processesMentioning(home).some((line) => line.includes("backend.js"))
      // It removes its socket first, and has files open until its very end.
      while (existsSync(socket) || runs()) {
        if (Date.now() > end) throw new Error("the backend did not end by itself")
        await delay(50)
      }
    },
  }
  return skep
}

/** Beside it: no machine sees what is in $SKEP_HOME. */
export function userHomeOf(home: string): string {
  return `${home}.user`
}

/** Runs a program to its end. */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const child = spawn(file, args, {
    env: options.env ?? process.env,
    stdio: ["pipe", "pipe", "pipe"],
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  })
  let ended = ""
  const timer = setTimeout(() => {
    ended = `was ended after ${DEADLINE_MS / 1000} s`
    child.kill("SIGKILL")
  }, DEADLINE_MS)
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk))
  child.stdin.on("error", () => undefined) // it did not read its input
  const { inputAfter } = options
  if (inputAfter === undefined) child.stdin.end(options.input)
  else
    child.stdout.on("data", () => {
      if (Buffer.concat(out).includes(inputAfter)) child.stdin.end(options.input)
    })
  const [code] = (await once(child, "close")) as [number | null]
  clearTimeout(timer)
  const outcome = {
    code,
    stdout: Buffer.concat(out).toString("utf8"),
    stderr: Buffer.concat(err).toString("utf8"),
  }
  // One that hung has no outcome that a test could look at.
  if (ended === "" && (code === 0 || options.check === false)) return outcome
  const how = ended === "" ? `ended with ${code}` : ended
  const said = `${file} ${args.join(" ")} ${how}\n${outcome.stdout}\n${outcome.stderr}`
  throw new Error([said, ...(ended === "" ? [] : logTails(options.env?.["SKEP_HOME"]))].join("\n"))
}

/** The ends of the logs of Skep's own and of each machine, for what hung in a home that is gone by now. */
function logTails(home: string | undefined): readonly string[] {
  if (home === undefined) return []
  const machines = join(home, "machines")
  return [join(home, "logs"), ...entriesOf(machines).map((name) => join(machines, name))]
    .flatMap((directory) => entriesOf(directory).map((name) => join(directory, name)))
    .filter((path) => path.endsWith(".log"))
    .map((path) => `--- the end of ${path}\n${tailOf(path)}`)
}

function entriesOf(directory: string): readonly string[] {
  return existsSync(directory) ? readdirSync(directory) : []
}

function tailOf(path: string): string {
  const text = readFileSync(path).subarray(-LOG_TAIL_BYTES).toString("utf8")
  return text.trimEnd().split("\n").slice(-LOG_LINES).join("\n")
}
