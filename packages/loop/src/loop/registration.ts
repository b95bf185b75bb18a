/**
 * One descriptor in a loop.
 *
 * @module
 */
import type { Scope } from "./scope.ts"

/** Called with the `EPOLL*` bits that are set. Must not block, and must not wait for a promise. */
export type Handler = (events: number) => void

/** What a registration asks of its loop. */
export interface Registrar {
  modify(registration: Registration, events: number): void
  remove(registration: Registration, close: boolean): void
  closeOnly(registration: Registration): void
  again(registration: Registration, events: number): void
}

/** A registered descriptor. Remove it before the descriptor is closed, or let `close` do both. */
export class Registration implements Disposable {
  readonly fd: number
  readonly scope: Scope
  readonly handler: Handler
  /** Whether disposal of the scope closes the descriptor. */
  readonly owned: boolean
  /** Index into the loop's table. */
  readonly token: number
  /** Tells this registration from all others that had its token. */
  readonly generation: number
  /** What the kernel was asked for. */
  events: number
  active = true
  /** Bits to be handled in the next batch without asking the kernel. */
  pending = 0
  readonly #registrar: Registrar

  constructor(
    registrar: Registrar,
    options: Pick<Registration, "fd" | "scope" | "handler" | "owned" | "token" | "generation" | "events">,
  ) {
    this.#registrar = registrar
    this.fd = options.fd
    this.scope = options.scope
    this.handler = options.handler
    this.owned = options.owned
    this.token = options.token
    this.generation = options.generation
    this.events = options.events
  }

  /** Asks for other events. Does nothing where they are the same, or after removal. */
  modify(events: number): void {
    this.#registrar.modify(this, events)
  }

  /**
   * Calls the handler again in the next batch, after what is new by then has had its turn: for an edge-triggered handler that has done its share
   * and is not at the end.
   */
  again(events: number): void {
    this.#registrar.again(this, events)
  }

  /** No event reaches the handler from now on, not even one of this batch. The descriptor is the caller's. Idempotent. */
  remove(): void {
    this.#registrar.remove(this, false)
  }

  /** Removes and closes, in this order. Idempotent. */
  close(): void {
    this.#registrar.remove(this, true)
  }

  /**
   * The same with one system call less: the kernel forgets a descriptor that is closed, where no other one leads to the same file. For those that
   * were never duplicated or handed on. Idempotent.
   */
  closeOnly(): void {
    this.#registrar.closeOnly(this)
  }

  /** What the end of its scope does: closes a descriptor it owns, removes another. */
  [Symbol.dispose](): void {
    this.#registrar.remove(this, this.owned)
  }
}
