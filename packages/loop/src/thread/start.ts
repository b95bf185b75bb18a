/**
 * The main thread's side of a loop thread: starts it, calls into it, stops it.
 *
 * @module
 */
import {
  isMainThread,
  MessageChannel,
  type MessagePort,
  type ResourceLimits,
  receiveMessageOnPort,
  Worker,
} from "node:worker_threads"
import { COUNTERS_BYTES, Counters, type Counts } from "../loop/counters.ts"
import { eventfd, signal as ring } from "../sys/epoll.ts"
import { check } from "../sys/error.ts"
import { close } from "../sys/file.ts"
import { available } from "../sys/libc.ts"
import { PendingCalls } from "./calls.ts"
import { LoopError, revive } from "./error.ts"
import { stopAtExit } from "./exit.ts"
import * as protocol from "./protocol.ts"

const CALL_DEADLINE_MS = 10_000
const STOP_DEADLINE_MS = 5000
const MAX_NOTICES = 10_000
/** A worker within a worker is terminated without hearing of it, so its loop comes up for air. */
const NESTED_MAX_WAIT_MS = 1000

type Transferred = readonly (ArrayBuffer | MessagePort)[]

export interface StartLoopOptions<Notice> {
  /** What the module gets as `data`: anything that can be cloned. Descriptors are numbers, the same in every thread. */
  readonly data?: unknown
  /** What of `data` is moved and not copied. */
  readonly transfer?: Transferred
  /** Hears what the loop notifies of, in order. */
  readonly onNotice?: (notice: Notice) => void
  /** For thread listings. */
  readonly name?: string
  /** Cancels the starting only. */
  readonly signal?: AbortSignal
  /** How long `stop` waits for the loop to end by itself, 5 s unless told. */
  readonly stopDeadlineMs?: number
  /** How many notices may be unread before `notify` refuses more, 10,000 unless told. */
  readonly maxNotices?: number
  /** Events of one batch, 128 unless told. */
  readonly maxEvents?: number
  /** The longest time the loop asks for events before its thread sleeps, where that has been worth it: 0 unless told, 0.1 for what answers within microseconds. */
  readonly busyPollMs?: number
  readonly resourceLimits?: ResourceLimits
}

export interface CallOptions {
  /** 10 s unless told. */
  readonly deadlineMs?: number
  readonly signal?: AbortSignal
  readonly transfer?: Transferred
}

/** A running loop. Disposing it stops it. */
export interface LoopThread<Calls> extends AsyncDisposable {
  /**
   * Calls a handler of the loop. Rejects with the handler's own error (its code and stack), or "timeout" (the loop may still act on it), "stopped",
   * "crashed", or the signal's reason. Calls arrive in order.
   */
  call<Name extends keyof Calls & string>(
    name: Name,
    argument: protocol.ArgumentOf<Calls, Name>,
    options?: CallOptions,
  ): Promise<protocol.ResultOf<Calls, Name>>
  /**
   * Ends the loop after its present batch, its scopes newest first, and the thread. Resolves when the thread is gone. Rejects with "stuck" where it had to be
   * broken off. Idempotent.
   */
  stop(): Promise<void>
  /** Fulfils after a clean stop, also one of the loop's own accord; rejects after a crash. Settles exactly once, when the thread is gone. */
  readonly closed: Promise<void>
  /** What the loop has counted so far. Asks nobody. */
  counters(): Counts
  /** The kernel's number of the thread, as under /proc/self/task. */
  readonly threadId: number
  /** Whether the thread alone keeps the process alive, which it does unless told. */
  ref(): void
  unref(): void
}

/**
 * Starts a thread whose entry module calls `runLoop`. Resolves when its set-up is done and its loop runs. Rejects with what the set-up threw, with "unavailable"
 * where there is no FFI (ask `available` first), or with "no-loop" where the module ended without a loop; then nothing is left behind.
 *
 * `entry` is the URL of a file: `new URL("./device.js", import.meta.url)`. A bundler must make it an entry point of its own. A `.ts` is loaded through tsx.
 */
