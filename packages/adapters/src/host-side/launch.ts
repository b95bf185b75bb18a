/**
 * Starting somebody else's program, whose sockets only this user may open.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process"
import { SidecarError } from "@skep/contract"
import { errnoOf } from "@skep/runtime"

/** What it makes gets mode 0600 through the mask. */
export function launch(program: string, args: readonly string[]): ChildProcess {
  const mask = process.umask(0o177)
  try {
    return spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], cwd: "/" })
  } finally {
    process.umask(mask)
  }
}

/** Why it did not start: "host-program-missing", with what to do `next`, or "permission-denied". */
export function notStarted(program: string, cause: Error, next: string): SidecarError {
  if (errnoOf(cause) !== "ENOENT")
    return new SidecarError("permission-denied", `Cannot start "${program}": ${cause.message}`, { cause })
  const message = `Cannot start "${program}": there is no such program on this host`
  return new SidecarError("host-program-missing", message, { cause, next })
}
