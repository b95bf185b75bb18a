/**
 * The answer to a call that comes later.
 *
 * @module
 */
import { type CarriedError, carry } from "./error.ts"

/** Sends an answer. Throws where the value cannot be cloned. */
export interface Answerer {
  answer(value: unknown, transfer: readonly ArrayBuffer[]): void
  refuse(error: CarriedError): void
}

/** A promise of the loop's kind: settled by hand, once. What comes second is dropped. */
export class Reply<Result> {
  readonly #answerer: Answerer
  #settled = false

  constructor(answerer: Answerer) {
    this.#answerer = answerer
  }

  get settled(): boolean {
    return this.#settled
  }

  resolve(value: Result, transfer: readonly ArrayBuffer[] = []): void {
    if (this.#settled) return
    this.#settled = true
    try {
      this.#answerer.answer(value, transfer)
    } catch (error) {
      // A function or a handle in it: the caller hears of it, and not the loop.
      this.#answerer.refuse(carry(error))
    }
  }

  reject(error: unknown): void {
    if (this.#settled) return
    this.#settled = true
    this.#answerer.refuse(carry(error))
  }
}
