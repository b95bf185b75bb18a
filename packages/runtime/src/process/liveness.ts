/**
 * Whether a process that runs also answers. One that is stopped, or stuck for ever, holds its sockets and locks, and nobody sees it end.
 *
 *     answered ──everyMs──► asked ── answered ──► answered
 *                             └── nothing in answerMs, or refused ──► asked again … ── misses in a row ──► silent
 *
 * Generous, since a busy host is no reason to end a process that works; and cheap, a few bytes every few seconds.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { sleep, withDeadline } from "../deadline.ts"

export interface Liveness {
  /** From one question to the next. */
  readonly everyMs: number
  /** How long an answer may take. */
  readonly answerMs: number
  /** Unanswered questions in a row that make it silent. */
  readonly misses: number
}

/** A hang is noticed after 15 to 20 s. */
export const LIVENESS: Liveness = { everyMs: 5000, answerMs: 5000, misses: 3 }

export type Ask = (signal: AbortSignal) => Promise<unknown>

/** Asks for ever. Resolves with the seconds without an answer when it is silent, and with undefined when the signal aborts. */
export async function untilSilent(
  ask: Ask,
  { everyMs, answerMs, misses }: Liveness,
  signal: AbortSignal,
): Promise<number | undefined> {
  let missed = 0
  let since = 0
  let restMs = everyMs
  while (missed < misses) {
    await sleep(restMs, signal).catch(() => undefined) // the signal is looked at below
    if (signal.aborted) return undefined
    const began = performance.now()
    if (await answers(ask, answerMs, signal)) missed = 0
    else {
      if (missed === 0) since = began
      missed++
    }
    // A refusal comes at once, and three of them in a row say nothing yet.
    restMs = Math.max(0, everyMs - (performance.now() - began))
  }
  return signal.aborted ? undefined : Math.round((performance.now() - since) / 1000)
}

async function answers(ask: Ask, answerMs: number, signal: AbortSignal): Promise<boolean> {
  try {
    await withDeadline("hear from the process", answerMs, signal, ask)
    return true
  } catch (error) {
    if (signal.aborted || error instanceof SidecarError) return false
    throw error
  }
}
