/**
 * The last resort: ends a hypervisor whose launcher is gone or does not answer.
 *
 * @module
 */
import { join } from "node:path"
import { endKeeper } from "../keeper/process.ts"
import { keeperSocketOf, RECORD_NAME } from "../paths.ts"
import { endProcess } from "./end-process.ts"
import { readRecord } from "./record.ts"

/**
 * Kills the hypervisor that vm.json of this run directory names, ends its keeper, and waits until both are gone. Returns whether there was a
 * hypervisor.
 */
export async function pullPlug(runDirectory: string): Promise<boolean> {
  const record = await readRecord(join(runDirectory, RECORD_NAME))
  const ran = record !== undefined && (await endProcess(record.identity))
  await endKeeper(keeperSocketOf(runDirectory))
  return ran
}
