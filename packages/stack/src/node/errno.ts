/**
 * Errors of Node as the error numbers of the core, which are Linux's on every system.
 *
 * @module
 */
import { ECONNRESET, errorNumber } from "../host/host.ts"

/** A positive error number; ECONNRESET for what has no number of its own, since the connection is gone all the same. */
export function errnoOf(error: unknown): number {
  if (!(error instanceof Error) || !("code" in error)) return ECONNRESET
  return errorNumber(String(error.code)) ?? ECONNRESET
}
