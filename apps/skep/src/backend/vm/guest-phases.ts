/**
 * The milestones that a guest reports on its console (packages/guest): kernel, init, disk, network, ssh, docker.
 *
 * @module
 */
import { SidecarError, type SidecarEvent } from "@skep/contract"
import { orAborted, withResolvers } from "@skep/runtime"

/** Remembers the phases that were reached and lets callers wait for the next. */
export class GuestPhases {
  readonly #reached = new Set<string>()
  #changed = withResolvers<void>()
  #failure: SidecarError | undefined

  /** Takes the launcher's events `phase` and `failed`; ignores the rest. */
  onEvent(event: SidecarEvent): void {
    if (event.type === "phase" && typeof event["name"] === "string") this.reach(event["name"])
    if (event.type === "failed") this.#fail(String(event["phase"]), String(event["reason"]))
  }

  reach(name: string): void {
    this.#reached.add(name)
    this.#change()
  }

  /** Resolves when the phase was reached. Rejects with "crashed" when the guest gave up, or with the signal's reason. */
  async wait(name: string, signal: AbortSignal): Promise<void> {
    while (!this.#reached.has(name)) {
      if (this.#failure !== undefined) throw this.#failure
      await orAborted(this.#changed.promise, signal)
    }
  }

  #fail(phase: string, reason: string): void {
    this.#failure = new SidecarError("crashed", `The guest gave up in its phase "${phase}": ${reason}`)
    this.#change()
  }

  #change(): void {
    const before = this.#changed
    this.#changed = withResolvers<void>()
    before.resolve()
  }
}
