/**
 * What a loop counts, in memory that another thread may read at any time without asking.
 *
 * One thread writes. A 64-bit store is whole on the processors we run on, so a reader sees an older or a newer number, never half of one; numbers
 * that belong together may be one batch apart.
 *
 * @module
 */
import { at } from "../memory/words.ts"

const NAMES = [
  /** Rounds that could wait. An idle loop has none. */
  "wakeups",
  /** Waits in which the thread slept: the rest had their events while it still asked (see BusyPoll). */
  "sleeps",
  /** Time spent asking before sleeping. */
  "askingMs",
  /** All rounds, also those that did not wait since work was left. */
  "batches",
  "events",
  /** Events for a descriptor that was removed in the meantime, and dropped. */
  "staleEvents",
  "timerFires",
  "deferred",
  /** Exceptions from handlers. */
  "handlerErrors",
  /** Times the epoll instance was made anew, to be rid of descriptors that were closed without being removed. */
  "rebuilds",
  "longestBatchMs",
  /** Time spent in batches, not in waiting. */
  "busyMs",
  /** Descriptors registered now. */
  "registrations",
  /** Calls from the main thread. */
  "calls",
] as const

export type CounterName = (typeof NAMES)[number]
export type Counts = Readonly<Record<CounterName, number>>

const INDEX: Readonly<Record<CounterName, number>> = record((index) => index)

export const COUNTERS_BYTES: number = NAMES.length * Float64Array.BYTES_PER_ELEMENT

export class Counters {
  readonly #values: Float64Array

  constructor(buffer: ArrayBufferLike = new ArrayBuffer(COUNTERS_BYTES)) {
    this.#values = new Float64Array(buffer, 0, NAMES.length)
  }

  add(name: CounterName, amount: number): void {
    const index = INDEX[name]
    this.#values[index] = at(this.#values, index) + amount
  }

  set(name: CounterName, value: number): void {
    this.#values[INDEX[name]] = value
  }

  atLeast(name: CounterName, value: number): void {
    if (value > at(this.#values, INDEX[name])) this.set(name, value)
  }

  read(): Counts {
    return record((index) => at(this.#values, index))
  }
}

function record(value: (index: number) => number): Record<CounterName, number> {
  const values: Partial<Record<CounterName, number>> = {}
  for (const [index, name] of NAMES.entries()) values[name] = value(index)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the line above has filled in every name
  return values as Record<CounterName, number>
}
