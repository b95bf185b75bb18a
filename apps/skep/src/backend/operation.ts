/**
 * One long-running change of a machine that several callers may watch: two `skep up` at once see the same boot.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { withResolvers } from "@skep/runtime"

/** What a watcher is told. `seconds` is the duration of the phase. */
export type Progress =
  | { readonly type: "begin"; readonly phase: string; readonly title: string }
  | { readonly type: "detail"; readonly phase: string; readonly text: string }
  | { readonly type: "end"; readonly phase: string; readonly title: string; readonly seconds: number }
  | { readonly type: "fail"; readonly phase: string; readonly title: string; readonly seconds: number }
  | { readonly type: "note"; readonly text: string }

export type Report = (progress: Progress) => void

export interface OperationOptions {
  /** "start", "stop", "adoption" …: for messages. */
  readonly kind: string
  /** Whether it is aborted when its last watcher hangs up; otherwise it goes on unwatched. */
  readonly needsWatcher: boolean
  readonly work: Work
}

/** `interrupted` tells whether an abort came from the callers themselves: all who watched hung up. */
export type Work = (report: Report, signal: AbortSignal, interrupted: () => boolean) => Promise<void>

/** Runs at once. */
export class Operation {
  readonly kind: string
  /** Settles when the work has, never sooner; never unhandled. */
  readonly done: Promise<void>
  readonly #needsWatcher: boolean
  readonly #controller = new AbortController()
  readonly #history: Progress[] = []
  #changed = withResolvers<void>()
  #watchers = 0
  #over = false
  #interrupted = false

  constructor(options: OperationOptions) {
    this.kind = options.kind
    this.#needsWatcher = options.needsWatcher
    const { signal } = this.#controller
    this.done = options
      .work(
        (progress) => this.#report(progress),
        signal,
        () => this.#interrupted,
      )
      .finally(() => {
        this.#over = true
        this.#changed.resolve()
      })
    this.done.catch(() => undefined) // each watcher throws it
  }

  /** Whether it was told to end. It may still be at it. */
  get aborted(): boolean {
    return this.#controller.signal.aborted
  }

  abort(reason: SidecarError): void {
    this.#controller.abort(reason)
  }

  /** Yields what happened so far and then what happens, ends with the work and throws what it threw. */
  async *watch(signal: AbortSignal): AsyncGenerator<Progress> {
    this.#watchers++
    const hungUp = withResolvers<void>()
    const onAbort = (): void => hungUp.resolve()
    signal.addEventListener("abort", onAbort, { once: true })
    try {
      for (let next = 0; ; ) {
        while (next < this.#history.length) {
          const progress = this.#history[next++]
          if (progress !== undefined) yield progress
        }
        if (this.#over || signal.aborted) break
        await Promise.race([this.#changed.promise, hungUp.promise])
      }
      if (!signal.aborted) await this.done
    } finally {
      signal.removeEventListener("abort", onAbort)
      this.#watchers--
      this.#unwatched()
    }
  }

  #unwatched(): void {
    if (this.#watchers > 0 || this.#over || this.aborted || !this.#needsWatcher) return
    this.#interrupted = true
    this.abort(new SidecarError("aborted", `The ${this.kind} was interrupted`))
  }

  #report(progress: Progress): void {
    this.#history.push(progress)
    const before = this.#changed
    this.#changed = withResolvers<void>()
    before.resolve()
  }
}
