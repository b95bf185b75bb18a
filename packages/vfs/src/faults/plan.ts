/**
 * Which operations are to fail, and which to end late. Pure: what is counted is all there is to remember.
 *
 * @module
 */
import type { FileSystem } from "../filesystem.ts"

/** Every operation that has a way to fail. */
export type Operation = Exclude<
  keyof FileSystem,
  "root" | "forget" | "release" | "releaseDirectory" | typeof Symbol.dispose
>

/** Those that may wait. */
export type WaitingOperation = "read" | "write" | "sync" | "allocate" | "copy"

export interface Failure {
  readonly operation: Operation
  /** Positive, as in `sys.EIO`. */
  readonly errno: number
  /** The first call that fails, counted from 1; the first unless told. */
  readonly nth?: number
  /** How many fail from there on; all unless told. */
  readonly times?: number
}

export interface Delay {
  readonly operation: WaitingOperation
  readonly delayMs: number
}

export interface FaultPlan {
  readonly failures?: readonly Failure[]
  readonly delays?: readonly Delay[]
  /** Bytes that can be written before the disk is full. A write that meets its end is cut there, and the next is ENOSPC. */
  readonly fullAfterBytes?: number
}

/** Calls so far, by operation; those that failed count too. */
export class Calls {
  readonly #counts = new Map<Operation, number>()

  of(operation: Operation): number {
    return this.#counts.get(operation) ?? 0
  }

  /** Counts a call, and returns which one it is. */
  next(operation: Operation): number {
    const nth = this.of(operation) + 1
    this.#counts.set(operation, nth)
    return nth
  }
}

/** The error of the nth call of an operation; 0 where it is to succeed. */
export function errnoOf({ failures }: FaultPlan, operation: Operation, nth: number): number {
  const failure = failures?.find((each) => each.operation === operation && includes(each, nth))
  return failure?.errno ?? 0
}

export function delayOf({ delays }: FaultPlan, operation: WaitingOperation): number {
  return delays?.find((each) => each.operation === operation)?.delayMs ?? 0
}

function includes({ nth = 1, times = Infinity }: Failure, call: number): boolean {
  return call >= nth && call < nth + times
}
