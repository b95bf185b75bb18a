/**
 * Whom we asked for their MAC address, and how often: RFC 4861, section 7.2.2, for ARP as well.
 *
 * @module
 */
import type { Key } from "./neighbour-table.ts"

/** RFC 4861, section 10: RETRANS_TIMER and MAX_MULTICAST_SOLICIT. */
const RETRANSMIT_MS = 1000
const TRIES_MAX = 3
/** After so long without an answer, asking begins anew. */
const GIVE_UP_MS = 10_000
const QUESTIONS_MAX = 1024

interface Question {
  tries: number
  lastMs: number
}

export class Questions {
  /** The oldest first. */
  readonly #open = new Map<Key, Question>()

  /** Whether to ask now; then it counts as asked. */
  ask(key: Key, nowMs: number): boolean {
    const question = this.#open.get(key)
    if (question === undefined || nowMs - question.lastMs >= GIVE_UP_MS) {
      this.#open.delete(key)
      this.#open.set(key, { tries: 1, lastMs: nowMs })
      this.#bound()
      return true
    }
    if (question.tries >= TRIES_MAX || nowMs - question.lastMs < RETRANSMIT_MS) return false
    question.tries++
    question.lastMs = nowMs
    return true
  }

  /** Whether it was asked as often as it is, and nobody answered. */
  isUnanswered(key: Key, nowMs: number): boolean {
    const question = this.#open.get(key)
    return question?.tries === TRIES_MAX && nowMs - question.lastMs >= RETRANSMIT_MS
  }

  /** It is known. Returns whether it was asked for. */
  answer(key: Key): boolean {
    return this.#open.delete(key)
  }

  #bound(): void {
    if (this.#open.size <= QUESTIONS_MAX) return
    for (const oldest of this.#open.keys()) {
      this.#open.delete(oldest)
      return
    }
  }
}
