/**
 * Starting a machine: the best accelerator that a guest proves, and another try for a guest that hangs under one that works.
 *
 * @module
 */
import { stat } from "node:fs/promises"
import { SidecarError } from "@skep/contract"
import { type Candidate, candidatesIn } from "../accelerator/candidates.ts"
import { type Failure, readVerdict, type Verdict, verdictKey, writeVerdict } from "../accelerator/verdict.ts"
import { findProgram, kvmAccess } from "../host.ts"
import { attempt, type Outcome } from "./attempt.ts"
import type { Environment } from "./environment.ts"
import type { Machine } from "./machine.ts"

/** About one microvm boot in five of a tiny guest hangs under emulation before its first line: it is started again. */
const SILENT_RESTARTS_MAX = 3
const CONSOLE_TAIL_LINES = 20

export interface Booted {
  readonly machine: Machine
  readonly silentRestarts: number
  readonly fallbacks: number
}

/** Starts the machine and resolves when its guest has printed a line. */
export async function boot(env: Environment): Promise<Booted> {
  const { options, context } = env
  const program = await findProgram(options.program)
  const key = await verdictKey(program, options.boot.kernel)
  const verdict = await readVerdict(options.verdictFile, key)
  const candidates = candidatesIn({
    requested: options.accelerator,
    platform: process.platform,
    kvmOpens: kvmAccess() === "opens",
    verdict,
  })
  env.console.startOver()
  const failed: Failure[] = options.accelerator === "auto" ? [...(verdict?.failed ?? [])] : []
  let silentRestarts = 0
  let fallbacks = 0
  for (const [index, candidate] of candidates.entries()) {
    const { accelerator } = candidate
    const tried = await tryCandidate(env, candidate)
    silentRestarts += tried.restarts
    if (tried.outcome.kind === "up") {
      const { machine } = tried.outcome
      await remember(env, key, verdict, { proven: accelerator, failed })
      if (failed.length > 0) machine.explain(explanation(failed))
      await machine.recorded()
      return { machine, silentRestarts, fallbacks }
    }
    const reason = reasonOf(tried.outcome)
    const to = candidates[index + 1]?.accelerator
    if (to === undefined) {
      if (verdict !== undefined) await write(env, key, undefined)
      throw failure(env, candidate, tried.outcome)
    }
    failed.push({ accelerator, reason })
    fallbacks++
    context.log.info("accelerator does not work, falling back", { from: accelerator, to, reason })
    context.emit({ type: "accelerator-fallback", from: accelerator, to, reason })
  }
  throw new Error("there is always emulation")
}

async function tryCandidate(
  env: Environment,
  candidate: Candidate,
): Promise<{ outcome: Outcome; restarts: number }> {
  const { options, context } = env
  const { accelerator, trusted } = candidate
  const patienceMs = trusted ? options.silenceMs : options.provingMs
  const most = trusted ? SILENT_RESTARTS_MAX : 0
  for (let restarts = 0; ; restarts++) {
    const outcome = await attempt(env, accelerator, patienceMs)
    if (outcome.kind !== "silent" || restarts >= most) return { outcome, restarts }
    context.log.info("guest is silent, starting it again", {
      accelerator,
      seconds: outcome.seconds,
      again: restarts + 1,
    })
    context.emit({ type: "restarted-silent", accelerator, seconds: outcome.seconds, again: restarts + 1 })
  }
}

type Failed = Exclude<Outcome, { kind: "up" }>

function reasonOf(outcome: Failed): string {
  return outcome.kind === "silent" ? `the guest printed nothing within ${outcome.seconds} s` : outcome.reason
}

function explanation(failed: readonly Failure[]): string {
  return failed.map(({ accelerator, reason }) => `${accelerator} does not work here: ${reason}`).join("; ")
}

function failure(env: Environment, candidate: Candidate, outcome: Failed): SidecarError {
  const { name, accelerator: requested } = env.options
  const { accelerator, trusted } = candidate
  const forced = requested !== "auto" && !trusted
  const message = `Cannot start "${name}" with ${accelerator}: ${reasonOf(outcome)}`
  const detail = outcome.kind === "died" ? outcome.detail : env.console.tail(CONSOLE_TAIL_LINES)
  if (forced) {
    const next = `Set the accelerator to "auto", which finds out what works here, or to "tcg"`
    return new SidecarError("unsupported", message, { next, detail })
  }
  if (outcome.kind === "died")
    return new SidecarError("crashed", message, { detail, next: `Read ${env.paths.hypervisorLog}` })
  return new SidecarError("timeout", `${message}, ${SILENT_RESTARTS_MAX + 1} times in a row`, { detail })
}

/** Remembers what this start found out, unless it is known already. */
async function remember(
  env: Environment,
  key: string,
  before: Verdict | undefined,
  now: Verdict,
): Promise<void> {
  if (JSON.stringify(before) === JSON.stringify(now)) return
  // A forced accelerator that works says nothing of those that were not tried.
  if (env.options.accelerator !== "auto" && (before !== undefined || now.proven === "tcg")) return
  await write(env, key, now)
}

/** A verdict that cannot be written costs the next start some seconds, and is no reason to fail this one. */
async function write(env: Environment, key: string, verdict: Verdict | undefined): Promise<void> {
  try {
    await writeVerdict(env.options.verdictFile, key, verdict)
  } catch (error) {
    env.context.log.info("cannot remember the accelerator", { reason: String(error) })
  }
}

/** Throws "not-found" for what the machine boots from and is not there, before anything is started. */
export async function checkFiles(env: Pick<Environment, "options">): Promise<void> {
  const { name, boot: files, disks } = env.options
  const needed = [
    { what: "the kernel", path: files.kernel },
    { what: "the initrd", path: files.initrd },
    ...disks.map((disk) => ({ what: `the disk ${disk.serial}`, path: disk.path })),
  ]
  for (const { what, path } of needed) {
    try {
      await stat(path)
    } catch (cause) {
      throw new SidecarError("not-found", `Cannot start "${name}": ${what} "${path}" is not there`, { cause })
    }
  }
}
