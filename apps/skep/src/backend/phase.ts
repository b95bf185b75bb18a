/**
 * A phase of a change: it has a title, a deadline, and is reported with its duration.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { withDeadline } from "@skep/runtime"
import type { Report } from "./operation.ts"

/** How long work that was told to end may take to clear up before the phase ends without it. */
const CLEAR_UP_MS = 15_000

export interface Phase<T = unknown> {
  readonly name: string
  readonly title: string
  readonly deadlineMs: number
  /** Takes back a result that came although the phase was aborted. */
  readonly takeBack?: (late: T) => Promise<void>
}

/**
 * Runs the work of one phase and reports it. After an abort or a passed deadline it waits until the work has cleared up, so
 * that nothing of it runs on behind the caller's back.
 */
export async function runPhase<T>(
  phase: Phase<T>,
  report: Report,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const began = performance.now()
  const seconds = (): number => Math.round(performance.now() - began) / 1000
  const { name, title } = phase
  report({ type: "begin", phase: name, title })
  let working: Promise<T> | undefined
  try {
    const result = await withDeadline(`finish "${title}"`, phase.deadlineMs, signal, (limit) => {
      working = work(limit)
      return working
    })
    report({ type: "end", phase: name, title, seconds: seconds() })
    return result
  } catch (error) {
    if (working !== undefined) await clearedUp(phase, working)
    report({ type: "fail", phase: name, title, seconds: seconds() })
    throw error
  }
}

async function clearedUp<T>(phase: Phase<T>, working: Promise<T>): Promise<void> {
  // The work's own failure is the phase's failure, or came after it.
  const over = working.then(phase.takeBack, () => undefined).catch(() => undefined)
  await withDeadline("clear up", CLEAR_UP_MS, neverAborts, () => over).catch(() => undefined)
}

/** The same error with more lines of detail. */
export function withDetail(error: unknown, detail: readonly string[], next?: string): unknown {
  if (!(error instanceof SidecarError) || error.code === "aborted") return error
  const advice = error.next ?? next
  return new SidecarError(error.code, error.message, {
    cause: error,
    detail: [...error.detail, ...detail],
    ...(advice === undefined ? {} : { next: advice }),
  })
}

const neverAborts = new AbortController().signal
