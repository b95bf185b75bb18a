/**
 * The image builder's process: one order in, progress and one answer out. It ends with its parent.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { buildImage } from "@skep/guest"
import { silentLog } from "@skep/runtime"
import { forUser } from "../../cli/output.ts"
import type { FromBuilder, ToBuilder } from "./messages.ts"

const aborted = new AbortController()
const abort = (): void => aborted.abort(new SidecarError("aborted", "Interrupted"))
process.on("SIGTERM", abort)
process.on("SIGINT", () => undefined) // Ctrl-C is for the command, which tells the backend, which tells us
process.on("disconnect", abort)

const order = await new Promise<ToBuilder>((resolve) => void process.once("message", resolve))
try {
  const image = await buildImage({
    ...order,
    signal: aborted.signal,
    log: silentLog,
    onProgress: (progress) => void tell({ progress }),
  })
  await tell({ image })
} catch (error) {
  await tell({ error: forUser(error).toJSON() })
}
process.exit()

function tell(message: FromBuilder): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(message, undefined, undefined, () => resolve())
    else resolve()
  })
}
