/**
 * Ending a process that is known by its identity.
 *
 * @module
 */
import type { Identity } from "@skep/contract"
import { isAlive, signalProcess, sleep } from "@skep/runtime"

const GONE_POLL_MS = 10

/** Kills that very process and waits until it is gone. Returns whether it was there. */
export async function endProcess(identity: Identity): Promise<boolean> {
  if (!signalProcess(identity, "SIGKILL")) return false
  while (isAlive(identity)) await sleep(GONE_POLL_MS, neverAborts)
  return true
}

const neverAborts = new AbortController().signal