export async function startLoop<Calls, Notice = never>(
  entry: URL,
  options: StartLoopOptions<Notice> = {},
): Promise<LoopThread<Calls>> {
  options.signal?.throwIfAborted()
  const support = available()
  if (!support.available) throw new LoopError("unavailable", `Cannot start a loop: ${support.reason}`)
  const thread = new MainSide<Calls, Notice>(entry, options)
  const abort = (): void => void thread.stop().catch(() => undefined)
  options.signal?.addEventListener("abort", abort)
  try {
    await thread.ready
    if (options.signal?.aborted !== true) return thread
    await thread.stop()
  } catch (error) {
    if (options.signal?.aborted !== true) throw error
  } finally {
    options.signal?.removeEventListener("abort", abort)
  }
  throw options.signal.reason
}

class MainSide<Calls, Notice> implements LoopThread<Calls> {
  readonly closed: Promise<void>
  readonly ready: Promise<void>
  readonly #worker: Worker
  readonly #port: MessagePort
  readonly #control: Int32Array
  readonly #counters: Counters
  readonly #wakeFd: number
  readonly #calls = new PendingCalls()
  readonly #stopDeadlineMs: number
  readonly #onNotice: ((notice: Notice) => void) | undefined
  #settleReady: { resolve: () => void; reject: (error: Error) => void } | undefined
  #ended = false
  #failure: Error | undefined
  #stop: Promise<void> | undefined

