/**
 * A synchronous event loop: wait, then handlers, timers, deferred work and the hooks at the end of the batch, all on one thread.
 *
 * ```
 *          ┌───────────────────────────────── one batch ─────────────────────────────────┐
 *  wait ──►│ events (at most maxEvents) ─► again() ─► timers ─► deferred ─► batch-end hooks │──► wait
 *          └──────────────────────────────────────────────────────────────────────────────┘
 * ```
 *
 * While `run` runs, nothing else of Node does: no promise, no setTimeout, no stream. Handlers end what they begin.
 *
 * @module
 */
import { EBADF, EEXIST, ENOENT } from "../sys/errno.ts"
import { check, SystemError } from "../sys/error.ts"
import { close } from "../sys/file.ts"
import { BusyPoll } from "./busy-poll.ts"
import { type Clock, monotonic } from "./clock.ts"
import { Counters } from "./counters.ts"
import { Epoll } from "./epoll.ts"
import type { Poller } from "./poller.ts"
import { type Handler, Registration } from "./registration.ts"
import { type OnError, Scope } from "./scope.ts"
import type { Timer } from "./timer.ts"
import { type Entry, TimerHeap } from "./timers.ts"

const MAX_EVENTS = 128
const MAX_TIMERS = 1024
const MAX_DEFERRED = 4096
const GENERATIONS = 2 ** 32

export interface LoopOptions {
  /** Events of one batch, 128 unless told: who waits for its turn waits for at most that many handlers. */
  readonly maxEvents?: number
  /** Real time unless told. With another one drive the loop by `step`, which does not wait. */
  readonly clock?: Clock
  readonly counters?: Counters
  /** Hears of exceptions outside every scope that has its own listener. Without it such an exception ends `run`. */
  readonly onError?: OnError
  /** Comes back from the kernel at least so often. For threads that could otherwise not be ended; never unless told. */
  readonly maxWaitMs?: number
  /** The longest time spent asking before the thread sleeps, where that has been worth it (see BusyPoll). 0 unless told: it sleeps at once. */
  readonly busyPollMs?: number
  /** epoll unless told. */
  readonly poller?: Poller
}

export class Loop implements Disposable {
  readonly counters: Counters
  /** The scope of all that has no other. Its handlers' exceptions end the loop, unless `onError` was given. */
  readonly root: Scope
  /** For `Timer`. */
  readonly heap: TimerHeap = new TimerHeap()
  readonly #clock: Clock
  readonly #poller: Poller
  readonly #busyPoll: BusyPoll
  readonly #maxWaitMs: number
  /** By token. Free places are chained in `#free`. */
  readonly #registrations: (Registration | undefined)[] = []
  readonly #free: number[] = []
  readonly #byFd = new Map<number, Registration>()
  readonly #due: Entry[] = []
  readonly #hooks = new Set<() => void>()
  #again: Registration[] = []
  #deferred: (() => void)[] = []
  #generation = 0
  #now: number
  /** How long the last batch took. */
  #workedMs = 0
  #stopped = false
  #running = false
  #disposed = false
  /** Registrations that have gone so far. */
  #retired = 0
  #crash: { readonly error: unknown } | undefined

