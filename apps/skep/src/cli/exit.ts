/**
 * Exit codes of the `skep` command; `skep --help` lists them.
 *
 * @module
 */
import type { ErrorCode } from "@skep/contract"

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  wrongState: 4,
  timeout: 5,
  missingProgram: 6,
  interrupted: 130,
} as const

export const EXIT_HELP: string = [
  "0  done (status: Docker answers)",
  "1  failed",
  "2  wrong usage or a value out of bounds",
  "3  no such machine, image or file",
  "4  the machine is not in the state for it (status: Docker does not answer)",
  "5  a deadline passed, or nobody answered",
  "6  a program is missing on the host",
  "130  interrupted",
].join("\n  ")

const BY_CODE: Partial<Record<ErrorCode, number>> = {
  aborted: EXIT.interrupted,
  "bad-name": EXIT.usage,
  "bad-options": EXIT.usage,
  "too-small": EXIT.usage,
  "shrink-refused": EXIT.usage,
  "path-too-long": EXIT.usage,
  "not-found": EXIT.notFound,
  busy: EXIT.wrongState,
  exists: EXIT.wrongState,
  "already-running": EXIT.wrongState,
  "not-running": EXIT.wrongState,
  timeout: EXIT.timeout,
  unreachable: EXIT.timeout,
  "host-program-missing": EXIT.missingProgram,
}

export function exitCodeFor(code: ErrorCode): number {
  return BY_CODE[code] ?? EXIT.failed
}
