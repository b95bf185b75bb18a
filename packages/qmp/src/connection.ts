/**
 * One connection to a QMP monitor: greeting, capabilities, overlapping commands told apart by their id, events.
 *
 * A monitor serves one client at a time: QEMU greets a second one only when the first has gone.
 *
 * @module
 */
import { connect, type Socket } from "node:net"
import { SidecarError } from "@skep/contract"
import { errnoOf, Lines, type Resolvers, withDeadline, withResolvers } from "@skep/runtime"
import { emit, type Message, parse, type QmpEvent } from "./message.ts"

const DEADLINE_MS = 10_000
/** The largest answer known, query-qmp-schema, has about 200 KB. */
const LINE_MAX = 1 << 20

export interface ConnectQmpOptions {
  /** Cancels the connecting, and nothing else. */
  readonly signal: AbortSignal
  /** Called for each event, in order, from the moment the monitor is ready. Must not throw. */
  readonly onEvent?: (event: QmpEvent) => void
  /** How long QEMU may take for the greeting and for each command; 10 s unless told. */
  readonly deadlineMs?: number
}

/** A monitor that took our capabilities. Disposing it hangs up and leaves QEMU running. */
export interface Qmp extends AsyncDisposable {
  /** QEMU's own version, such as "7.2.22". */
  readonly version: string
  /**
   * Runs one command; several may be under way. Rejects with "protocol" when QEMU refuses it, "timeout" after the
   * deadline, "unreachable" when the connection is or gets lost, or with the signal's reason.
   */
  execute(command: string, args?: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<unknown>
  /** Fulfils when either side hung up; rejects with "protocol" when the other side does not speak QMP. */
  readonly closed: Promise<void>
}

/** Connects and negotiates. Rejects with "unreachable" when nobody listens on `path`. */
export async function connectQmp(path: string, options: ConnectQmpOptions): Promise<Qmp> {
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS
  const socket = await withDeadline(`reach "unix:${path}"`, deadlineMs, options.signal, (signal) =>
    open(path, signal),
  )
  const session = new Session(path, socket, deadlineMs, options.onEvent)
  try {
    await withDeadline(
      `get the QMP greeting of "unix:${path}"`,
      deadlineMs,
      options.signal,
      () => session.greeted,
    )
    await session.execute("qmp_capabilities", undefined, options.signal)
    return session
  } catch (error) {
    await session[Symbol.asyncDispose]()
    throw error
  }
}

class Session implements Qmp {
  readonly closed: Promise<void>
  readonly greeted: Promise<void>
  version = "unknown"
  readonly #path: string
  readonly #socket: Socket
  readonly #deadlineMs: number
  readonly #onEvent: (event: QmpEvent) => void
  readonly #waiting = new Map<number, Resolvers<unknown>>()
  readonly #lines = new Lines(LINE_MAX)
  readonly #greeting: Resolvers<void> = withResolvers()
  #failure: SidecarError | undefined
  #nextId = 1

  constructor(
    path: string,
    socket: Socket,
    deadlineMs: number,
    onEvent: ((event: QmpEvent) => void) | undefined,
  ) {
    this.#path = path
    this.#socket = socket
    this.#deadlineMs = deadlineMs
    this.#onEvent = onEvent ?? (() => undefined)
    this.greeted = this.#greeting.promise
    this.greeted.catch(() => undefined) // seen by whoever connects
    this.closed = new Promise((resolve, reject) => {
      socket.once("close", () => {
        this.#abandon()
        if (this.#failure === undefined) resolve()
        else reject(this.#failure)
      })
    })
    this.closed.catch(() => undefined) // whoever awaits it gets the reason; nobody has to
    socket.on("data", (chunk: Buffer) => this.#read(chunk))
    socket.on("error", () => undefined) // "close" follows
  }

  async execute(
    command: string,
    args?: Readonly<Record<string, unknown>>,
    signal: AbortSignal = neverAborts,
  ): Promise<unknown> {
    signal.throwIfAborted()
    if (this.#socket.destroyed || !this.#socket.writable) throw this.#lost()
    const id = this.#nextId++
    const answer = withResolvers<unknown>()
    answer.promise.catch(() => undefined) // it may come after the deadline
    this.#waiting.set(id, answer)
    try {
      return await withDeadline(`run "${command}" in QEMU`, this.#deadlineMs, signal, () => {
        this.#socket.write(emit(id, command, args))
        return answer.promise
      })
    } finally {
      this.#waiting.delete(id)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.destroy()
    await this.closed.catch(() => undefined) // disposal only wants it gone
  }

  #read(chunk: Buffer): void {
    const lines = this.#lines.push(chunk)
    if (lines === "too-long") {
      this.#refuse(`a line of over ${LINE_MAX} bytes`)
      return
    }
    for (const line of lines) {
      if (this.#failure !== undefined) return
      const message = parse(line)
      if (typeof message === "string") this.#refuse(`${message}: ${JSON.stringify(line.slice(0, 80))}`)
      else this.#take(message)
    }
  }

  #take(message: Message): void {
    switch (message.kind) {
      case "greeting":
        this.version = message.version
        this.#greeting.resolve()
        return
      case "event":
        this.#onEvent(message.event)
        return
      case "return":
        if (message.id !== undefined) this.#waiting.get(message.id)?.resolve(message.value)
        return
      case "error":
        if (message.id !== undefined)
          this.#waiting.get(message.id)?.reject(refusal(message.class, message.desc))
        return
    }
  }

  /** The other side does not speak QMP: nothing it says from here on means anything. */
  #refuse(what: string): void {
    this.#failure = new SidecarError("protocol", `Cannot speak QMP on "unix:${this.#path}": it sent ${what}`)
    this.#socket.destroy()
  }

  #abandon(): void {
    const error = this.#failure ?? this.#lost()
    this.#greeting.reject(error)
    for (const answer of this.#waiting.values()) answer.reject(error)
    this.#waiting.clear()
  }

  #lost(): SidecarError {
    return (
      this.#failure ?? new SidecarError("unreachable", `Lost "unix:${this.#path}": the monitor is closed`)
    )
  }
}

const neverAborts = new AbortController().signal

function refusal(errorClass: string, desc: string): SidecarError {
  return new SidecarError("protocol", `QEMU refused the command: ${errorClass}: ${desc}`)
}

function open(path: string, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path })
    const onAbort = (): void => {
      socket.destroy()
      reject(signal.reason)
    }
    signal.addEventListener("abort", onAbort, { once: true })
    socket.once("error", (cause) => {
      signal.removeEventListener("abort", onAbort)
      const why = errnoOf(cause) ?? cause.message
      reject(
        new SidecarError("unreachable", `Cannot reach "unix:${path}": nobody answers there (${why})`, {
          cause,
        }),
      )
    })
    socket.once("connect", () => {
      signal.removeEventListener("abort", onAbort)
      socket.removeAllListeners("error")
      resolve(socket)
    })
  })
}
