/**
 * A phase of a change: it has a title, a deadline, and is reported with its duration.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { withDeadline } from "@skep/runtime"
import type { Report } from "./operation.ts"

export interface Phase {
  readonly name: string
  readonly title: string
  readonly deadlineMs: number
}

/** Runs the work of one phase. What it throws carries the phase's name in its detail. */
export async function runPhase<T>(
  phase: Phase,
  report: Report,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const began = performance.now()
  const seconds = (): number => Math.round(performance.now() - began) / 1000
  const { name, title } = phase
  report({ type: "begin", phase: name, title })
  try {
    const result = await withDeadline(`finish "${title}"`, phase.deadlineMs, signal, work)
    report({ type: "end", phase: name, title, seconds: seconds() })
    return result
  } catch (error) {
    report({ type: "fail", phase: name, title, seconds: seconds() })
    throw error
  }
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
