/**
 * A bounded number of things at a time, and a bounded queue for the rest.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { withResolvers } from "@skep/runtime"

interface Waiter {
  readonly admit: () => void
}

/** Counts what is open. First come, first served. */
export class Slots {
  readonly #what: string
  readonly #queueMax: number
  readonly #limit: number
  #open = 0
  #waiting: Waiter[] = []

  constructor(what: string, limit: number, queueMax: number) {
    this.#what = what
    this.#limit = limit
    this.#queueMax = queueMax
  }

  get open(): number {
    return this.#open
  }

  /** Takes a slot or waits for one; the caller gives it back with `release`. Throws "busy" when the queue is full. */
  async take(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (this.#open < this.#limit) {
      this.#open += 1
      return
    }
    if (this.#waiting.length >= this.#queueMax) {
      throw new SidecarError(
        "busy",
        `Cannot open one more ${this.#what}: ${this.#open} are open and ${this.#queueMax} wait`,
      )
    }
    await this.#turn(signal)
  }

  release(): void {
    this.#open -= 1
    this.#admit()
  }

  #turn(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = withResolvers<void>()
    const onAbort = (): void => {
      this.#waiting = this.#waiting.filter((other) => other !== waiter)
      reject(signal.reason)
    }
    const waiter: Waiter = {
      admit: () => {
        signal.removeEventListener("abort", onAbort)
        resolve()
      },
    }
    signal.addEventListener("abort", onAbort, { once: true })
    this.#waiting.push(waiter)
    return promise
  }

  #admit(): void {
    while (this.#open < this.#limit) {
      const next = this.#waiting.shift()
      if (next === undefined) return
      this.#open += 1
      next.admit()
    }
  }
}
