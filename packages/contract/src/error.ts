/**
 * The one error class of Skep, and the union of codes that callers may switch on.
 *
 * Grammar of a message: action, quoted value, colon, reason; no period at the end.
 * `Cannot listen on "unix:/x.sock": address is in use`.
 *
 * @module
 */

/** What went wrong, for programs. Callers switch on this and never on the text. */
export type ErrorCode =
  | "aborted"
  | "address-in-use"
  | "already-running"
  | "bad-name"
  | "bad-options"
  | "busy"
  | "corrupt-file"
  | "crashed"
  | "disk-full"
  | "download-failed"
  | "exists"
  | "host-program-missing"
  | "image-broken"
  | "image-build-failed"
  | "internal"
  | "not-found"
  | "not-running"
  | "path-too-long"
  | "permission-denied"
  | "protocol"
  | "shrink-refused"
  | "timeout"
  | "too-small"
  | "unreachable"
  | "unsupported"
  | "unsupported-arch"

export interface SidecarErrorOptions {
  readonly cause?: unknown
  /** What the user can type or change next, as a sentence. */
  readonly next?: string
  /** Facts for a reader who wants more, such as the last lines of a console. */
  readonly detail?: readonly string[]
}

/** An error as it crosses a control socket. */
export interface ErrorBody {
  readonly code: ErrorCode
  readonly message: string
  readonly next?: string
  readonly detail?: readonly string[]
}

/** The world refused something: one sentence, a code, and where there is one the next step. */
export class SidecarError extends Error {
  override readonly name = "SidecarError"
  readonly code: ErrorCode
  readonly next: string | undefined
  readonly detail: readonly string[]

  constructor(code: ErrorCode, message: string, options: SidecarErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.next = options.next
    this.detail = options.detail ?? []
  }

  /** The error itself where it is one of ours; else one with this code, its words, and it as the cause. */
  static of(error: unknown, code: ErrorCode = "internal"): SidecarError {
    if (error instanceof SidecarError) return error
    return new SidecarError(code, error instanceof Error ? error.message : String(error), { cause: error })
  }

  toJSON(): ErrorBody {
    return {
      code: this.code,
      message: this.message,
      ...(this.next === undefined ? {} : { next: this.next }),
      ...(this.detail.length === 0 ? {} : { detail: this.detail }),
    }
  }
}
