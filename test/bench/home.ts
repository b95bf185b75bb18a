/**
 * A home for benchmarks that keeps its guest image from run to run, and nothing else.
 *
 * @module
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const root = join(import.meta.dirname, "../..")

export const MACHINE = "bench"

export interface BenchHome {
  readonly directory: string
  readonly env: NodeJS.ProcessEnv
  /** Runs the built `skep`; rejects with its output when it fails. */
  skep(...args: readonly string[]): Promise<string>
}

export function benchHome(): BenchHome {
  const directory = join(tmpdir(), `skep-bench-${process.getuid?.() ?? 0}`)
  mkdirSync(join(directory, "docker"), { recursive: true, mode: 0o700 })
  const env = {
    ...process.env,
    SKEP_HOME: directory,
    SKEP_RUN: join(directory, "r"),
    DOCKER_CONFIG: join(directory, "docker"),
    DOCKER_HOST: "",
    // Where the docker command is on a host that has none of its own.
    PATH: `${process.env["PATH"] ?? ""}:${join(directory, "bin")}`,
    CI: "1",
  }
  return {
    directory,
    env,
    skep: (...args) => run(process.execPath, [join(root, "apps/skep/bin/skep.js"), ...args], env),
  }
}

/** Runs a program to its end and returns what it wrote to stdout. */
export async function run(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  input?: string,
): Promise<string> {
  const child = spawn(file, args, { env, stdio: ["pipe", "pipe", "pipe"] })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk))
  child.stdin.end(input)
  const [code] = (await once(child, "close")) as [number | null]
  const text = Buffer.concat(out).toString("utf8")
  if (code === 0) return text
  throw new Error(
    `${file} ${args.join(" ")} ended with ${code}: ${text}${Buffer.concat(err).toString("utf8")}`,
  )
}

/** Seconds that `work` takes. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return (performance.now() - began) / 1000
}
