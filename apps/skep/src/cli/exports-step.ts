/**
 * The one step of a command that needs root: what the host's kernel exports to a machine. It is the command's, as only the command may have a terminal on
 * which sudo can ask; what it could not do the backend tries again without asking.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import {
  type AsRoot,
  type ExportRequest,
  exportAsRoot,
  exportedMachines,
  takeBackAsRoot,
  thisSystem,
} from "@skep/shares/exports"
import type { ExportsWish } from "../backend/exports/machine-exports.ts"
import type { BackendClient } from "../client/backend.ts"
import { programArguments } from "../client/program.ts"
import { checkName } from "../home/paths.ts"
import { exportName } from "../machine/export-name.ts"
import type { Session } from "./session.ts"

export interface ExportsStep {
  readonly session: Session
  /** Undefined for a machine that is gone. */
  readonly backend?: BackendClient
  readonly machine: string
  /** How root is had on this host; tests have another one. */
  readonly host?: Pick<AsRoot, "etc" | "sudo">
}

/** Before a change: exports what the machine will need. Throws what cannot be exported, and what this host lacks for it. */
export async function exportFirst(
  { session, backend, machine, host }: ExportsStep & { readonly backend: BackendClient },
  wish: ExportsWish,
): Promise<void> {
  const request = await wanted(backend, machine, wish)
  if (request === null) return
  const applied = await exportAsRoot(request, howFor(session, host))
  for (const warning of applied?.warnings ?? []) session.output.note(warning)
}

/** After a change: takes back what is not needed any more. What stays is told, with what to type; the change itself is done. */
export async function takeBackRest({ session, backend, machine, host }: ExportsStep): Promise<void> {
  const name = exportName(session.home, machine)
  try {
    if (!(await exportedMachines(thisSystem(host?.etc))).includes(name)) return
    const how = howFor(session, host)
    const runs = backend !== undefined && isUp((await backend.machine(machine)).state)
    const request = runs ? await wanted(backend, machine, {}) : null
    if (request === null) await takeBackAsRoot([name], how)
    else await exportAsRoot(request, how)
  } catch (error) {
    if (!(error instanceof SidecarError) || error.code === "aborted") throw error
    const next = error.next === undefined ? "" : `. ${error.next}`
    session.output.note(`What was exported to ${machine} stays so: ${error.message}${next}`)
  }
}

async function wanted(
  backend: BackendClient,
  machine: string,
  wish: ExportsWish,
): Promise<ExportRequest | null> {
  const path = `/machines/${encodeURIComponent(checkName(machine))}/exports`
  // The backend is of our own build, so its answers have our own types.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return (await backend.request("POST", path, wish)) as ExportRequest | null
}

function howFor({ output, signal }: Session, host: ExportsStep["host"]): AsRoot {
  return {
    program: [process.execPath, ...programArguments("exports")],
    say: (lines) => {
      for (const line of lines) output.note(line)
    },
    interactive: !output.json && process.stdin.isTTY && process.stderr.isTTY,
    signal,
    ...host,
  }
}

function isUp(state: string): boolean {
  return state !== "stopped" && state !== "crashed"
}
