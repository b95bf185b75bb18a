/**
 * The docker command of this host: the user's own on the PATH, else the one that `skep docker-cli` put into `$SKEP_HOME/bin`.
 *
 * @module
 */
import { access, constants } from "node:fs/promises"
import { delimiter, join } from "node:path"

export type Environment = Readonly<Record<string, string | undefined>>

export interface DockerCommand {
  readonly path: string
  readonly isOnPath: boolean
}

export async function findDocker(env: Environment, bin: string): Promise<DockerCommand | undefined> {
  const onPath = await findProgram("docker", pathOf(env))
  if (onPath !== undefined) return { path: onPath, isOnPath: true }
  const own = await findProgram("docker", [bin])
  return own === undefined ? undefined : { path: own, isOnPath: false }
}

/** What a person types for it. */
export function typed(docker: DockerCommand): string {
  return docker.isOnPath ? "docker" : docker.path
}

/** The shell line that makes a plain `docker` of it. */
export function exportLine(bin: string): string {
  return `export PATH="${bin}:$PATH"`
}

/** The first executable file of that name in the directories, or undefined. */
export async function findProgram(name: string, directories: readonly string[]): Promise<string | undefined> {
  for (const directory of directories) {
    const path = join(directory, name)
    try {
      await access(path, constants.X_OK)
      return path
    } catch {
      // look further
    }
  }
  return undefined
}

export function pathOf(env: Environment): readonly string[] {
  return (env["PATH"] ?? "").split(delimiter).filter((directory) => directory !== "")
}
