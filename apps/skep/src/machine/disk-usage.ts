/**
 * What a machine's data disk takes on the host.
 *
 * @module
 */
import { stat } from "node:fs/promises"

/** Bytes of the file that are really there; sparse blocks do not count, and a file that is not there has none. */
export async function allocatedBytes(path: string): Promise<number> {
  try {
    return (await stat(path)).blocks * 512
  } catch {
    return 0
  }
}
