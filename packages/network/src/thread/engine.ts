/**
 * What moves the packets, as the main thread sees it: something that takes `ThreadCalls` and gives `ThreadNotice`s.
 *
 * @module
 */
import { type ErrorCode, SidecarError } from "@skep/contract"
import { type ArgumentOf, type ResultOf, startLoop } from "@skep/loop"
import type { ThreadCalls, ThreadData, ThreadNotice } from "./calls.ts"

/** Disposing it ends it. */
export interface Engine extends AsyncDisposable {
  /** Rejects with the handler's own error. Calls arrive in order. */
  call<Name extends keyof ThreadCalls>(
    name: Name,
    argument: ArgumentOf<ThreadCalls, Name>,
  ): Promise<ResultOf<ThreadCalls, Name>>
  /** Fulfils after a clean end, also one of its own accord; rejects after a crash. */
  readonly closed: Promise<void>
}

export interface EngineOptions {
  readonly data: ThreadData
  /** For an engine that waits for the kernel itself. */
  readonly busyPollUs: number
  readonly signal: AbortSignal
  /** Heard in order; what the engine said before its end is heard before `closed`. */
  readonly onNotice: (notice: ThreadNotice) => void
}

export type StartEngine = (options: EngineOptions) => Promise<Engine>

/** The engine in a loop thread whose entry module is `entry`. */
export function loopEngine(entry: URL): StartEngine {
  return ({ data, busyPollUs, signal, onNotice }) =>
    startLoop<ThreadCalls, ThreadNotice>(entry, {
      name: "skep network",
      data,
      signal,
      onNotice,
      busyPollMs: busyPollUs / 1000,
    })
}

/** Codes as handlers and the kernel give them. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  "address-in-use": "address-in-use",
  "bad-options": "bad-options",
  busy: "busy",
  exists: "exists",
  "not-found": "not-found",
  "permission-denied": "permission-denied",
  unsupported: "unsupported",
  unavailable: "unsupported",
  stopped: "not-running",
  crashed: "not-running",
  timeout: "timeout",
  EADDRINUSE: "address-in-use",
  EACCES: "permission-denied",
  EPERM: "permission-denied",
  ENOENT: "not-found",
  ENODEV: "not-found",
  ESRCH: "not-found",
  EBUSY: "busy",
  EMFILE: "busy",
  ENFILE: "busy",
}

/** What to do next, by code. */
export type NextSteps = Partial<Readonly<Record<ErrorCode, string>>>

/** An error of a call as the world may see it; one that is nobody's but ours is returned as it is. */
export function refusalOf(error: unknown, doing: string, steps: NextSteps = {}): unknown {
  if (!(error instanceof Error) || error instanceof SidecarError) return error
  const code = "code" in error ? CODES[String(error.code)] : undefined
  if (code === undefined) return error
  const next = steps[code]
  // A handler's own sentence says it all; the kernel's does not.
  const message = error.message.startsWith("Cannot ") ? error.message : `Cannot ${doing}: ${error.message}`
  return new SidecarError(code, message, { cause: error, ...(next === undefined ? {} : { next }) })
}
