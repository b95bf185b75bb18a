/**
 * Notices of what a machine can bring about as often as it likes: a link that flaps fills neither the log nor the way to the main thread.
 *
 * Of each kind and machine a few are told at once, and then one in ten seconds: the last one, with how many more there were. So the last word is
 * always told, if late.
 *
 * @module
 */
import { Budget } from "@skep/link"
import type { RepeatedNotice } from "../thread/calls.ts"
import type { Timer } from "./driver.ts"

const BURST = 5
const REST_MS = 10_000
const A_SECOND = 1000 / REST_MS

export interface NoticeBudgetOptions {
  readonly now: () => number
  readonly timer: (callback: () => void) => Timer
  readonly notify: (notice: RepeatedNotice) => void
}

interface Told {
  readonly budget: Budget
  /** The last that was not told, and how many there are. */
  withheld: RepeatedNotice | undefined
  count: number
}

export class NoticeBudget {
  readonly #options: NoticeBudgetOptions
  /** By machine, then by kind. */
  readonly #told = new Map<string, Map<string, Told>>()
  readonly #timer: Timer

  constructor(options: NoticeBudgetOptions) {
    this.#options = options
    this.#timer = options.timer(() => this.#tellWithheld())
  }

  tell(notice: RepeatedNotice): void {
    const { now, notify } = this.#options
    const told = this.#of(notice)
    if (told.count === 0 && told.budget.take(now())) {
      notify(notice)
      return
    }
    told.withheld = notice
    told.count++
    if (this.#timer.deadline === Number.POSITIVE_INFINITY) this.#timer.after(REST_MS)
  }

  /** The machine is gone, and nobody asks what was not told of it. */
  forget(machine: string): void {
    this.#told.delete(machine)
  }

  #tellWithheld(): void {
    const { now, notify } = this.#options
    for (const kinds of this.#told.values()) {
      for (const told of kinds.values()) {
        const { withheld, count } = told
        if (withheld === undefined) continue
        if (!told.budget.take(now())) {
          this.#timer.after(REST_MS)
          continue
        }
        told.withheld = undefined
        told.count = 0
        notify(count > 1 ? { ...withheld, more: count - 1 } : withheld)
      }
    }
  }

  #of({ type, machine = "" }: RepeatedNotice): Told {
    const kinds = this.#told.get(machine) ?? new Map<string, Told>()
    this.#told.set(machine, kinds)
    const kind = KINDS[type]
    const told = kinds.get(kind) ?? {
      budget: new Budget(A_SECOND, BURST, this.#options.now()),
      withheld: undefined,
      count: 0,
    }
    kinds.set(kind, told)
    return told
  }
}

/** Up and down are one kind: which of them was last is what counts. */
const KINDS: Readonly<Record<RepeatedNotice["type"], string>> = {
  "machine-connected": "carrier",
  "machine-disconnected": "carrier",
  "link-broken": "link",
  fault: "fault",
}
