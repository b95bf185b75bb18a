/**
 * Calls that wait for their answer, each with a deadline.
 *
 * @module
 */
import { LoopError } from "./error.ts"

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

export class PendingCalls {
  readonly #pending = new Map<number, Pending>()
  #last = 0

  get size(): number {
    return this.#pending.size
  }

  /** Sends by `send`, which may throw, and waits for `resolve` or `reject` with the same number. */
  async add(
    name: string,
    deadlineMs: number,
    signal: AbortSignal | undefined,
    send: (call: number) => void,
  ): Promise<unknown> {
    signal?.throwIfAborted()
    const call = ++this.#last
    const abort = (): void => this.reject(call, signal?.reason)
    const timer = setTimeout(() => {
      this.reject(call, new LoopError("timeout", `The loop did not answer "${name}" within ${deadlineMs} ms`))
    }, deadlineMs)
    try {
      return await new Promise((resolve, reject) => {
        this.#pending.set(call, { resolve, reject })
        signal?.addEventListener("abort", abort)
        send(call)
      })
    } finally {
      this.#pending.delete(call)
      clearTimeout(timer)
      signal?.removeEventListener("abort", abort)
    }
  }

  /** Does nothing where nobody waits any more. */
  resolve(call: number, value: unknown): void {
    this.#pending.get(call)?.resolve(value)
  }

  reject(call: number, error: unknown): void {
    this.#pending.get(call)?.reject(error)
  }

  rejectAll(error: Error): void {
    for (const { reject } of this.#pending.values()) reject(error)
  }
}
