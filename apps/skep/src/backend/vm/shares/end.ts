/**
 * Ending the sidecar of the shares that a machine left which nobody could adopt, whichever it is.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { adopt, parseSharesStatus } from "@skep/runtime"
import type { MachinePaths } from "../../../home/paths.ts"
import { controlOf } from "./machine-shares.ts"

const ADOPT_MS = 5000

export async function endShares(paths: MachinePaths): Promise<void> {
  try {
    const signal = AbortSignal.timeout(ADOPT_MS)
    const stray = await adopt({ control: controlOf(paths), signal, parseStatus: parseSharesStatus })
    await stray[Symbol.asyncDispose]()
  } catch (error) {
    if (!(error instanceof SidecarError)) throw error // there is none, or it ends by itself now that its machine is gone
  }
}
