/**
 * What is wrong with a machine, in one sentence with what to type next. Pure.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import type { MachineView } from "./view.ts"

/** "silent": there is a way to Docker, and it does not answer. */
export type DockerState = MachineView["docker"] | "silent"

export interface ProblemFacts {
  readonly name: string
  readonly docker: DockerState
  /** Why it is paused, if nobody asked for that. */
  readonly pausedBecause: string | undefined
  /** Why its record cannot be used. */
  readonly broken: SidecarError | undefined
  /** Why it is not running, where there is more to say than that it was stopped. */
  readonly crash: SidecarError | undefined
  /** Why its Docker could not be reached. */
  readonly failure: SidecarError | undefined
}

/** The problem that comes first, or undefined. */
export function problemOf(facts: ProblemFacts): SidecarError | undefined {
  const { name, docker, pausedBecause, broken, crash, failure } = facts
  if (docker === "silent") {
    const message = `Docker in the machine "${name}" does not answer`
    const next = `See skep logs --source docker ${name}, or start it anew with skep restart ${name}`
    return new SidecarError("unreachable", message, { next })
  }
  if (pausedBecause !== undefined) {
    const next = `Make room on the host, then resume it with: skep up ${name}`
    return new SidecarError("disk-full", `The machine "${name}" is paused: ${pausedBecause}`, { next })
  }
  if (broken !== undefined) return broken
  if (crash === undefined) return failure
  const { code, message, detail, next = `Start it again with: skep up ${name}` } = crash
  return new SidecarError(code, message, { cause: crash, detail, next })
}

/** What went wrong, in its own words. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
