/**
 * What is open on one SSH connection: opened within a limit, and ended with an error when the connection is lost.
 *
 * @module
 */
import type { Duplex } from "node:stream"
import { SidecarError } from "@skep/contract"
import { withResolvers } from "@skep/runtime"
import type { ClientCallback, ClientChannel } from "ssh2"
import type { Slots } from "./slots.ts"
import type { SshConnection } from "./ssh-connection.ts"
import { streamOver } from "./ssh-stream.ts"

/** RFC 4254 §5.1, the reasons that a server gives for not opening a channel. */
export const PROHIBITED = 1
export const CONNECT_FAILED = 2
export const UNKNOWN_TYPE = 3
const SHORTAGE = 4

/** Asks ssh2 for a channel. */
export type ChannelRequest = (callback: ClientCallback) => unknown

/** Channels that count together. */
export interface ChannelKind {
  readonly slots: Slots
  /** Whether a refusal means "no more than are open". */
  readonly isLimit: (error: unknown) => boolean
  /**
   * One at a time may be between its opening and its use. dropbear 2022.83 closes every session that has no command yet
   * whenever a command of another one ends, and then dies of an assertion when the command is sent.
   */
  readonly door?: Slots
}

type OnLoss = (error: Error) => void

export class SshChannels {
  /** Fulfils after `end`, rejects when the connection was lost. */
  readonly closed: Promise<void>
  readonly #connection: SshConnection
  // A set and no promise: a promise that stays pending would keep every listener that it ever had.
  readonly #onLoss = new Set<OnLoss>()
  #lost: Error | undefined
  #ended = false

  constructor(connection: SshConnection) {
    this.#connection = connection
    this.closed = connection.lost.catch((error: unknown) => {
      const reason = this.#ended ? new SidecarError("not-running", ENDED) : errorOf(error)
      this.#lost = reason
      for (const tell of this.#onLoss) tell(reason)
      this.#onLoss.clear()
      if (!this.#ended) throw reason
    })
    this.closed.catch(() => undefined) // whoever waits for it sees the reason
  }

  /** A stream over a new channel. */
  async open(kind: ChannelKind, signal: AbortSignal, request: ChannelRequest): Promise<Duplex> {
    const { stream, lose } = await this.adopt(kind, signal, request, (channel) => {
      channel.stderr.resume()
      const over = streamOver(channel)
      channel.on("exit", (code: unknown) => {
        if (code !== 0) over.stream.destroy(new SidecarError("unreachable", NOT_THERE, { next: SEE_LOGS }))
      })
      return over
    })
    const unwatch = this.#watch(lose)
    stream.once("close", unwatch)
    return stream
  }

  /**
   * What `owner` makes of a new channel, which gives its slot back when it closes. The owner is called before anything that
   * follows the opening is told: an exit status may lie in the same packet.
   */
  adopt<T>(
    kind: ChannelKind,
    signal: AbortSignal,
    request: ChannelRequest,
    owner: (channel: ClientChannel) => T,
  ): Promise<T> {
    const { slots, door, isLimit } = kind
    const owned = (channel: ClientChannel): T => {
      channel.once("close", () => slots.release())
      return owner(channel)
    }
    return this.guarded(signal, async (inner) => {
      for (;;) {
        await slots.take(inner)
        try {
          return await throughDoor(door, inner, () => requested(inner, request, owned))
        } catch (error) {
          if (!isLimit(error) || slots.open <= 1) {
            slots.release()
            throw error
          }
          slots.refuse()
        }
      }
    })
  }

  /** Runs `work` with a signal that aborts with the caller's own, and when the connection is lost. */
  async guarded<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    const controller = new AbortController()
    const onAbort = (): void => controller.abort(signal.reason)
    const unwatch = this.#watch((error) => controller.abort(error))
    signal.addEventListener("abort", onAbort, { once: true })
    try {
      return await work(controller.signal)
    } finally {
      unwatch()
      signal.removeEventListener("abort", onAbort)
    }
  }

  async end(): Promise<void> {
    this.#ended = true
    this.#connection.end()
    await this.closed.catch(() => undefined) // it was lost before
  }

  #watch(onLoss: OnLoss): () => void {
    if (this.#lost === undefined) this.#onLoss.add(onLoss)
    else onLoss(this.#lost)
    return () => this.#onLoss.delete(onLoss)
  }
}

const NOT_THERE = "Cannot reach the Docker engine in the machine: its socket refuses or broke off"
const SEE_LOGS = 'See "skep logs" for what the engine says'
const ENDED = "Cannot reach the Docker engine: its connection was closed"

async function throughDoor<T>(
  door: Slots | undefined,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  await door?.take(signal)
  try {
    return await work()
  } finally {
    door?.release()
  }
}

function requested<T>(
  signal: AbortSignal,
  request: ChannelRequest,
  owner: (channel: ClientChannel) => T,
): Promise<T> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = withResolvers<T>()
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener("abort", onAbort, { once: true })
  try {
    request((error, channel) => {
      signal.removeEventListener("abort", onAbort)
      if (error !== undefined) reject(refusal(error))
      else if (signal.aborted) channel.close()
      else resolve(owner(channel))
    })
  } catch (error) {
    signal.removeEventListener("abort", onAbort)
    reject(
      new SidecarError("unreachable", "Cannot reach the machine: its SSH connection is lost", {
        cause: error,
      }),
    )
  }
  return promise
}

function refusal(error: Error): SidecarError {
  return new SidecarError("unreachable", `Cannot reach the Docker engine in the machine: ${error.message}`, {
    cause: error,
    next: SEE_LOGS,
  })
}

/** Why the server refused a channel, if it is that what failed. */
export function reasonOf(error: unknown): number | undefined {
  const cause = error instanceof SidecarError ? error.cause : undefined
  return cause instanceof Error && "reason" in cause && typeof cause.reason === "number"
    ? cause.reason
    : undefined
}

export function isShortage(error: unknown): boolean {
  return reasonOf(error) === SHORTAGE
}

/** OpenSSH answers "connect failed" to one session too many. */
export function isSessionLimit(error: unknown): boolean {
  return isShortage(error) || reasonOf(error) === CONNECT_FAILED
}

function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
