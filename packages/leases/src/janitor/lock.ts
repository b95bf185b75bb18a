/**
 * Who changes a lease file has its lock: the server's own where there is one, else one beside the file.
 *
 * @module
 */
import type { Disk } from "../file/disk.ts"
import { refusedFile } from "../file/refusal.ts"
import type { LeaseServer } from "../servers/server.ts"

export interface LockOptions {
  readonly disk: Disk
  readonly server?: LeaseServer | undefined
  readonly signal: AbortSignal
}

/** `path`: without symbolic links. Throws what `work` throws, "busy", and as `refusedFile` says what the system does. */
export async function underLock<T>(
  path: string,
  { disk, server, signal }: LockOptions,
  work: () => T,
): Promise<T> {
  const lockPath = server?.lockOf?.(path) ?? `${path}.skep-lock`
  try {
    using _lock = await disk.lock(lockPath, signal)
    return work()
  } catch (error) {
    throw refusedFile("change", path, error)
  }
}
