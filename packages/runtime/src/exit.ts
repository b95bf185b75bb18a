/**
 * Exit codes of Skep's commands. What each means in one of them, its own `--help` says.
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
