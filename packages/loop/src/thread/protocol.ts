/**
 * What the main thread and a loop thread say to each other, and the memory they share.
 *
 * ```
 *  main ── postMessage(call), then eventfd if nobody has rung yet ──► loop: receiveMessageOnPort until empty
 *  main ◄───────── postMessage(answer, refusal, notice, …) ────────── loop
 *          control: | stop | state | rung | sent | taken | thread id |      counters: see Counters
 * ```
 *
 * @module
 */
import type { MessagePort } from "node:worker_threads"
import type { CarriedError } from "./error.ts"

/** The argument and the result of each call by its name, as the functions of an interface: `{ open(path: string): number }`. */
export type ArgumentOf<Calls, Name extends keyof Calls> = Calls[Name] extends (argument: infer A) => unknown
  ? A
  : never
export type ResultOf<Calls, Name extends keyof Calls> = Calls[Name] extends (argument: never) => infer R
  ? R
  : never

export interface CallMessage {
  readonly call: number
  readonly name: string
  readonly argument: unknown
}

export type LoopMessage<Notice> =
  | { readonly kind: "ready" }
  | { readonly kind: "answer"; readonly call: number; readonly value: unknown }
  | { readonly kind: "refusal"; readonly call: number; readonly error: CarriedError }
  | { readonly kind: "notice"; readonly notice: Notice }
  | { readonly kind: "crashed"; readonly error: CarriedError }

/** What a loop thread is started with. */
export interface LoopThreadData {
  readonly loopThread: true
  readonly port: MessagePort
  readonly control: Int32Array
  readonly counters: SharedArrayBuffer
  /** An eventfd of the main thread. */
  readonly wakeFd: number
  readonly maxWaitMs: number
  readonly maxNotices: number
  readonly maxEvents: number | undefined
  readonly busyPollMs: number | undefined
  /** The URL of the module that runs the loop. */
  readonly entry: string
  readonly data: unknown
}

/** Indexes into the control words. */
export const STOP = 0
export const STATE = 1
/** 1 from when the main thread rings until the loop begins to read. */
export const RUNG = 2
export const NOTICES_SENT = 3
export const NOTICES_TAKEN = 4
export const THREAD_ID = 5
export const CONTROL_BYTES: number = 8 * Int32Array.BYTES_PER_ELEMENT

/** Values of `STATE`. While RUNNING the thread may be blocked in the kernel, and only the eventfd brings it back. */
export const STARTING = 0
export const RUNNING = 1
export const ENDED = 2
