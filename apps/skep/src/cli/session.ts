/**
 * What a command is given: where Skep's home is, where to print, and a signal that Ctrl-C aborts.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { type Home, homeFrom } from "../home/paths.ts"
import { Output } from "./output.ts"

export interface Session {
  readonly home: Home
  readonly output: Output
  readonly signal: AbortSignal
}

/** A session for this process. The first Ctrl-C aborts the signal; a second one ends the process at once. */
export function openSession(json: boolean): Session {
  const controller = new AbortController()
  let interrupts = 0
  const interrupt = (): void => {
    interrupts++
    if (interrupts > 1) process.exit(130)
    controller.abort(new SidecarError("aborted", "Interrupted"))
  }
  process.on("SIGINT", interrupt)
  process.on("SIGTERM", interrupt)
  return { home: homeFrom(process.env), output: new Output(json), signal: controller.signal }
}
