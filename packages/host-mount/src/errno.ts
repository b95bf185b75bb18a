/**
 * What a file operation is refused with: an errno of Linux. SFTP version 3 (draft-ietf-secsh-filexfer-02, section 7) has nine codes for all of them,
 * and OpenSSH's server says FAILURE for most: whoever gets that one looks at what is there to tell which it was (operations.ts).
 *
 * @module
 */
import { constants } from "node:os"

export type ErrnoName = keyof typeof constants.errno

/** Status codes of SFTP, section 7. */
export const STATUS = {
  eof: 1,
  noSuchFile: 2,
  permissionDenied: 3,
  failure: 4,
  badMessage: 5,
  noConnection: 6,
  connectionLost: 7,
  unsupported: 8,
} as const

const CODES: ReadonlyMap<number, ErrnoName> = new Map<number, ErrnoName>([
  [STATUS.noSuchFile, "ENOENT"],
  [STATUS.permissionDenied, "EACCES"],
  [STATUS.badMessage, "EINVAL"],
  [STATUS.unsupported, "EOPNOTSUPP"],
])

/** Thrown by an operation, and turned into `-errno` where the kernel is answered. */
export class FileError extends Error {
  override readonly name = "FileError"
  readonly code: ErrnoName
  /** Whether the server said no more than that it failed. */
  readonly vague: boolean

  constructor(code: ErrnoName, options: { readonly cause?: unknown; readonly vague?: boolean } = {}) {
    super(code, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.vague = options.vague === true
  }
}

/** Negative, as FUSE wants it; EIO for what is no `FileError`. */
export function negativeErrno(error: unknown): number {
  return -constants.errno[error instanceof FileError ? error.code : "EIO"]
}

/** As OpenSSH's server maps errno to status (sftp-server.c, errno_to_portable), backwards. */
export function fromStatus(error: unknown): FileError {
  if (error instanceof FileError) return error
  const code = CODES.get(statusOf(error) ?? STATUS.failure)
  return code === undefined
    ? new FileError("EIO", { cause: error, vague: true })
    : new FileError(code, { cause: error })
}

/** Undefined where it is no answer of the server: the connection was lost. */
export function statusOf(error: unknown): number | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "number" ? error.code : undefined
}
