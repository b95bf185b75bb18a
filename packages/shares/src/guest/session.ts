/**
 * One connection to the share agent of a guest (packages/guest/SHARES.md): requests told apart by their tokens, and changes to be repeated, which
 * are acknowledged in their own time.
 *
 * The guest is not trusted: what it says wrongly is counted and ignored, a line without end ends the session. Nothing it does throws into the
 * caller's event loop.
 *
 * @module
 */
import type { Duplex } from "node:stream"
import { SidecarError } from "@skep/contract"
import { Lines, orAborted, type Resolvers, withDeadline, withResolvers } from "@skep/runtime"
import * as lines from "./lines.ts"

const DEADLINE_MS = 10_000
/** A mount over the network may have to wait for it. */
const MOUNT_DEADLINE_MS = 30_000
const PENDING_MAX = 1024
const SHARES_MAX = 4096
/** What may wait in the socket: echoes have a window of their own, so this is only reached by a guest that reads nothing. */
const UNSENT_MAX = 16 * 1024 * 1024

export interface SessionOptions {
  /** Cancels the opening, and nothing else. */
  readonly signal: AbortSignal
  /** For each request but `mount`; 10 s unless told. */
  readonly deadlineMs?: number
  /** Changes that the guest has repeated, or could not. Must not throw. */
  readonly onEchoed: (results: readonly lines.EchoResult[]) => void
}

export interface SessionCounters {
  readonly lines: number
  readonly malformed: Readonly<Record<lines.Malformed, number>>
  /** Answers to no request, or to one that had been given up. */
  readonly unasked: number
}

/** What the guest has mounted. */
export interface GuestMounts {
  /** How the directory of all shares is mounted; undefined where it is not. */
  readonly base?: { readonly type: string; readonly source: string }
  readonly shares: readonly lines.BoundShare[]
}

interface Pending {
  readonly answer: Resolvers<lines.GuestLine>
  base?: { readonly type: string; readonly source: string }
  readonly shares: lines.BoundShare[]
}

/**
 * Takes over a connection and waits for the greeting. Rejects with "timeout", with "unreachable" when the guest hangs up before, and with
 * "protocol" when it speaks another version; the connection is closed then.
 */
export async function openShareSession(duplex: Duplex, options: SessionOptions): Promise<ShareSession> {
  const session = new ShareSession(duplex, options)
  try {
    const deadlineMs = options.deadlineMs ?? DEADLINE_MS
    await withDeadline("get the greeting of the guest's share agent", deadlineMs, options.signal, (signal) =>
      orAborted(session.greeted, signal),
    )
    return session
  } catch (error) {
    await session[Symbol.asyncDispose]()
    throw error
  }
}

/**
 * A session whose guest has greeted. Requests may overlap; each rejects with "timeout" after its deadline, "protocol" when the guest answers nonsense,
 * "unsupported" when it refuses, "unreachable" when the session is or gets closed, "busy" with too many under way.
 */
export class ShareSession implements AsyncDisposable {
  /** Fulfils with a sentence when the session has ended, for whatever reason; never rejects. */
  readonly closed: Promise<string>
  readonly greeted: Promise<void>
  readonly #duplex: Duplex
  readonly #options: SessionOptions
  readonly #lines = new Lines(lines.LINE_MAX)
  readonly #greeting: Resolvers<void> = withResolvers()
  readonly #pending = new Map<string, Pending>()
  readonly #malformed: Record<lines.Malformed, number> = { "unknown-line": 0, "bad-arguments": 0 }
  #hello: lines.Hello | undefined
  #end: string | undefined
  #nextToken = 1
  #seen = 0
  #unasked = 0