  constructor(entry: URL, options: StartLoopOptions<Notice>) {
    this.#control = new Int32Array(new SharedArrayBuffer(protocol.CONTROL_BYTES))
    const counters = new SharedArrayBuffer(COUNTERS_BYTES)
    this.#counters = new Counters(counters)
    this.#stopDeadlineMs = options.stopDeadlineMs ?? STOP_DEADLINE_MS
    this.#onNotice = options.onNotice
    this.#wakeFd = check(eventfd(), "eventfd")
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    const data: protocol.LoopThreadData = {
      loopThread: true,
      port: port2,
      control: this.#control,
      counters,
      wakeFd: this.#wakeFd,
      maxWaitMs: isMainThread ? Number.POSITIVE_INFINITY : NESTED_MAX_WAIT_MS,
      maxNotices: options.maxNotices ?? MAX_NOTICES,
      maxEvents: options.maxEvents,
      busyPollMs: options.busyPollMs,
      entry: entry.href,
      data: options.data,
    }
    try {
      this.#worker = newWorker(entry, data, options)
    } catch (error) {
      port1.close()
      close(this.#wakeFd)
      throw error
    }
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject }
    })
    port1.on("message", (message: protocol.LoopMessage<Notice>) => this.#receive(message))
    // The worker alone decides whether the process lives on.
    port1.unref()
    const forget = stopAtExit({ control: this.#control, ask: () => this.#ask() })
    this.#worker.on("error", (error) => {
      this.#failure ??= error instanceof Error ? error : new LoopError("crashed", String(error))
    })
    this.closed = new Promise((resolve, reject) => {
      this.#worker.once("exit", (code) => {
        forget()
        this.#end(code, resolve, reject)
      })
    })
    // Whoever does not look at `closed` still learns of a crash by the next call, and is not ended by it.
    this.closed.catch(() => undefined)
    this.ready.catch(() => undefined)
  }

  get threadId(): number {
    return Atomics.load(this.#control, protocol.THREAD_ID)
  }

  call<Name extends keyof Calls & string>(
    name: Name,
    argument: protocol.ArgumentOf<Calls, Name>,
    options: CallOptions = {},
  ): Promise<protocol.ResultOf<Calls, Name>> {
    if (this.#ended || this.#stop !== undefined)
      return Promise.reject(
        this.#failure ?? new LoopError("stopped", `Cannot call "${name}": the loop has ended`),
      )
    const deadlineMs = options.deadlineMs ?? CALL_DEADLINE_MS
    const answer = this.#calls.add(name, deadlineMs, options.signal, (call) => {
      const message: protocol.CallMessage = { call, name, argument }
      this.#port.postMessage(message, [...(options.transfer ?? [])])
      this.#ring()
    })
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the other side has the handlers of the same Calls
    return answer as Promise<protocol.ResultOf<Calls, Name>>
  }

  stop(): Promise<void> {
    this.#stop ??= this.#stopped()
    return this.#stop
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  counters(): Counts {
    return this.#counters.read()
  }

  ref(): void {
    this.#worker.ref()
  }

  unref(): void {
    this.#worker.unref()
  }

  async #stopped(): Promise<void> {
    this.#ask()
    const seconds = this.#stopDeadlineMs / 1000
    const stuck = new LoopError("stuck", `Cannot stop a loop: it did not end within ${seconds} s`)
    const timer = setTimeout(() => {
      this.#failure ??= stuck
      // Ends a handler or a set-up that runs for ever, and leaves its descriptors open. One that blocks in the kernel is beyond us.
      void this.#worker.terminate()
    }, this.#stopDeadlineMs)
    await this.closed.catch(() => undefined)
    clearTimeout(timer)
    if (this.#failure === stuck) throw stuck
  }

  #ask(): void {
    Atomics.store(this.#control, protocol.STOP, 1)
    this.#ring()
  }

  /** One write for all that is said until the loop looks. */
  #ring(): void {
    if (!this.#ended && Atomics.exchange(this.#control, protocol.RUNG, 1) === 0) ring(this.#wakeFd)
  }

  #receive(message: protocol.LoopMessage<Notice>): void {
    switch (message.kind) {
      case "ready":
        this.#settleReady?.resolve()
        return
      case "answer":
        this.#calls.resolve(message.call, message.value)
        return
      case "refusal":
        this.#calls.reject(message.call, revive(message.error, "refused"))
        return
      case "crashed":
        this.#failure ??= revive(message.error, "crashed")
        return
      case "notice":
        Atomics.add(this.#control, protocol.NOTICES_TAKEN, 1)
        this.#onNotice?.(message.notice)
    }
  }

  #end(code: number, resolve: () => void, reject: (error: Error) => void): void {
    this.#drain()
    this.#ended = true
    this.#port.close()
    close(this.#wakeFd)
    const ended = Atomics.load(this.#control, protocol.STATE) === protocol.ENDED
    if (!ended || code !== 0) this.#failure ??= this.#unclean(code)
    const failure = this.#failure
    this.#settleReady?.reject(failure ?? new LoopError("stopped", "Cannot start a loop: it was stopped"))
    this.#calls.rejectAll(failure ?? new LoopError("stopped", "The loop ended before it answered"))
    if (failure === undefined) resolve()
    else reject(failure)
  }

  /** What the thread said last may still be on its way when it is gone. */
  #drain(): void {
    for (;;) {
      const last = receiveMessageOnPort(this.#port)
      if (last === undefined) return
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only runLoop has the other end
      this.#receive(last.message as protocol.LoopMessage<Notice>)
    }
  }

  #unclean(code: number): LoopError {
    if (Atomics.load(this.#control, protocol.STATE) === protocol.STARTING && code === 0)
      return new LoopError("no-loop", "Cannot start a loop: the module ended without calling runLoop")
    return new LoopError("crashed", `The loop thread ended with ${code}`)
  }
}

function newWorker(
  entry: URL,
  workerData: protocol.LoopThreadData,
  options: Pick<StartLoopOptions<never>, "transfer" | "name" | "resourceLimits">,
): Worker {
  const typescript = entry.pathname.endsWith(".ts")
  return new Worker(typescript ? new URL("./typescript.mjs", import.meta.url) : entry, {
    workerData,
    transferList: [workerData.port, ...(options.transfer ?? [])],
    ...(options.name === undefined ? {} : { name: options.name }),
    ...(options.resourceLimits === undefined ? {} : { resourceLimits: options.resourceLimits }),
    // Our packages resolve to their sources there too.
    ...(typescript ? { execArgv: ["--conditions=source"] } : {}),
  })
}
