/**
 * The docker context of a machine, made and removed by the docker command itself.
 *
 * The context `skep` is the machine `default`, `skep-NAME` any other. It is activated unless the user has chosen something else.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { execa } from "execa"
import { z } from "zod"

export type Environment = Readonly<Record<string, string | undefined>>

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
export async function createContext(options: {
  readonly machine: string
  readonly dockerSocket: string
  readonly env: Environment
  readonly signal: AbortSignal
}): Promise<ContextResult> {
  const name = contextName(options.machine)
  const host = `unix://${options.dockerSocket}`
  const contexts = await listContexts(options)
  if (contexts === undefined) {
    return {
      name,
      created: false,
      active: false,
      sentence: `There is no docker command on this host; its API is at ${host}.`,
    }
  }
  const there = contexts.find((context) => context.Name === name)
  if (there?.DockerEndpoint !== host) {
    const verb = there === undefined ? "create" : "update"
    await docker(options, [
      "context",
      verb,
      name,
      "--description",
      `Skep machine ${options.machine}`,
      "--docker",
      `host=${host}`,
    ])
  }
  return await activate(options, name, contexts)
}

/** Removes the context if there is one; if it was the current one, docker goes back to its default. */
export async function removeContext(options: {
  readonly machine: string
  readonly env: Environment
  readonly signal: AbortSignal
}): Promise<void> {
  const name = contextName(options.machine)
  const contexts = await listContexts(options)
  const there = contexts?.find((context) => context.Name === name)
  if (there === undefined) return
  await docker(options, ["context", "rm", "--force", name])
}

async function activate(
  options: { readonly env: Environment; readonly signal: AbortSignal },
  name: string,
  contexts: readonly Context[],
): Promise<ContextResult> {
  const done = { name, created: true }
  const useIt = `use this machine with: docker --context ${name}`
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

/** All contexts, or undefined when there is no docker command. */
async function listContexts(options: {
  readonly env: Environment
  readonly signal: AbortSignal
}): Promise<readonly Context[] | undefined> {
  // With DOCKER_HOST set, docker marks no context as current.
  const env = { ...options.env, DOCKER_HOST: undefined, DOCKER_CONTEXT: undefined }
  const text = await docker({ ...options, env }, ["context", "ls", "--format", "{{json .}}"])
  return text
    ?.split("\n")
    .filter((line) => line !== "")
    .map((line) => Context.parse(JSON.parse(line)))
}

async function docker(
  options: { readonly env: Environment; readonly signal: AbortSignal },
  args: readonly string[],
): Promise<string | undefined> {
  const { DOCKER_HOST: _host, DOCKER_CONTEXT: _context, ...env } = options.env
  const result = await execa("docker", args, {
    env,
    extendEnv: false,
    reject: false,
    timeout: DEADLINE_MS,
    cancelSignal: options.signal,
    stdin: "ignore",
  })
  options.signal.throwIfAborted()
  if (result.code === "ENOENT") return undefined
  if (!result.failed) return result.stdout
  throw new SidecarError(
    "crashed",
    `Cannot run "docker ${args.slice(0, 3).join(" ")}": ${result.stderr || result.shortMessage}`,
    {
      next: "The machine itself is fine: its API is what skep url prints",
    },
  )
}
