/**
 * Errors on their way between threads: structured cloning drops their code, so they cross as plain records.
 *
 * @module
 */
import { SystemError } from "../sys/error.ts"

/**
 * What goes wrong with a loop thread itself, and what its handlers refuse.
 *
 * Our own codes: "unavailable" there is no FFI here; "no-loop" the entry ended without running a loop; "stopped" it has ended, or was
 * asked to; "timeout" no answer in time; "stuck" it did not end when asked; "crashed" an exception without a code ended it; "refused" an
 * exception without a code answered a call; "unknown-call". A handler's error keeps the code it has.
 */
export class LoopError extends Error {
  override readonly name = "LoopError"
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** An error as plain data. */
export interface CarriedError {
  readonly message: string
  readonly code: string | undefined
  readonly syscall: string | undefined
  readonly errno: number | undefined
  readonly stack: string | undefined
}

export function carry(error: unknown): CarriedError {
  if (!(error instanceof Error))
    return { message: String(error), code: undefined, syscall: undefined, errno: undefined, stack: undefined }
  return {
    message: error.message,
    code: "code" in error && typeof error.code === "string" ? error.code : undefined,
    syscall: error instanceof SystemError ? error.syscall : undefined,
    errno: error instanceof SystemError ? error.errno : undefined,
    stack: error.stack,
  }
}

/** The error again, with the stack it had over there. `code` is for one that has none. */
export function revive(carried: CarriedError, code: string): Error {
  const { syscall, errno } = carried
  const error =
    syscall !== undefined && errno !== undefined
      ? new SystemError(syscall, errno, detailOf(carried.message))
      : new LoopError(carried.code ?? code, carried.message)
  if (carried.stack !== undefined) error.stack = carried.stack
  return error
}

/** What follows "syscall: CODE, " in the message of a SystemError. */
function detailOf(message: string): string | undefined {
  const comma = message.indexOf(", ")
  return comma < 0 ? undefined : message.slice(comma + 2)
}
