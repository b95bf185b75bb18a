/**
 * What belongs to one device, connection or service of a loop: its descriptors, timers and hooks end together.
 *
 * An exception from one of its handlers ends the scope, since nobody knows what state it left behind, and nothing else.
 *
 * @module
 */
import type { Loop } from "./loop.ts"
import type { Handler, Registration } from "./registration.ts"
import { Timer } from "./timer.ts"

/** Where an exception came from. */
export interface ErrorSource {
  /** The name of the scope, with those of its parents: "vsock/3". */
  readonly scope: string
  readonly kind: "event" | "timer" | "deferred" | "batch end" | "dispose"
  /** The descriptor of an event. */
  readonly fd?: number
}

/** Hears of an exception, after the scope it came from has ended. */
export type OnError = (error: unknown, source: ErrorSource) => void

export class Scope implements Disposable {
  readonly loop: Loop
  readonly name: string
  readonly #parent: Scope | undefined
  readonly #onError: OnError | undefined
  /** Registrations, children and disposers in the order they came. */
  readonly #parts = new Set<Disposable>()
  readonly #hooks = new Set<() => void>()
  #disposed = false

  /** Made by `Loop.scope` and `Scope.scope`. */
  constructor(loop: Loop, name: string, parent?: Scope, onError?: OnError) {
    this.loop = loop
    this.name = name
    this.#parent = parent
    this.#onError = onError
  }

  get disposed(): boolean {
    return this.#disposed
  }

  /** Registers a descriptor that stays the caller's. Throws the `SystemError` of epoll_ctl. */
  add(fd: number, events: number, handler: Handler): Registration {
    return this.#register(fd, events, handler, false)
  }

  /** Registers a descriptor and closes it with the scope. Where this throws it is still the caller's. */
  adopt(fd: number, events: number, handler: Handler): Registration {
    return this.#register(fd, events, handler, true)
  }

  /** A timer that is not set yet. */
  timer(callback: () => void): Timer {
    return new Timer(this, this.loop.heap, callback)
  }

  /** Runs `callback` once, after the events and timers of this batch. */
  defer(callback: () => void): void {
    this.#use()
    this.loop.enqueue(this, callback)
  }

  /** Runs `callback` at the end of every batch: one write and one acknowledgement for all that it brought. Returns its undoing. */
  onBatchEnd(callback: () => void): () => void {
    this.#use()
    const hook = () => this.run("batch end", callback)
    this.#hooks.add(hook)
    this.loop.hook(hook, true)
    return () => {
      if (this.#hooks.delete(hook)) this.loop.hook(hook, false)
    }
  }

  /** Runs `disposer` when the scope ends, newest first. Returns its undoing. */
  onDispose(disposer: () => void): () => void {
    this.#use()
    const part = { [Symbol.dispose]: disposer }
    this.#parts.add(part)
    return () => void this.#parts.delete(part)
  }

  /**
   * A scope within this one. Without `onError` an exception in it, after ending it, is told to the next one outside that has it; where none
   * has, it ends the loop.
   */
  scope(name: string, onError?: OnError): Scope {
    this.#use()
    const child = new Scope(
      this.loop,
      this.#parent === undefined ? name : `${this.name}/${name}`,
      this,
      onError,
    )
    this.#parts.add(child)
    return child
  }

  /** Ends it, newest first: children, descriptors, disposers. An exception of one does not keep the others. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#disposed) return
    this.#disposed = true
    if (this.#parent !== undefined) this.#parent.#parts.delete(this)
    for (const hook of this.#hooks) this.loop.hook(hook, false)
    this.#hooks.clear()
    for (const part of [...this.#parts].toReversed()) {
      try {
        part[Symbol.dispose]()
      } catch (error) {
        this.#report(error, { scope: this.name, kind: "dispose" })
      }
    }
    this.#parts.clear()
  }

  /** Runs a callback of this scope, and ends the scope where it throws. */
  run(kind: ErrorSource["kind"], callback: () => void): void {
    if (this.#disposed) return
    try {
      callback()
    } catch (error) {
      this.fail(error, { scope: this.name, kind })
    }
  }

  /** Ends the scope for `error`, unless it is the outermost, then tells whoever wants to know. */
  fail(error: unknown, source: ErrorSource): void {
    this.loop.counters.add("handlerErrors", 1)
    // The outermost one has no owner who could begin it again: its listener decides, or the loop ends.
    if (this.#parent !== undefined) this[Symbol.dispose]()
    this.#report(error, source)
  }

  /** Forgets a registration that was removed. */
  forget(registration: Registration): void {
    this.#parts.delete(registration)
  }

  #register(fd: number, events: number, handler: Handler, owned: boolean): Registration {
    this.#use()
    const registration = this.loop.register(this, { fd, events, handler, owned })
    this.#parts.add(registration)
    return registration
  }

  #report(error: unknown, source: ErrorSource): void {
    if (this.#onError === undefined) {
      if (this.#parent === undefined) this.loop.crash(error)
      else this.#parent.#report(error, source)
      return
    }
    try {
      this.#onError(error, source)
    } catch (second) {
      // Who hears of errors must not have any: this is for the next one outside.
      if (this.#parent === undefined) this.loop.crash(second)
      else this.#parent.fail(second, source)
    }
  }

  #use(): void {
    if (this.#disposed) throw new Error(`Cannot use scope "${this.name}" after its end`)
  }
}
