/**
 * The last resort: ends a hypervisor whose launcher is gone or does not answer.
 *
 * @module
 */
import { join } from "node:path"
import type { Identity } from "@skep/contract"
import { isAlive, signalProcess, sleep } from "@skep/runtime"
import { endKeeper } from "../keeper/process.ts"
import { keeperSocketOf, RECORD_NAME } from "../paths.ts"
import { readRecord } from "./record.ts"

const GONE_POLL_MS = 10

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

/** Kills that very process and waits until it is gone. Returns whether it was there. */
export async function endProcess(identity: Identity): Promise<boolean> {
  if (!signalProcess(identity, "SIGKILL")) return false
  while (isAlive(identity)) await sleep(GONE_POLL_MS, neverAborts)
  return true
}

const neverAborts = new AbortController().signal
