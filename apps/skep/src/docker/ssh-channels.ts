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
import { type SshStream, streamOver } from "./ssh-stream.ts"

/** Asks ssh2 for a channel. */
export type ChannelRequest = (callback: ClientCallback) => unknown

type OnLoss = (error: Error) => void

export class SshChannels {
  /** Fulfils after `end`, rejects when the connection was lost. */
  readonly closed: Promise<void>
  readonly #connection: SshConnection
  readonly #slots: Slots
  // A set and no promise: a promise that stays pending would keep every listener that it ever had.
  readonly #onLoss = new Set<OnLoss>()
  #lost: Error | undefined
  #ended = false

  constructor(connection: SshConnection, slots: Slots) {
    this.#connection = connection
    this.#slots = slots
    this.closed = connection.lost.catch((error: unknown) => {
      const reason = this.#ended ? new SidecarError("not-running", ENDED) : errorOf(error)
      this.#lost = reason
      for (const tell of this.#onLoss) tell(reason)
      this.#onLoss.clear()
      if (!this.#ended) throw reason
    })
    this.closed.catch(() => undefined) // whoever waits for it sees the reason
  }

  /** A stream over a new channel, which gives its slot back when it closes. */
  async open(signal: AbortSignal, request: ChannelRequest): Promise<Duplex> {
    const { stream, lose } = await this.#guarded(signal, (inner) => this.#within(inner, request))
    const unwatch = this.#watch(lose)
    stream.once("close", unwatch)
    return stream
  }

  async end(): Promise<void> {
    this.#ended = true
    this.#connection.end()
    await this.closed.catch(() => undefined) // it was lost before
  }

  async #within(signal: AbortSignal, request: ChannelRequest): Promise<SshStream> {
    await this.#slots.take(signal)
    try {
      return await requested(signal, request, (channel) => {
        channel.once("close", () => this.#slots.release())
        channel.stderr.resume()
        return streamOver(channel)
      })
    } catch (error) {
      this.#slots.release()
      throw error
    }
  }

  /** Runs `work` with a signal that aborts with the caller's own, and when the connection is lost. */
  async #guarded<T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
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

  #watch(onLoss: OnLoss): () => void {
    if (this.#lost === undefined) this.#onLoss.add(onLoss)
    else onLoss(this.#lost)
    return () => this.#onLoss.delete(onLoss)
  }
}

const SEE_LOGS = 'See "skep logs --source docker" for what the engine says'
const ENDED = "Cannot reach the Docker engine: its connection was closed"

/**
 * `owner` is called before anything that follows the opening is told: what the channel says may lie in the same packet.
 */
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

function errorOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
