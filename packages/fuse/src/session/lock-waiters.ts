/**
 * Requests that wait for a lock of somebody else. Nobody tells when such a lock goes, so they are tried again from time to time.
 *
 * @module
 */
import { EAGAIN, EINTR } from "@skep/loop/sys"
import type { FileSystem, Lock } from "@skep/vfs"
import type { Exchange } from "./exchange.ts"

interface Waiter {
  readonly exchange: Exchange
  readonly handle: number
  readonly owner: bigint
  readonly lock: Lock
}

export class LockWaiters {
  readonly #fileSystem: FileSystem
  #waiters: readonly Waiter[] = []

  constructor(fileSystem: FileSystem) {
    this.#fileSystem = fileSystem
  }

  get size(): number {
    return this.#waiters.length
  }

  add(waiter: Waiter): void {
    this.#waiters = [...this.#waiters, waiter]
  }

  /** Tries all again, the first first. */
  retry(): void {
    for (const waiter of this.#waiters) {
      const result = this.#fileSystem.setLock(waiter.handle, waiter.owner, waiter.lock)
      if (result !== -EAGAIN) this.#end(waiter, result)
    }
  }

  /** INTERRUPT: ends the wait of the request with this number. */
  interrupt(uniqueLow: number, uniqueHigh: number): void {
    const waiter = this.#waiters.find(
      ({ exchange }) => exchange.uniqueLow === uniqueLow && exchange.uniqueHigh === uniqueHigh,
    )
    if (waiter !== undefined) this.#end(waiter, -EINTR)
  }

  /** Forgets a request without an answer. Returns whether it was there. */
  abandon(exchange: Exchange): boolean {
    const before = this.#waiters.length
    this.#waiters = this.#waiters.filter((waiter) => waiter.exchange !== exchange)
    return this.#waiters.length < before
  }

  #end(waiter: Waiter, result: number): void {
    if (this.abandon(waiter.exchange)) waiter.exchange.done(result)
  }
}
