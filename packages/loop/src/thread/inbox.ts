/**
 * Calls as they reach the loop: read without waiting when the eventfd rings, answered by the module's handlers.
 *
 * @module
 */
import { receiveMessageOnPort } from "node:worker_threads"
import type { Loop } from "../loop/loop.ts"
import type { Registration } from "../loop/registration.ts"
import { EPOLLET, EPOLLIN } from "../sys/constants.ts"
import { LoopError } from "./error.ts"
import * as protocol from "./protocol.ts"
import { Reply } from "./reply.ts"

/** Calls taken at once, before the descriptors have their turn again. */
const CALLS_A_BATCH = 64

/** What a handler may do besides returning its result. */
export interface Call<Result> {
  /** Moves these buffers with the result, and does not copy them. */
  transfer(...buffers: readonly ArrayBuffer[]): void
  /** Return this, and settle it when the result is there: a handler must not wait. */
  later(): Reply<Result>
}

/** A function for each of the calls. What it throws answers the call, and harms nothing else. */
export type Handlers<Calls> = {
  readonly [Name in keyof Calls]: (
    argument: protocol.ArgumentOf<Calls, Name>,
    call: Call<protocol.ResultOf<Calls, Name>>,
  ) => protocol.ResultOf<Calls, Name> | Reply<protocol.ResultOf<Calls, Name>>
}

type AnyHandler = (argument: unknown, call: Call<unknown>) => unknown

export class Inbox {
  readonly #loop: Loop
  readonly #started: protocol.LoopThreadData
  readonly #handlers: ReadonlyMap<string, AnyHandler>
  #wake: Registration | undefined

  constructor(loop: Loop, started: protocol.LoopThreadData, handlers: object) {
    this.#loop = loop
    this.#started = started
    this.#handlers = new Map(Object.entries(handlers))
  }

  /** Answers from now on, also what was asked before. */
  open(): void {
    // Never read: edge-triggered, each ring is an event.
    this.#wake = this.#loop.add(this.#started.wakeFd, EPOLLIN | EPOLLET, () => this.#read())
  }

  #read(): void {
    const { control, port } = this.#started
    // Before reading, so that whoever posts from now on rings again.
    Atomics.store(control, protocol.RUNG, 0)
    if (Atomics.load(control, protocol.STOP) === 1) {
      this.#loop.stop()
      return
    }
    for (let count = 0; count < CALLS_A_BATCH; count++) {
      const next = receiveMessageOnPort(port)
      if (next === undefined) return
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only startLoop has the other end
      this.#answer(next.message as protocol.CallMessage)
    }
    this.#wake?.again(EPOLLIN)
  }

  #answer({ call, name, argument }: protocol.CallMessage): void {
    this.#loop.counters.add("calls", 1)
    const { port } = this.#started
    const reply = new Reply<unknown>({
      answer: (value, transfer) => port.postMessage({ kind: "answer", call, value }, [...transfer]),
      refuse: (error) => port.postMessage({ kind: "refusal", call, error }),
    })
    const handler = this.#handlers.get(name)
    if (handler === undefined) {
      reply.reject(new LoopError("unknown-call", `Cannot call "${name}": the loop has no such handler`))
      return
    }
    const moved: ArrayBuffer[] = []
    try {
      const result = handler(argument, {
        transfer: (...buffers) => void moved.push(...buffers),
        later: () => reply,
      })
      if (result !== reply) reply.resolve(result, moved)
    } catch (error) {
      reply.reject(error)
    }
  }
}
