/**
 * A refusal of the kernel as an error, for the paths where it is not an expected value.
 *
 * @module
 */
import { errnoName } from "./errno.ts"

/** A system call that failed. `code` is the name of its error number, as Node's own errors have it. */
export class SystemError extends Error {
  override readonly name = "SystemError"
  readonly code: string
  readonly syscall: string
  /** Positive, as in errno(3). */
  readonly errno: number

  constructor(syscall: string, errno: number, detail?: string) {
    const code = errnoName(errno)
    super(`${syscall}: ${detail === undefined ? code : `${code}, ${detail}`}`)
    this.code = code
    this.syscall = syscall
    this.errno = Math.abs(errno)
  }
}

/** Passes on a result that is not negative; throws the `SystemError` of one that is. */
export function check(result: number, syscall: string, detail?: string): number {
  if (result < 0) throw new SystemError(syscall, -result, detail)
  return result
}
