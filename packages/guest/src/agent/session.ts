/**
 * One connection to the agent of a guest (AGENT.md): what the guest pushes, and requests told apart by their tokens.
 *
 * The guest is not trusted. What it says wrongly is counted and ignored; a line without end, or a list without end, ends
 * the session or the request with "protocol". Nothing it does throws into the caller's event loop.
 *
 * @module
 */
import type { Duplex } from "node:stream"
import { SidecarError } from "@skep/contract"
import { Lines, orAborted, type Resolvers, withDeadline, withResolvers } from "@skep/runtime"
import { type GuestFacts, parseFacts } from "./lines/facts.ts"
import * as protocol from "./lines/protocol.ts"

const DEADLINE_MS = 5000
/** The guest lists at most 500 rows of each of its few kinds. */
const ROWS_MAX = 4096
const PENDING_MAX = 64
const UNSENT_MAX = 64 * 1024
/** A guest of ours has eight phases; whoever says more says nonsense. */
const EVENTS_MAX = 64

/** The host's clocks; tests bring their own. */
export interface Clock {
  /** Milliseconds since 1970. */
  readonly wallMs: () => number
  /** Milliseconds that only go forward. */
  readonly monotonicMs: () => number
}

export interface AgentOptions {
  /** Cancels the opening, and nothing else. */
  readonly signal: AbortSignal
  /** How long the guest may take for its greeting and for each request; 5 s unless told. */
  readonly deadlineMs?: number
  /** Called for each phase once, those of before the session too. None of the callbacks may throw. */
  readonly onPhase?: (phase: protocol.ReachedPhase) => void
  readonly onFailed?: (failed: protocol.FailedPhase) => void
  /** A clean stop of the guest begins; the end of the session follows. */
  readonly onStopping?: () => void
  readonly clock?: Clock
}

/** The guest's clock, asked over one round trip. */
export interface GuestTime {
  /** Milliseconds since 1970 by the guest's clock, with a fraction. */
  readonly guestMs: number
  readonly roundTripMs: number
  /** By how much the guest is ahead of the host; wrong by at most half a round trip. */
  readonly skewMs: number
}

/** How a session ended. */
export interface SessionEnd {
  /** Who ended it: "host" by disposal, "guest" by hanging up, "fault" by not keeping to the protocol or a broken connection. */
  readonly by: "host" | "guest" | "fault"
  /** One sentence. */
  readonly reason: string
}

/** What was ignored, by reason. */
export interface AgentCounters {
  readonly lines: number
  readonly malformed: Readonly<Record<protocol.Malformed, number>>
  /** Answers to no request, or to one that had been given up. */
  readonly unasked: number
  readonly malformedFacts: number
}

/**
 * A session whose guest has greeted. Requests may overlap; each rejects with "timeout" after the deadline, "protocol" when
 * the guest refuses or answers nonsense, "unreachable" when the session is or gets closed, "busy" with 64 under way, or
 * with the signal's reason. Disposing it hangs up.
 */
export interface AgentSession extends AsyncDisposable {
  readonly hello: protocol.Hello
  /** What the guest reached so far, in order. */
  readonly phases: readonly protocol.ReachedPhase[]
  readonly failures: readonly protocol.FailedPhase[]
  readonly stopping: boolean
  readonly counters: AgentCounters
  /** Fulfils when the session has ended, for whatever reason; never rejects. */
  readonly closed: Promise<SessionEnd>
  time(signal: AbortSignal): Promise<GuestTime>
  /**
   * Sets the guest's clock to a time of the host's, in milliseconds since 1970; a function is asked as late as possible.
   * Half of the shortest round trip of `time` so far is added. Right to a few milliseconds: see AGENT.md.
   */
  setTime(epochMs: number | (() => number), signal: AbortSignal): Promise<void>
  facts(signal: AbortSignal): Promise<GuestFacts>
  /** Asks for an orderly power-off; resolves when the guest has begun it. */
  poweroff(signal: AbortSignal): Promise<void>
}

/**
 * Takes over a connection to the agent and waits for its greeting. Rejects with "timeout", with "unreachable" when the
 * guest hangs up before, and with "protocol" when it speaks another version; the connection is closed then.
 */
export async function openAgentSession(duplex: Duplex, options: AgentOptions): Promise<AgentSession> {
  const session = new Session(duplex, options)
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS
  try {
    await withDeadline("get the greeting of the guest's agent", deadlineMs, options.signal, (signal) =>
      orAborted(session.greeted, signal),
    )
    return session
  } catch (error) {
    await session[Symbol.asyncDispose]()
    throw error
  }
}

