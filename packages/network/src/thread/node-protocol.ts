/**
 * What the main thread and the node engine's thread say to each other.
 *
 * ```
 *  main ── call, stop ──► thread
 *  main ◄─ ready, answer, refusal, notice, crashed ── thread        in the order they were said; `unread` counts the notices on their way
 * ```
 *
 * @module
 */
import type { ThreadCalls, ThreadData, ThreadNotice } from "./calls.ts"

export type NodeRequest =
  | {
      readonly kind: "call"
      readonly call: number
      readonly name: keyof ThreadCalls
      readonly argument: unknown
    }
  | { readonly kind: "stop" }

export type NodeReport =
  | { readonly kind: "ready" }
  | { readonly kind: "answer"; readonly call: number; readonly value: unknown }
  | { readonly kind: "refusal"; readonly call: number; readonly error: CarriedError }
  | { readonly kind: "notice"; readonly notice: ThreadNotice }
  | { readonly kind: "crashed"; readonly error: CarriedError }

export interface NodeThreadData {
  readonly nodeThread: true
  /** The module that the thread is to run. */
  readonly entry: string
  readonly data: ThreadData
  /** One word: how many notices the main thread has not heard yet. */
  readonly unread: Int32Array
}

/** How many notices may be unread; more are dropped. */
export const UNREAD_MOST = 10_000

/** Errors cross as plain records: structured cloning drops their code. */
export interface CarriedError {
  readonly message: string
  readonly code: string | undefined
  readonly stack: string | undefined
}

export function carry(error: unknown): CarriedError {
  if (!(error instanceof Error)) return { message: String(error), code: undefined, stack: undefined }
  const code = "code" in error && typeof error.code === "string" ? error.code : undefined
  return { message: error.message, code, stack: error.stack }
}

/** The error again, with the code and the stack it had over there. */
export function revive({ message, code, stack }: CarriedError): Error {
  const error = new Error(message)
  if (stack !== undefined) error.stack = stack
  return code === undefined ? error : Object.assign(error, { code })
}
