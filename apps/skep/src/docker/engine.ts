/**
 * The engine: a dockerd somewhere, and the one thing the rest needs of it, a byte stream to its API.
 *
 * Whoever owns the machine makes an `Engine` once dockerd's side can be reached, watches `closed`, and makes another when
 * it settles. The proxy asks for the present `EngineState` on every request and keeps none of it.
 *
 * @module
 */
import type { Duplex } from "node:stream"

/**
 * A way to the engine's API. After its disposal no stream comes from it; those that did end with the way that they go, if not before: one over
 * a machine's vsock outlives the launcher of that machine.
 */
export interface Engine extends AsyncDisposable {
  /**
   * Opens a stream to the API. It half-closes both ways: `end()` is the engine's end of input while its output goes on,
   * and the other way round. It ends with an error if the way there is lost, never by silence.
   * Codes: "unreachable", "busy" (too many wait), "not-running" (after disposal).
   */
  connect(signal: AbortSignal): Promise<Duplex>
  /** Whether a stream may be kept for later requests; every one may unless told. */
  keeps?(stream: Duplex): boolean
  /** Fulfils after disposal, rejects with "unreachable" once the way to the engine is lost. */
  readonly closed: Promise<void>
}

/** Where the engine stands, as the machine's owner knows it. */
export type EngineState =
  /** `reason` is a sentence without its period; `next` says what to type. */
  | { readonly state: "down"; readonly reason: string; readonly next?: string }
  /** Each call of `ready` waits anew; nobody waits, and nothing rejects, before it is called. */
  | { readonly state: "starting"; readonly ready: () => Promise<Engine> }
  | { readonly state: "up"; readonly engine: Engine }
