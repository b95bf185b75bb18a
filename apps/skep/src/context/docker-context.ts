/**
 * The docker context of a machine, made and removed by the docker command itself.
 *
 * The context `skep` is the machine `default`, `skep-NAME` any other. It is activated unless the user has chosen something else.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { execa } from "execa"
import * as z from "zod"
import { type DockerCommand, type Environment, exportLine, findDocker, typed } from "./docker-command.ts"

export interface ContextOptions {
  readonly machine: string
  readonly env: Environment
  /** Where a docker command may be beside the PATH. */
  readonly bin: string
  readonly signal: AbortSignal
}

export interface ContextResult {
  readonly name: string
  readonly created: boolean
  /** Whether a plain `docker` talks to the machine now. */
  readonly active: boolean
  /** What a person should know of it. */
  readonly sentence: string
}

const DEADLINE_MS = 20_000
const Context = z.object({ Name: z.string(), Current: z.boolean(), DockerEndpoint: z.string().optional() })
type Context = z.infer<typeof Context>

export function contextName(machine: string): string {
  return machine === "default" ? "skep" : `skep-${machine}`
}

/** Creates or corrects the context; activates it unless another one, or DOCKER_HOST, is in use. */
export async function createContext(
  options: ContextOptions & { readonly dockerSocket: string },
): Promise<ContextResult> {
  const name = contextName(options.machine)
  const host = `unix://${options.dockerSocket}`
  const command = await findDocker(options.env, options.bin)
  if (command === undefined) {
    return {
      name,
      created: false,
      active: false,
      sentence: `There is no docker command on this host (skep docker-cli provides one); its API is at ${host}.`,
    }
  }
  const run: Run = { ...options, command }
  const contexts = await listContexts(run)
  const there = contexts.find((context) => context.Name === name)
  if (there?.DockerEndpoint !== host) {
    const verb = there === undefined ? "create" : "update"
    const description = ["--description", `Skep machine ${options.machine}`]
    await docker(run, ["context", verb, name, ...description, "--docker", `host=${host}`])
  }
  const result = await activate(run, name, contexts)
  if (command.isOnPath) return result
  const path = `The docker command is ${command.path}; for a plain docker: ${exportLine(options.bin)}`
  return { ...result, sentence: `${result.sentence} ${path}` }
}

/** Removes the context if there is one; if it was the current one, docker goes back to its default. */
export async function removeContext(options: ContextOptions): Promise<void> {
  const name = contextName(options.machine)
  const command = await findDocker(options.env, options.bin)
  if (command === undefined) return
  const run: Run = { ...options, command }
  const contexts = await listContexts(run)
  if (contexts.some((context) => context.Name === name)) await docker(run, ["context", "rm", "--force", name])
}

interface Run {
  readonly command: DockerCommand
  readonly env: Environment
  readonly signal: AbortSignal
}

async function activate(options: Run, name: string, contexts: readonly Context[]): Promise<ContextResult> {
  const done = { name, created: true }
  const useIt = `use this machine with: ${typed(options.command)} --context ${name}`
  if (isSet(options.env["DOCKER_HOST"])) {
    return { ...done, active: false, sentence: `DOCKER_HOST is set and wins over every context; ${useIt}` }
  }
  if (isSet(options.env["DOCKER_CONTEXT"])) {
    const active = options.env["DOCKER_CONTEXT"] === name
    return { ...done, active, sentence: active ? inUse(name) : `DOCKER_CONTEXT is set; ${useIt}` }
  }
  const current = contexts.find((context) => context.Current)?.Name ?? "default"
  if (current === name) return { ...done, active: true, sentence: inUse(name) }
  if (current !== "default") {
    return { ...done, active: false, sentence: `The docker context "${current}" stays in use; ${useIt}` }
  }
  await docker(options, ["context", "use", name])
  return { ...done, active: true, sentence: inUse(name) }
}

function inUse(name: string): string {
  return `The docker context "${name}" is in use.`
}

function isSet(value: string | undefined): boolean {
  return value !== undefined && value !== ""
}

async function listContexts(run: Run): Promise<readonly Context[]> {
  // With DOCKER_HOST set, docker marks no context as current.
  const env = { ...run.env, DOCKER_HOST: undefined, DOCKER_CONTEXT: undefined }
  const text = await docker({ ...run, env }, ["context", "ls", "--format", "{{json .}}"])
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => Context.parse(JSON.parse(line)))
}

async function docker({ command, env, signal }: Run, args: readonly string[]): Promise<string> {
  const { DOCKER_HOST: _host, DOCKER_CONTEXT: _context, ...rest } = env
  const result = await execa(command.path, args, {
    env: rest,
    extendEnv: false,
    reject: false,
    timeout: DEADLINE_MS,
    cancelSignal: signal,
    stdin: "ignore",
  })
  signal.throwIfAborted()
  if (!result.failed) return result.stdout
  throw new SidecarError(
    "crashed",
    `Cannot run "docker ${args.slice(0, 3).join(" ")}": ${result.stderr || result.shortMessage}`,
    {
      next: "The machine itself is fine: its API is what skep url prints",
    },
  )
}