  constructor(options: LoopOptions = {}) {
    this.#clock = options.clock ?? monotonic
    this.#poller = options.poller ?? new Epoll(options.maxEvents ?? MAX_EVENTS)
    this.#maxWaitMs = options.maxWaitMs ?? Number.POSITIVE_INFINITY
    this.counters = options.counters ?? new Counters()
    this.#busyPoll = new BusyPoll({
      poller: this.#poller,
      mostMs: options.busyPollMs ?? 0,
      clock: this.#clock,
      counters: this.counters,
    })
    this.#now = this.#clock.now()
    this.root = new Scope(this, "loop", undefined, options.onError)
  }

  /** The loop's time in milliseconds, with fractions: when this batch began. */
  get now(): number {
    return this.#now
  }

  get stopped(): boolean {
    return this.#stopped
  }

  add(fd: number, events: number, handler: Handler): Registration {
    return this.root.add(fd, events, handler)
  }

  adopt(fd: number, events: number, handler: Handler): Registration {
    return this.root.adopt(fd, events, handler)
  }

  timer(callback: () => void): Timer {
    return this.root.timer(callback)
  }

  defer(callback: () => void): void {
    this.root.defer(callback)
  }

  onBatchEnd(callback: () => void): () => void {
    return this.root.onBatchEnd(callback)
  }

  onDispose(disposer: () => void): () => void {
    return this.root.onDispose(disposer)
  }

  scope(name: string, onError?: OnError): Scope {
    return this.root.scope(name, onError)
  }

  /** Runs until `stop`. Throws what ended it, if an exception did. Call it once. */
  run(): void {
    if (this.#running) throw new Error("Cannot run a loop that runs")
    this.#running = true
    try {
      while (!this.#stopped) this.#batch(true)
    } finally {
      this.#running = false
    }
    this.#throwCrash()
  }

  /** One batch of what is ready and due now, without waiting. For tests, and for those who wait elsewhere. */
  step(): void {
    this.#batch(false)
    this.#throwCrash()
  }

  /** Ends `run` after this batch. */
  stop(): void {
    this.#stopped = true
  }

  /** Stops at once, also from within a handler: ends every scope, newest first, then the poller. Throws what a disposer threw. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#disposed) return
    this.#disposed = true
    this.#stopped = true
    this.root[Symbol.dispose]()
    this.#poller.close()
    this.#throwCrash()
  }

  // For Scope, Timer and Registration:

  register(scope: Scope, options: Pick<Registration, "fd" | "events" | "handler" | "owned">): Registration {
    const token = this.#free.pop() ?? this.#registrations.length
    this.#generation = (this.#generation + 1) % GENERATIONS
    const generation = this.#generation
    const result = this.#poller.add(options.fd, options.events, token, generation)
    if (result < 0) {
      this.#free.push(token)
      const detail = result === -EEXIST ? `descriptor ${options.fd} is registered already` : undefined
      throw new SystemError("epoll_ctl", -result, detail)
    }
    // The kernel took the number, so whatever had it before was closed without being removed.
    const former = this.#byFd.get(options.fd)
    if (former !== undefined) this.#retire(former)
    const registration = new Registration(this, { ...options, scope, token, generation })
    this.#registrations[token] = registration
    this.#byFd.set(options.fd, registration)
    this.counters.add("registrations", 1)
    return registration
  }

  modify(registration: Registration, events: number): void {
    if (!registration.active || registration.events === events) return
    const { fd, token, generation } = registration
    check(this.#poller.modify(fd, events, token, generation), "epoll_ctl")
    registration.events = events
  }

  remove(registration: Registration, andClose: boolean): void {
    if (!registration.active) return
    const result = this.#poller.remove(registration.fd)
    this.#retire(registration)
    // These say that it was closed already. Then its number may be somebody else's by now, and is not ours to close.
    if (result === -EBADF || result === -ENOENT) return
    check(result, "epoll_ctl")
    if (andClose) close(registration.fd)
  }

  closeOnly(registration: Registration): void {
    if (!registration.active) return
    this.#retire(registration)
    close(registration.fd)
  }

  again(registration: Registration, events: number): void {
    if (!registration.active) return
    if (registration.pending === 0) this.#again.push(registration)
    registration.pending |= events
  }

  enqueue(scope: Scope, callback: () => void): void {
    this.#deferred.push(() => scope.run("deferred", callback))
  }

  hook(hook: () => void, on: boolean): void {
    if (on) this.#hooks.add(hook)
    else this.#hooks.delete(hook)
  }

  crash(error: unknown): void {
    this.#crash ??= { error }
    this.#stopped = true
  }

  #batch(wait: boolean): void {
    const timeoutMs = wait ? this.#timeout() : 0
    const count = check(this.#busyPoll.wait(timeoutMs, this.#workedMs), "epoll_wait")
    const began = this.#clock.now()
    this.#now = began
    if (timeoutMs > 0) this.counters.add("wakeups", 1)
    this.counters.add("batches", 1)
    const retired = this.#retired
    const again = this.#again
    this.#again = []
    const stale = this.#handleEvents(count)
    for (const registration of again) this.#handleAgain(registration)
    this.#fireTimers()
    this.#runDeferred()
    for (const hook of this.#hooks) hook()
    if (this.#disposed) return
    if (stale > 0 && retired === this.#retired) this.#rebuild()
    this.#workedMs = this.#clock.now() - began
    this.counters.add("busyMs", this.#workedMs)
    this.counters.atLeast("longestBatchMs", this.#workedMs)
  }

  #timeout(): number {
    if (this.#again.length > 0 || this.#deferred.length > 0) return 0
    const { nextAt } = this.heap
    if (nextAt === Number.POSITIVE_INFINITY) return this.#maxWaitMs
    return Math.min(this.#maxWaitMs, Math.max(0, nextAt - this.#clock.now()))
  }

  #handleEvents(count: number): number {
    let stale = 0
    for (let index = 0; index < count && !this.#disposed; index++) {
      const registration = this.#registrations[this.#poller.tokenAt(index)]
      if (registration?.generation === this.#poller.generationAt(index))
        this.#handle(registration, this.#poller.eventsAt(index))
      else stale++
    }
    if (count > 0) this.counters.add("events", count - stale)
    if (stale > 0) this.counters.add("staleEvents", stale)
    return stale
  }

  #handleAgain(registration: Registration): void {
    const events = registration.pending
    registration.pending = 0
    if (registration.active && events !== 0) this.#handle(registration, events)
  }

  #handle(registration: Registration, events: number): void {
    try {
      registration.handler(events)
    } catch (error) {
      const { scope, fd } = registration
      scope.fail(error, { scope: scope.name, kind: "event", fd })
    }
  }

  #fireTimers(): void {
    if (this.heap.nextAt > this.#now) return
    const due = this.#due
    this.heap.take(this.#now, MAX_TIMERS, due)
    for (const timer of due) {
      // One before it may have cancelled it or set it anew.
      if (!timer.due) continue
      timer.due = false
      timer.fire()
    }
    this.counters.add("timerFires", due.length)
    due.length = 0
  }

  #runDeferred(): void {
    const deferred = this.#deferred
    if (deferred.length === 0) return
    this.#deferred = []
    const count = Math.min(deferred.length, MAX_DEFERRED)
    for (let index = 0; index < count; index++) deferred[index]?.()
    if (count < deferred.length) this.#deferred = [...deferred.slice(count), ...this.#deferred]
    this.counters.add("deferred", count)
  }

  #retire(registration: Registration): void {
    registration.active = false
    this.#retired++
    this.#registrations[registration.token] = undefined
    this.#free.push(registration.token)
    if (this.#byFd.get(registration.fd) === registration) this.#byFd.delete(registration.fd)
    registration.scope.forget(registration)
    this.counters.add("registrations", -1)
  }

  /**
   * An event for a registration that was gone before this batch: its descriptor was closed while a copy of it lives elsewhere, so that the
   * kernel goes on reporting it and has no name by which to stop. Only a new epoll instance helps.
   */
  #rebuild(): void {
    this.counters.add("rebuilds", 1)
    this.#poller.reset()
    for (const { fd, events, token, generation } of this.#byFd.values())
      this.#poller.add(fd, events, token, generation)
  }

  #throwCrash(): void {
    const crash = this.#crash
    this.#crash = undefined
    if (crash === undefined) return
    throw crash.error instanceof Error ? crash.error : new Error(String(crash.error))
  }
}
