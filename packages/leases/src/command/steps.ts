/**
 * The steps that change something, each in this process or as root: what they are told is checked anew, since it came over a pipe.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { undo } from "../file/backup.ts"
import type { Disk } from "../file/disk.ts"
import { formatNamed } from "../formats/index.ts"
import { underLock } from "../janitor/lock.ts"
import { type Removed, removeLeases } from "../janitor/remove.ts"
import { readLeases } from "../janitor/survey.ts"
import type { Document } from "../model.ts"
import { memberOf, textOf } from "../owners/machine.ts"
import type { ServerHost } from "../servers/server.ts"
import { serverNamed } from "../servers/servers.ts"

export interface StepContext {
  readonly disk: Disk
  readonly host: ServerHost
  readonly now: () => number
  readonly signal: AbortSignal
}

export interface RemoveStep {
  readonly path: string
  readonly format: string
  readonly keys: readonly string[]
}

export interface UndoStep {
  readonly path: string
  readonly format: string
  readonly force: boolean
}

export type RemoveResult = Removed & { readonly keys: readonly string[] }

export interface UndoResult {
  readonly path: string
  readonly restored: string
  readonly backup?: string
  readonly server: "told" | "not-running"
}

export async function removeStep(
  { path, format: name, keys }: RemoveStep,
  context: StepContext,
  known?: Document,
): Promise<RemoveResult> {
  const format = formatNamed(name)
  if (format === undefined) throw unknownFormat(name)
  return await removeLeases(path, new Set(keys), { ...context, format, known, inUse: "stays" })
}

/** Throws "unsupported" where the server has its leases in memory and runs: it would write over it. */
export async function undoStep({ path, format, force }: UndoStep, context: StepContext): Promise<UndoResult> {
  const { disk, host, signal, now } = context
  const server = serverNamed(format)
  const isRunning = (await server?.isRunning(path, host, signal)) === true
  if (server !== undefined && isRunning && server.whileRunning !== "edit") {
    throw new SidecarError(
      "unsupported",
      `Cannot put leases back into "${path}": ${server.title} runs, and would write over it`,
      {
        next: server.next.replace("prune", "undo"),
      },
    )
  }
  const done = await underLock(disk.resolve(path), { disk, server, signal }, () =>
    undo(path, { disk, now: now(), force }),
  )
  // A backup that cannot be read would be nobody's gain; it was the server's own file, so this says only what is there now.
  readLeases(path, disk, format)
  if (isRunning) await server?.tell?.(path, host, signal)
  return { ...done, server: isRunning ? "told" : "not-running" }
}

export function parseRemoveStep(input: unknown): RemoveStep {
  const [path, format, keys] = ["path", "format", "keys"].map((name) => memberOf(input, name))
  const words = Array.isArray(keys) ? keys.filter((key) => typeof key === "string") : []
  return { path: absolute(path), format: textOf(format) ?? "", keys: words }
}

export function parseUndoStep(input: unknown): UndoStep {
  return {
    path: absolute(memberOf(input, "path")),
    format: textOf(memberOf(input, "format")) ?? "",
    force: memberOf(input, "force") === true,
  }
}

function absolute(value: unknown): string {
  const path = textOf(value) ?? ""
  if (path.startsWith("/") && !path.includes("\0")) return path
  throw new SidecarError("bad-options", "Cannot change a lease file: its path is not absolute")
}

function unknownFormat(name: string): SidecarError {
  return new SidecarError(
    "bad-options",
    `Cannot change leases of the format "${name}": there is no such format`,
  )
}