  constructor(duplex: Duplex, options: SessionOptions) {
    this.#duplex = duplex
    this.#options = options
    this.greeted = this.#greeting.promise
    this.greeted.catch(() => undefined) // seen by whoever opens the session
    this.closed = new Promise((resolve) => {
      duplex.once("close", () => resolve(this.#finish()))
      if (duplex.destroyed) resolve(this.#finish())
    })
    duplex.on("data", (chunk: Uint8Array) => this.#read(chunk))
    duplex.on("end", () => this.#hangUp("the guest hung up"))
    duplex.on("error", (error) => this.#hangUp(`the connection broke: ${error.message}`))
  }

  get hello(): lines.Hello {
    if (this.#hello === undefined) throw new Error("a session is handed out after its greeting")
    return this.#hello
  }

  get counters(): SessionCounters {
    return { lines: this.#seen, malformed: { ...this.#malformed }, unasked: this.#unasked }
  }

  async mount(how: lines.Mount, signal: AbortSignal): Promise<void> {
    await this.#ask("mount the shares in the guest", { verb: "mount", how }, signal, MOUNT_DEADLINE_MS)
  }

  /** Makes a directory of another server the one under `id`. */
  async attach(id: string, place: lines.Place, signal: AbortSignal): Promise<void> {
    const what = `mount "${place.path}" of the host's NFS server in the guest`
    await this.#ask(what, { verb: "attach", id, place }, signal, MOUNT_DEADLINE_MS)
  }

  async bind(share: lines.BoundShare, signal: AbortSignal): Promise<void> {
    await this.#ask(`mount a share at "${share.target}" in the guest`, { verb: "bind", ...share }, signal)
  }

  async unbind(target: string, signal: AbortSignal): Promise<void> {
    await this.#ask(`unmount "${target}" in the guest`, { verb: "unbind", target }, signal)
  }

  /** All shares are where they belong: the engine of the guest may start its containers. */
  async ready(signal: AbortSignal): Promise<void> {
    await this.#ask("tell the guest that its shares are there", { verb: "ready" }, signal)
  }

  async mounts(signal: AbortSignal): Promise<GuestMounts> {
    const { base, shares } = await this.#ask("list the guest's shares", { verb: "mounts" }, signal)
    return { ...(base === undefined ? {} : { base }), shares }
  }

  /** Sends changes to be repeated, one a line without line feed. */
  echo(echoes: readonly string[]): void {
    if (this.#end !== undefined) return
    if (this.#duplex.writableLength > UNSENT_MAX) {
      this.#hangUp("the guest does not read")
      return
    }
    this.#duplex.write(`${echoes.join("\n")}\n`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#hangUp("the host hung up")
    await this.closed
  }

  async #ask(
    what: string,
    request: lines.Request,
    signal: AbortSignal,
    deadlineMs = this.#options.deadlineMs ?? DEADLINE_MS,
  ): Promise<Pending> {
    signal.throwIfAborted()
    if (this.#end !== undefined) throw this.#lost()
    if (this.#pending.size >= PENDING_MAX)
      throw new SidecarError("busy", `Cannot ${what}: it has yet to answer ${this.#pending.size} requests`)
    const token = String(this.#nextToken++)
    const pending: Pending = { answer: withResolvers(), shares: [] }
    pending.answer.promise.catch(() => undefined) // it may come after the deadline
    this.#pending.set(token, pending)
    try {
      const answer = await withDeadline(what, deadlineMs, signal, () => {
        this.#duplex.write(lines.emit(token, request))
        return pending.answer.promise
      })
      if (answer.kind === "done") return pending
      const reason = answer.kind === "error" ? answer.reason : answer.kind
      throw new SidecarError("unsupported", `Cannot ${what}: ${sentenceOf(reason)}`)
    } finally {
      this.#pending.delete(token)
    }
  }

  #read(chunk: Uint8Array): void {
    if (this.#end !== undefined) return
    const read = this.#lines.push(chunk)
    if (read === "too-long") {
      this.#fault(`the guest's share agent sent a line of over ${lines.LINE_MAX} bytes`)
      return
    }
    for (const line of read) {
      this.#seen += 1
      const said = lines.parse(line)
      if (typeof said === "string") this.#malformed[said] += 1
      else this.#take(said)
    }
  }

  #take(said: lines.GuestLine): void {
    switch (said.kind) {
      case "hello":
        this.#greet(said.hello)
        return
      case "idle":
        return
      case "closing":
        this.#hangUp(`the guest hung up: ${said.reason}`)
        return
      case "echoed":
        this.#options.onEchoed(said.results)
        return
      case "base":
      case "share":
        this.#collect(said)
        return
      case "done":
      case "error": {
        const pending = this.#pending.get(said.token)
        if (pending === undefined) this.#unasked += 1
        else pending.answer.resolve(said)
        this.#pending.delete(said.token)
        return
      }
    }
  }

  #collect(said: Extract<lines.GuestLine, { kind: "base" | "share" }>): void {
    const pending = this.#pending.get(said.token)
    if (pending === undefined) this.#unasked += 1
    else if (said.kind === "base") pending.base = { type: said.type, source: said.source }
    else if (pending.shares.length < SHARES_MAX) pending.shares.push(said.share)
    else pending.answer.reject(new SidecarError("protocol", "Cannot list the guest's shares: it has no end"))
  }

  #greet(hello: lines.Hello): void {
    if (this.#hello !== undefined) return
    if (hello.version !== lines.VERSION) {
      this.#fault(
        `the guest's share agent speaks version ${hello.version} of its protocol, not ${lines.VERSION}`,
      )
      return
    }
    this.#hello = hello
    this.#greeting.resolve()
  }

  #fault(reason: string): void {
    this.#greeting.reject(new SidecarError("protocol", `Cannot use the guest's share agent: ${reason}`))
    this.#hangUp(reason)
  }

  /** The first reason stands. */
  #hangUp(reason: string): void {
    this.#end ??= reason
    this.#duplex.destroy()
  }

  #finish(): string {
    this.#end ??= "the guest hung up"
    const lost = this.#lost()
    this.#greeting.reject(lost)
    for (const { answer } of this.#pending.values()) answer.reject(lost)
    return this.#end
  }

  #lost(): SidecarError {
    return new SidecarError("unreachable", `Lost the guest's share agent: ${this.#end ?? "it is closed"}`)
  }
}

const SENTENCES: Readonly<Record<string, string>> = {
  "refused-target": "this place is the guest's own",
  "not-mounted": "the directory of all shares is not mounted",
  "bad-arguments": "the guest does not take these words",
  "unknown-request": "the guest is too old for it",
}

function sentenceOf(reason: string): string {
  return SENTENCES[reason] ?? `the guest says "${reason}"`
}
