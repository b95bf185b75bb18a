/**
 * The changes of one machine, one after the other: what is under way is awaited or interrupted, never run beside.
 *
 * @module
 */
import { type Log, SidecarError } from "@skep/contract"
import { orAborted } from "@skep/runtime"
import { Operation, type Report, type Work } from "./operation.ts"

export type ChangeKind = "start" | "stop" | "kill" | "removal" | "adoption"

export interface Change {
  readonly kind: ChangeKind
  /** What becomes of the change that is under way. */
  readonly before: "awaited" | "interrupted"
  readonly work: Work
}

export class Sequence {
  readonly #machine: string
  readonly #log: Log
  /** What has not ended yet, oldest first: an aborted start may end before the change that it waited for. */
  readonly #live = new Map<Operation, ChangeKind>()

  constructor(machine: string, log: Log) {
    this.#machine = machine
    this.#log = log
  }

  /** The newest change that has not ended. */
  get operation(): Operation | undefined {
    return [...this.#live.keys()].at(-1)
  }
  get kind(): ChangeKind | undefined {
    return [...this.#live.values()].at(-1)
  }

  abort(reason: SidecarError): void {
    for (const operation of this.#live.keys()) operation.abort(reason)
  }

  /** Resolves when all that is under way now has ended, however. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#live.keys()].map((operation) => operation.done))
  }

  begin({ kind, before, work }: Change): Operation {
    const newest = this.operation
    const earlier = this.settled()
    if (before === "interrupted") this.#interrupt(kind)
    const operation = new Operation({
      kind,
      needsWatcher: kind === "start",
      work: async (report, signal, interrupted) => {
        if (before === "interrupted") await earlier
        else if (newest !== undefined)
          await orAborted(
            relay(newest, report, signal).then(() => earlier),
            signal,
          )
        await work(report, signal, interrupted)
      },
    })
    this.#live.set(operation, kind)
    operation.done.then(
      () => this.#live.delete(operation),
      (error: unknown) => {
        this.#live.delete(operation)
        this.#log.info(`${kind} failed`, { reason: String(error) })
      },
    )
    return operation
  }

  #interrupt(by: ChangeKind): void {
    for (const [operation, kind] of this.#live) {
      const what = `The ${kind} of "${this.#machine}" was interrupted by its ${by}`
      operation.abort(new SidecarError("aborted", what))
    }
  }
}

/** Shows the progress of a change to those who wait for its end. How it ends is for its own watchers. */
async function relay(newest: Operation, report: Report, signal: AbortSignal): Promise<void> {
  try {
    for await (const progress of newest.watch(signal)) report(progress)
  } catch {
    // what its failure means for the next change, that change finds out
  }
}
