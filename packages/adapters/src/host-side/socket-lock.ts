/**
 * One adapter for each socket: the others hear that it is taken.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { type Lock, waitForLock } from "@skep/runtime"

/** An adapter that was killed is a zombie for a moment before the kernel lets go of its lock. */
const LOCK_MS = 500

/** `file`: the lock's own; beside the socket unless told. Code "address-in-use". */
export async function lockSocket(
  socket: string,
  signal: AbortSignal,
  file = `${socket}.lock`,
): Promise<Lock> {
  try {
    return await waitForLock(file, LOCK_MS, signal)
  } catch (cause) {
    if (!(cause instanceof SidecarError) || cause.code !== "busy") throw cause
    throw new SidecarError("address-in-use", `Cannot listen on "${socket}": another process does`, {
      cause,
      next: "Stop it, or choose another path",
    })
  }
}
