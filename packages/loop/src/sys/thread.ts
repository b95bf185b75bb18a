/**
 * What the calling thread has used: getrusage(2).
 *
 * @module
 */
import { RUSAGE } from "./abi.ts"
import { libc } from "./libc.ts"

/** bits/resource.h. */
const RUSAGE_THREAD = 1

const bytes = new Uint8Array(RUSAGE.size)
const view = new DataView(bytes.buffer)

/** How often this thread has waited for something: gave up the processor by itself, and did not lose it to another thread. */
export function waitsOfThread(): number {
  return libc.getrusage(RUSAGE_THREAD, bytes) < 0
    ? 0
    : Number(view.getBigInt64(RUSAGE.voluntarySwitches, true))
}
