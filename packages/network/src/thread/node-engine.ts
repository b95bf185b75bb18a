/**
 * The engine on Node's sockets, in a worker thread of its own: what the main thread does for names and verbs never holds up a packet, and an exception
 * on the packets' path ends the thread and not the process.
 *
 * @module
 */
import { Worker } from "node:worker_threads"
import { SidecarError } from "@skep/contract"
import type { ArgumentOf, ResultOf } from "@skep/loop"
import type { ThreadCalls } from "./calls.ts"
import type { Engine, EngineOptions, StartEngine } from "./engine.ts"
import { type NodeReport, type NodeRequest, type NodeThreadData, revive } from "./node-protocol.ts"

const CALL_DEADLINE_MS = 10_000
const STOP_DEADLINE_MS = 5000
/** Loads an entry that is TypeScript, as it is in development. */
const TYPESCRIPT = `
  const { workerData } = require("node:worker_threads")
  import("tsx/esm/api").then(({ register }) => {
    register()
    return import(workerData.entry)
  })
`

/** The engine in a thread whose entry module is `entry`. */
export function nodeEngine(entry: URL): StartEngine {
  return async (options) => {
    const { signal } = options
    signal.throwIfAborted()
    const engine = new NodeEngine(entry, options)
    const abort = (): void => void engine[Symbol.asyncDispose]()
    signal.addEventListener("abort", abort)
    try {
      await engine.ready
    } catch (error) {
      signal.throwIfAborted()
      throw error
    } finally {
      signal.removeEventListener("abort", abort)
    }
    if (!signal.aborted) return engine
    await engine[Symbol.asyncDispose]()
    throw signal.reason
  }
}

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
  readonly timer: NodeJS.Timeout
}

class NodeEngine implements Engine {
  readonly ready: Promise<void>
  readonly closed: Promise<void>
  readonly #worker: Worker
  readonly #options: EngineOptions
  readonly #unread = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT))
  readonly #pending = new Map<number, Pending>()
  #last = 0
  #failure: Error | undefined
  #over = false
  #stopping: Promise<void> | undefined
  #onReady: () => void = () => undefined

  constructor(entry: URL, options: EngineOptions) {
    this.#options = options
    this.#worker = newWorker(entry, {
      nodeThread: true,
      entry: entry.href,
      data: options.data,
      unread: this.#unread,
    })
    this.#worker.on("message", (report: NodeReport) => this.#hear(report))
    this.#worker.on("error", (error) => {
      this.#failure ??= error instanceof Error ? error : new Error(String(error))
    })
    this.closed = new Promise((resolve, reject) => {
      this.#worker.once("exit", (code) => {
        this.#end(code)
        if (this.#failure === undefined) resolve()
        else reject(this.#failure)
      })
    })
    this.ready = new Promise((resolve, reject) => {
      this.#onReady = resolve
      const stopped = (): void =>
        reject(new SidecarError("not-running", "Cannot start a network: it has ended"))
      this.closed.then(stopped, reject)
    })
    // Whoever does not look at them is not ended by them.
    this.closed.catch(() => undefined)
    this.ready.catch(() => undefined)
  }

  call<Name extends keyof ThreadCalls>(
    name: Name,
    argument: ArgumentOf<ThreadCalls, Name>,
  ): Promise<ResultOf<ThreadCalls, Name>> {
    if (this.#over || this.#stopping !== undefined)
      return Promise.reject(
        this.#failure ?? new SidecarError("not-running", `Cannot call "${name}": it has ended`),
      )
    const call = ++this.#last
    const answer = new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(call)
        reject(
          new SidecarError("timeout", `The network did not answer "${name}" within ${CALL_DEADLINE_MS} ms`),
        )
      }, CALL_DEADLINE_MS)
      this.#pending.set(call, { resolve, reject, timer })
      this.#say({ kind: "call", call, name, argument })
    })
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the other side has the handlers of the same calls
    return answer as Promise<ResultOf<ThreadCalls, Name>>
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#say({ kind: "stop" })
    const timer = setTimeout(() => void this.#worker.terminate(), STOP_DEADLINE_MS)
    await this.closed.catch(() => undefined)
    clearTimeout(timer)
  }

  #say(request: NodeRequest): void {
    this.#worker.postMessage(request)
  }

  #hear(report: NodeReport): void {
    switch (report.kind) {
      case "ready":
        this.#onReady()
        return
      case "answer":
        this.#take(report.call)?.resolve(report.value)
        return
      case "refusal":
        this.#take(report.call)?.reject(revive(report.error))
        return
      case "notice":
        Atomics.sub(this.#unread, 0, 1)
        this.#options.onNotice(report.notice)
        return
      case "crashed":
        this.#failure ??= revive(report.error)
    }
  }

  #take(call: number): Pending | undefined {
    const pending = this.#pending.get(call)
    clearTimeout(pending?.timer)
    this.#pending.delete(call)
    return pending
  }

  #end(code: number): void {
    this.#over = true
    if (code !== 0) this.#failure ??= new Error(`The thread of the network ended with ${code}`)
    const ended = this.#failure ?? new SidecarError("not-running", "The network ended before it answered")
    for (const call of this.#pending.keys()) this.#take(call)?.reject(ended)
  }
}

function newWorker(entry: URL, workerData: NodeThreadData): Worker {
  const options = { name: "skep network", workerData }
  if (!entry.pathname.endsWith(".ts")) return new Worker(entry, options)
  return new Worker(TYPESCRIPT, { ...options, eval: true, execArgv: ["--conditions=source"] })
}
