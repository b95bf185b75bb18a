/**
 * The backend's side of the guest's agent (packages/guest/AGENT.md): one session as long as the guest is there, and another when it was lost.
 *
 * Nothing is tried before the guest has said on its console that it listens; a guest without an agent costs nothing.
 *
 * @module
 */
import type { Duplex } from "node:stream"
import { type Log, SidecarError, type SidecarEvent } from "@skep/contract"
import { type AgentSession, type GuestFacts, openAgentSession } from "@skep/guest/agent"
import { orAborted, sleep } from "@skep/runtime"
import { GuestClock } from "./guest-clock.ts"
import type { GuestPhases } from "./guest-phases.ts"

const RETRY_FIRST_MS = 100
const RETRY_MAX_MS = 10_000
/** Whoever asks for a machine's state should not have to wait for a busy guest: then the last facts are told. */
const FACTS_MS = 500

/** What is known of the inside of a machine. Plain JSON. */
export interface GuestView {
  /** By how much the guest's clock was ahead of the host's when it was last asked, after it was set. */
  readonly skewMs?: number
  readonly facts?: GuestFacts
  /** When the guest told these facts, milliseconds since 1970 by the host's clock. */
  readonly factsAtMs?: number
}

export interface GuestAgentOptions {
  readonly dial: (signal: AbortSignal) => Promise<Duplex>
  readonly phases: GuestPhases
  readonly log: Log
  readonly emit: (event: SidecarEvent) => void
}

/** Begins at once. Disposing it hangs up. */
export class GuestAgent implements AsyncDisposable {
  readonly #options: GuestAgentOptions
  readonly #stop = new AbortController()
  readonly #over: Promise<void>
  #session: AgentSession | undefined
  #clock: GuestClock | undefined
  #facts: Pick<GuestView, "facts" | "factsAtMs"> = {}

  constructor(options: GuestAgentOptions) {
    this.#options = options
    this.#over = this.#run()
  }

  /** What the guest says now, or said last where it is busy; undefined without a session. */
  async view(): Promise<GuestView | undefined> {
    const session = this.#session
    if (session === undefined) return undefined
    try {
      const facts = await session.facts(AbortSignal.timeout(FACTS_MS))
      this.#facts = { facts, factsAtMs: Date.now() }
    } catch (error) {
      this.#options.log.debug("no facts of the guest", { reason: String(error) })
    }
    const skewMs = this.#clock?.skewMs
    return { ...(skewMs === undefined ? {} : { skewMs }), ...this.#facts }
  }

  /** Sets the guest's clock: it stood still while the machine was paused. */
  setClock(): void {
    void this.#clock?.set()
  }

  /** Asks the guest to power itself off. Does nothing without a session; never rejects. */
  async poweroff(signal: AbortSignal): Promise<void> {
    try {
      await this.#session?.poweroff(signal)
    } catch (error) {
      this.#options.log.debug("the guest was not asked to power off", { reason: String(error) })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new SidecarError("not-running", "The machine is over"))
    await this.#over
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    try {
      let retryMs = RETRY_FIRST_MS
      for (;;) {
        await this.#options.phases.wait("vsock", signal)
        if (await this.#talk(signal)) retryMs = RETRY_FIRST_MS
        await sleep(retryMs, signal)
        retryMs = Math.min(2 * retryMs, RETRY_MAX_MS)
      }
    } catch (error) {
      // The end of the machine, or a guest that gave up: whoever waits for its phases is told.
      if (!signal.aborted) this.#options.log.info("no agent in the guest", { reason: String(error) })
    }
  }

  /** One session to its end. Returns whether there was one. */
  async #talk(signal: AbortSignal): Promise<boolean> {
    const { dial, phases, log, emit } = this.#options
    let session: AgentSession
    try {
      session = await openAgentSession(await dial(signal), {
        signal,
        onPhase: ({ name }) => phases.reach(name),
        onFailed: ({ phase, reason }) => phases.onEvent({ type: "failed", phase, reason }),
        onStopping: () => emit({ type: "guest-stopping" }),
      })
    } catch (error) {
      signal.throwIfAborted()
      log.debug("the guest's agent does not answer", { reason: String(error) })
      return false
    }
    try {
      using clock = new GuestClock({ session, log, emit })
      this.#session = session
      this.#clock = clock
      const end = await orAborted(session.closed, signal)
      log.debug("the guest's agent is gone", { reason: end.reason })
      return true
    } finally {
      this.#session = undefined
      this.#clock = undefined
      await session[Symbol.asyncDispose]()
    }
  }
}
