/**
 * The milestones that a guest reports on its console (packages/guest): kernel, init, disk, network, ssh, vsock, docker.
 *
 * @module
 */
import { SidecarError, type SidecarEvent } from "@skep/contract"
import { orAborted, withResolvers } from "@skep/runtime"

/** What a guest can do without: its failure is told only to those who wait for it. */
const OPTIONAL: ReadonlySet<string> = new Set(["vsock"])

/** Remembers the phases that were reached and lets callers wait for the next. */
export class GuestPhases {
  /** Told in words when a guest that hung in its boot is started again. */
  onRestart: (text: string) => void = () => undefined
  readonly #reached = new Set<string>()
  #changed = withResolvers<void>()
  #failure: SidecarError | undefined
  readonly #optional = new Map<string, SidecarError>()

  /** Takes the launcher's events `phase`, `failed` and `restarted-silent`; ignores the rest. */
  onEvent(event: SidecarEvent): void {
    if (event.type === "phase" && typeof event["name"] === "string") this.reach(event["name"])
    if (event.type === "restarted-silent")
      this.onRestart(`the guest hung in its boot for ${String(event["seconds"])} s and was started again`)
    if (event.type === "failed") this.#fail(String(event["phase"]), String(event["reason"]))
  }

  reach(name: string): void {
    this.#reached.add(name)
    this.#change()
  }

  /** Resolves when the phase was reached. Rejects with "crashed" when the guest gave up, or with the signal's reason. */
  async wait(name: string, signal: AbortSignal): Promise<void> {
    while (!this.#reached.has(name)) {
      const failure = this.#failure ?? this.#optional.get(name)
      if (failure !== undefined) throw failure
      await orAborted(this.#changed.promise, signal)
    }
  }

  #fail(phase: string, reason: string): void {
    const failure = new SidecarError("crashed", `The guest gave up in its phase "${phase}": ${reason}`)
    if (OPTIONAL.has(phase)) this.#optional.set(phase, failure)
    else this.#failure = failure
    this.#change()
  }

  #change(): void {
    const before = this.#changed
    this.#changed = withResolvers<void>()
    before.resolve()
  }
}
