/**
 * Asking the kernel a little longer before sleeping, where that has been worth it: the adaptive halt polling of KVM
 * (Documentation/virt/kvm/halt-polling.rst of Linux), applied to epoll.
 *
 * ```
 *                    came while asking: as it was
 *  asks up to `#budgetMs` ─┤
 *                    └─ sleeps ─┬─ woken within `mostMs` of the beginning: budget × 2, it was nearly worth it
 *                               └─ later: budget 0, so that one who mostly sleeps never asks
 * ```
 *
 * A core that sleeps takes some 40 µs to wake, which is most of a round trip on one machine. Between two questions the core is offered to others that could
 * run on it, since what is waited for may be one of them.
 *
 * @module
 */
import { yieldCore } from "../sys/epoll.ts"
import type { Clock } from "./clock.ts"
import type { Counters } from "./counters.ts"
import type { Poller } from "./poller.ts"

const FIRST_MS = 0.025

export interface BusyPollOptions {
  readonly poller: Pick<Poller, "wait">
  /** The longest time spent asking before one sleep; 0 for never. */
  readonly mostMs: number
  readonly clock: Clock
  readonly counters: Counters
}

export class BusyPoll {
  readonly #poller: Pick<Poller, "wait">
  readonly #mostMs: number
  readonly #clock: Clock
  readonly #counters: Counters
  #budgetMs = 0

  constructor({ poller, mostMs, clock, counters }: BusyPollOptions) {
    this.#poller = poller
    this.#mostMs = mostMs
    this.#clock = clock
    this.#counters = counters
  }

  /**
   * `Poller.wait`, where the work since the last wait took `workedMs`. After much of it a core's waking is little beside it, and others have waited for this
   * core for long: then the thread sleeps at once.
   */
  wait(timeoutMs: number, workedMs: number): number {
    if (timeoutMs <= 0 || this.#mostMs <= 0) return this.#poller.wait(timeoutMs)
    const began = this.#clock.now()
    const found = workedMs > this.#mostMs ? 0 : this.#ask(began, Math.min(this.#budgetMs, timeoutMs))
    if (found !== 0) return found
    const askedMs = this.#budgetMs > 0 ? this.#clock.now() - began : 0
    const result = this.#poller.wait(Math.max(0, timeoutMs - askedMs))
    this.#counters.add("sleeps", 1)
    this.#learn(this.#clock.now() - began, result > 0)
    return result
  }

  /** How many events came within `forMs`, or what went wrong; 0 for none. */
  #ask(began: number, forMs: number): number {
    let now = began
    let found = 0
    while (found === 0 && now - began < forMs) {
      found = this.#poller.wait(0)
      if (found === 0) yieldCore()
      now = this.#clock.now()
    }
    this.#counters.add("askingMs", now - began)
    return found
  }

  #learn(tookMs: number, came: boolean): void {
    if (tookMs > this.#mostMs) this.#budgetMs = 0
    // The end of a short wait is no event that asking would have found sooner.
    else if (came) this.#budgetMs = Math.min(this.#mostMs, Math.max(FIRST_MS, this.#budgetMs * 2))
  }
}
