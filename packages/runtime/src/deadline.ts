/**
 * A deadline on every wait.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises"
import { SidecarError } from "@skep/contract"

/**
 * Runs `work` with a signal that also aborts after `ms`. A passed deadline rejects with "timeout" and `what`, in the form
 * `Cannot WHAT within 5 s`; an abort of the outer signal rejects with that signal's own reason.
 */
export async function withDeadline<T>(
  what: string,
  ms: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted()
  const controller = new AbortController()
  const timer = setTimeout(() => {
    controller.abort(new SidecarError("timeout", `Cannot ${what} within ${ms / 1000} s`))
  }, ms)
  const onAbort = (): void => controller.abort(signal.reason)
  signal.addEventListener("abort", onAbort, { once: true })
  try {
    return await orAborted(work(controller.signal), controller.signal)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener("abort", onAbort)
  }
}

/**
 * A signal that aborts with `signal`, and after `ms` with the `TimeoutError` of `AbortSignal.timeout`. For a deadline that a whole call gets;
 * it keeps no process alive.
 */
export function within(ms: number, signal: AbortSignal): AbortSignal {
  const timeout = AbortSignal.timeout(ms)
  // `any` holds its sources weakly: a timeout that nobody else listens to is collected with its timer, and never comes (Node 20).
  timeout.addEventListener("abort", () => undefined, { once: true })
  return AbortSignal.any([signal, timeout])
}

/** Settles as `promise` does, or rejects with the signal's reason if that aborts first. Leaves no listener behind. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const { promise: aborted, reject } = withResolvers<never>()
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener("abort", onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener("abort", onAbort)
  }
}

/** Sleeps; rejects with the signal's own reason, not with Node's AbortError. */
export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal })
  } catch (error) {
    signal.throwIfAborted()
    throw error
  }
}

export interface Resolvers<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T | PromiseLike<T>) => void
  readonly reject: (reason: unknown) => void
}

/** `Promise.withResolvers`, which Node 20 lacks. */
export function withResolvers<T>(): Resolvers<T> {
  let resolve!: Resolvers<T>["resolve"]
  let reject!: Resolvers<T>["reject"]
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
