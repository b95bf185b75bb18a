/**
 * The sidecar contract.
 *
 * 1. `parseOptions` is pure: it checks what came from outside and throws `bad-options`.
 * 2. `start` resolves when the sidecar is ready for use, so nobody polls for readiness. While it runs, aborting
 *    `context.signal` rejects it with the signal's own reason and leaves nothing behind: no process, no socket, no file.
 *    After it resolved the signal means nothing any more; the sidecar is stopped by disposal.
 * 3. One `Sidecar` may be started many times; instances live side by side as long as their options name different
 *    endpoints. The same endpoint may be used again as soon as disposal has resolved.
 * 4. Disposal is idempotent and may race itself: every call resolves when the sidecar has stopped.
 * 5. `closed` settles exactly once: it fulfils after a clean stop and rejects after a crash, with the reason.
 * 6. `status` may be called at any time and concurrently. After the stop it rejects with `not-running`.
 * 7. Files and sockets named in `endpoints` belong to the running sidecar; directories belong to the caller.
 *
 * @module
 */

/** A program of Skep, not started yet. */
export interface Sidecar<Options, Status, R extends Running<Status> = Running<Status>> {
  readonly name: string
  /** Checks options that came from outside. Throws SidecarError "bad-options". */
  parseOptions(input: unknown): Options
  /** Resolves when ready for use. Aborting before that leaves nothing behind. */
  start(options: Options, context: Context): Promise<R>
}

/** A started sidecar. Disposing it stops it; a second disposal does nothing more. */
export interface Running<Status> extends AsyncDisposable {
  /** Where it listens: a path for a Unix socket, `tcp://ADDRESS:PORT` for the rest. */
  readonly endpoints: readonly string[]
  /** Fulfils after a clean stop, rejects after a crash. Settles exactly once. */
  readonly closed: Promise<void>
  /** Rejects with "not-running" after the stop. */
  status(): Promise<Status>
}

/** What a sidecar is given by whoever starts it. */
export interface Context {
  /** Cancels the start, and nothing else. */
  readonly signal: AbortSignal
  readonly log: Log
  /** Tells whoever listens on the control socket's `/events`. Never blocks, never throws. */
  readonly emit: (event: SidecarEvent) => void
}

/** One thing that happened, for `/events`. `type` is lower-case words joined by `-`. */
export interface SidecarEvent {
  readonly type: string
  readonly [field: string]: unknown
}

/** Facts beside an event name. */
export type Fields = Readonly<Record<string, unknown>>

/** One line, one fact. Event names are lower-case words. */
export interface Log {
  info(event: string, fields?: Fields): void
  debug(event: string, fields?: Fields): void
  /** Only for what ends the sidecar. */
  error(event: string, fields?: Fields): void
}

/** Monotonic counts since the start, by name; `/metrics` shows each as `skep_SIDECAR_NAME_total`. */
export type Counters = Readonly<Record<string, number>>

/** Which process is meant before it is signalled: a pid alone is reused by the kernel, a pid with its start time is not. */
export interface Identity {
  readonly pid: number
  /** Opaque; what the kernel says of when the process started (Linux: field 22 of /proc/PID/stat and the boot id). */
  readonly startTime: string
}

/** Which start of a sidecar is meant before its socket is asked: the path may lead to a successor by now. */
export interface Instance extends Identity {
  /** Random per start. A control socket refuses a request that names another one with "not-running". */
  readonly nonce: string
}
