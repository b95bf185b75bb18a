/**
 * The human monitor (HMP) through QMP, for the few commands that QMP itself lacks, such as `hostfwd_add`.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import type { Qmp } from "./connection.ts"

/** Runs one line of the human monitor and returns what it printed; most commands print nothing unless they fail. */
export async function monitor(qmp: Qmp, line: string, signal?: AbortSignal): Promise<string> {
  const printed = await qmp.execute("human-monitor-command", { "command-line": line }, signal)
  if (typeof printed === "string") return printed
  throw new SidecarError(
    "protocol",
    `Cannot run "${line}" in QEMU's monitor: it answered ${JSON.stringify(printed)}`,
  )
}