interface Pending {
  readonly answer: Resolvers<protocol.GuestLine>
  readonly rows: (readonly string[])[]
}

const HOST_CLOCK: Clock = { wallMs: () => Date.now(), monotonicMs: () => performance.now() }

class Session implements AgentSession {
  readonly closed: Promise<SessionEnd>
  readonly greeted: Promise<void>
  readonly phases: protocol.ReachedPhase[] = []
  readonly failures: protocol.FailedPhase[] = []
  stopping = false
  readonly #duplex: Duplex
  readonly #options: AgentOptions
  readonly #clock: Clock
  readonly #lines = new Lines(protocol.LINE_MAX)
  readonly #greeting: Resolvers<void> = withResolvers()
  readonly #pending = new Map<string, Pending>()
  readonly #malformed: Record<protocol.Malformed, number> = {
    "too-long": 0,
    "unknown-line": 0,
    "bad-arguments": 0,
  }
  #hello: protocol.Hello | undefined
  #end: SessionEnd | undefined
  #nextToken = 1
  #seen = 0
  #unasked = 0
  #malformedFacts = 0
  #shortestTripMs = Number.POSITIVE_INFINITY

  constructor(duplex: Duplex, options: AgentOptions) {
    this.#duplex = duplex
    this.#options = options
    this.#clock = options.clock ?? HOST_CLOCK
    this.greeted = this.#greeting.promise
    this.greeted.catch(() => undefined) // seen by whoever opens the session
    this.closed = new Promise((resolve) => {
      duplex.once("close", () => resolve(this.#finish()))
      if (duplex.destroyed) resolve(this.#finish())
    })
    duplex.on("data", (chunk: Uint8Array) => this.#read(chunk))
    duplex.on("end", () => this.#hangUp({ by: "guest", reason: "The guest hung up" }))
    duplex.on("error", (error) =>
      this.#hangUp({ by: "fault", reason: `The connection broke: ${error.message}` }),
    )
  }

  get hello(): protocol.Hello {
    if (this.#hello === undefined) throw new Error("a session is handed out after its greeting")
    return this.#hello
  }

  get counters(): AgentCounters {
    return {
      lines: this.#seen,
      malformed: { ...this.#malformed },
      unasked: this.#unasked,
      malformedFacts: this.#malformedFacts,
    }
  }

  async time(signal: AbortSignal): Promise<GuestTime> {
    let sentAt = 0
    let wallMs = 0
    const { answer, arrivedAt } = await this.#ask("tell the guest's time", signal, (token) => {
      sentAt = this.#clock.monotonicMs()
      wallMs = this.#clock.wallMs()
      return { verb: "time", token }
    })
    if (answer.kind !== "time") throw wrongAnswer("time", answer)
    const roundTripMs = Math.max(0, arrivedAt - sentAt)
    this.#shortestTripMs = Math.min(this.#shortestTripMs, roundTripMs)
    return { guestMs: answer.guestMs, roundTripMs, skewMs: answer.guestMs - (wallMs + roundTripMs / 2) }
  }

  async setTime(epochMs: number | (() => number), signal: AbortSignal): Promise<void> {
    const wayMs = Number.isFinite(this.#shortestTripMs) ? this.#shortestTripMs / 2 : 0
    const { answer } = await this.#ask("set the guest's time", signal, (token) => ({
      verb: "set-time",
      token,
      epochMs: (typeof epochMs === "function" ? epochMs() : epochMs) + wayMs,
    }))
    if (answer.kind !== "done") throw wrongAnswer("set-time", answer)
  }

  async facts(signal: AbortSignal): Promise<GuestFacts> {
    const { answer, rows } = await this.#ask("get the guest's facts", signal, (token) => ({
      verb: "facts",
      token,
    }))
    if (answer.kind !== "done") throw wrongAnswer("facts", answer)
    const { facts, ignored } = parseFacts(rows)
    this.#malformedFacts += ignored
    if (facts !== undefined) return facts
    throw new SidecarError(
      "protocol",
      `Cannot get the guest's facts: its ${rows.length} lines lack uptime, load or memory`,
    )
  }

  async poweroff(signal: AbortSignal): Promise<void> {
    const { answer } = await this.#ask("power the guest off", signal, (token) => ({
      verb: "poweroff",
      token,
    }))
    if (answer.kind !== "done") throw wrongAnswer("poweroff", answer)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#hangUp({ by: "host", reason: "The host hung up" })
    await this.closed
  }

  async #ask(
    what: string,
    signal: AbortSignal,
    request: (token: string) => protocol.Request,
  ): Promise<{
    readonly answer: protocol.GuestLine
    readonly rows: Pending["rows"]
    readonly arrivedAt: number
  }> {
    signal.throwIfAborted()
    if (this.#end !== undefined) throw this.#lost()
    if (this.#pending.size >= PENDING_MAX || this.#duplex.writableLength > UNSENT_MAX) {
      throw new SidecarError(
        "busy",
        `Cannot ${what}: the guest has yet to answer ${this.#pending.size} requests`,
      )
    }
    const token = String(this.#nextToken++)
    let arrivedAt = 0
    const pending: Pending = { answer: withResolvers(), rows: [] }
    const answered = pending.answer.promise.then((answer) => {
      arrivedAt = this.#clock.monotonicMs()
      return answer
    })
    answered.catch(() => undefined) // it may come after the deadline
    this.#pending.set(token, pending)
    try {
      const deadlineMs = this.#options.deadlineMs ?? DEADLINE_MS
      const answer = await withDeadline(what, deadlineMs, signal, () => {
        this.#duplex.write(protocol.emit(request(token)))
        return answered
      })
      return { answer, rows: pending.rows, arrivedAt }
    } finally {
      this.#pending.delete(token)
    }
  }

  #read(chunk: Uint8Array): void {
    if (this.#end !== undefined) return
    const lines = this.#lines.push(chunk)
    if (lines === "too-long") {
      this.#fault(`The guest's agent sent a line of over ${protocol.LINE_MAX} bytes`)
      return
    }
    for (const line of lines) {
      this.#seen += 1
      const said = protocol.parse(line)
      if (typeof said === "string") this.#malformed[said] += 1
      else this.#take(said)
    }
  }

  #take(said: protocol.GuestLine): void {
    switch (said.kind) {
      case "hello":
        this.#greet(said.hello)
        return
      case "phase":
      case "failed":
      case "stopping":
        this.#happened(said)
        return
      case "idle":
        return
      case "closing":
        this.#hangUp({ by: "guest", reason: `The guest hung up: ${said.reason}` })
        return
      case "fact":
        this.#collect(said.token, said.words)
        return
      case "time":
      case "done":
      case "error":
        this.#settle(said)
        return
    }
  }

  #happened(said: protocol.GuestEvent): void {
    if (said.kind === "phase") {
      if (keep(this.phases, said.phase)) this.#options.onPhase?.(said.phase)
    } else if (said.kind === "failed") {
      if (keep(this.failures, said.failed)) this.#options.onFailed?.(said.failed)
    } else if (!this.stopping) {
      this.stopping = true
      this.#options.onStopping?.()
    }
  }

  #greet(hello: protocol.Hello): void {
    if (this.#hello !== undefined) return
    if (hello.version === protocol.VERSION) {
      this.#hello = hello
      this.#greeting.resolve()
      return
    }
    this.#fault(`The guest's agent speaks version ${hello.version} of its protocol, not ${protocol.VERSION}`)
  }

  #collect(token: string, words: readonly string[]): void {
    const pending = this.#pending.get(token)
    if (pending === undefined) this.#unasked += 1
    else if (pending.rows.length < ROWS_MAX) pending.rows.push(words)
    else {
      pending.answer.reject(
        new SidecarError("protocol", `Cannot get the guest's facts: it sent over ${ROWS_MAX} lines`),
      )
    }
  }

  #settle(said: protocol.GuestLine & { readonly token: string }): void {
    const pending = this.#pending.get(said.token)
    if (pending === undefined) this.#unasked += 1
    else pending.answer.resolve(said)
    this.#pending.delete(said.token)
  }

  #fault(reason: string): void {
    this.#greeting.reject(new SidecarError("protocol", reason))
    this.#hangUp({ by: "fault", reason })
  }

  /** The first reason stands. */
  #hangUp(end: SessionEnd): void {
    this.#end ??= end
    this.#duplex.destroy()
  }

  #finish(): SessionEnd {
    this.#end ??= { by: "guest", reason: "The guest hung up" }
    const lost = this.#lost()
    this.#greeting.reject(lost)
    for (const { answer } of this.#pending.values()) answer.reject(lost)
    return this.#end
  }

  #lost(): SidecarError {
    return new SidecarError("unreachable", `Lost the guest's agent: ${this.#end?.reason ?? "it is closed"}`)
  }
}

/** Whether there was room. */
function keep<T>(events: T[], event: T): boolean {
  if (events.length >= EVENTS_MAX) return false
  events.push(event)
  return true
}

function wrongAnswer(verb: protocol.Request["verb"], answer: protocol.GuestLine): SidecarError {
  const said = answer.kind === "error" ? answer.reason : answer.kind
  return new SidecarError("protocol", `The guest's agent refused "${verb}": ${said}`)
}
