/**
 * The engine of a machine by whichever way is open: its vsock, or SSH while that is away.
 *
 *     connect() ──► vsock ── accepted ──► the stream
 *                     └── refused, or not there ──► whichever comes first: SSH, connected now and let go when the vsock serves again,
 *                                                   or the vsock, which is tried on meanwhile
 *
 * A stream over SSH is not kept for later requests, which had better go over the vsock again.
 *
 * @module
 */
import type { Duplex } from "node:stream"
import { type Log, SidecarError } from "@skep/contract"
import { orAborted, sleep, within, withResolvers } from "@skep/runtime/deadline"
import type { Engine } from "./engine.ts"

/** A guest accepts within some milliseconds; one that does not is better asked another way than waited for. */
const VSOCK_MS = 1500
const VSOCK_AGAIN_MS = 100
/** How long a stream waits for SSH, which has to begin with a handshake. */
const SSH_MS = 20_000

/** An SSH connection that is made again when it breaks; disposed when it is not needed. */
export interface SshWay extends AsyncDisposable {
  ready(): Promise<Engine>
  /** Why the last attempt to connect failed. */
  readonly lastError: SidecarError | undefined
}

export interface WaysOptions {
  /** Undefined for a machine that has no vsock. Rejects with "unreachable" or "timeout" where the other way is to be taken. */
  readonly vsock?: (signal: AbortSignal) => Promise<Duplex>
  readonly ssh: () => SshWay
  readonly log: Log
}

export type Way = "vsock" | "ssh"

export class Ways implements Engine {
  readonly closed: Promise<void>
  readonly #closed = withResolvers<void>()
  readonly #options: WaysOptions
  readonly #secondBest = new WeakSet<Duplex>()
  #ssh: SshWay | undefined
  #sshStreams = 0
  #way: Way | undefined
  #over = false

  constructor(options: WaysOptions) {
    this.#options = options
    this.closed = this.#closed.promise
  }

  /** The way of the last stream. */
  get way(): Way | undefined {
    return this.#way
  }

  /** Why SSH, the last resort, is not there: undefined while it is, or nobody needs it. */
  get lastError(): SidecarError | undefined {
    return this.#ssh?.lastError
  }

  async connect(signal: AbortSignal): Promise<Duplex> {
    this.#mustGoOn()
    const stream = await this.#overVsock(signal)
    if (stream !== undefined) return stream
    return this.#options.vsock === undefined ? await this.#overSsh(signal) : await this.#overEither(signal)
  }

  keeps(stream: Duplex): boolean {
    return this.#options.vsock === undefined || !this.#secondBest.has(stream)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over) return await this.closed
    this.#over = true
    await this.#letGo()
    this.#closed.resolve()
  }

  async #overVsock(signal: AbortSignal): Promise<Duplex | undefined> {
    const { vsock } = this.#options
    if (vsock === undefined) return undefined
    try {
      const stream = await vsock(within(VSOCK_MS, signal))
      this.#take("vsock")
      if (this.#sshStreams === 0) void this.#letGo()
      return stream
    } catch (error) {
      signal.throwIfAborted()
      this.#options.log.debug("vsock refused", { reason: String(error) })
      return undefined
    }
  }

  async #overEither(signal: AbortSignal): Promise<Duplex> {
    const decided = new AbortController()
    const limit = AbortSignal.any([signal, decided.signal])
    const both = [this.#overSsh(limit), this.#overVsockAgain(limit)]
    let won: Duplex | undefined
    try {
      won = await Promise.race(both)
      return won
    } finally {
      decided.abort(new SidecarError("aborted", "The other way was open first"))
      for (const each of both) {
        each.then(
          (stream) => {
            if (stream !== won) stream.destroy()
          },
          () => undefined, // the race has its reason, or did not need it
        )
      }
    }
  }

  async #overVsockAgain(signal: AbortSignal): Promise<Duplex> {
    for (;;) {
      await sleep(VSOCK_AGAIN_MS, signal)
      const stream = await this.#overVsock(signal)
      if (stream !== undefined) return stream
    }
  }

  async #overSsh(signal: AbortSignal): Promise<Duplex> {
    this.#mustGoOn() // the attempt over vsock may have outlasted the machine, and nobody would end this connection
    this.#ssh ??= this.#options.ssh()
    this.#sshStreams++
    try {
      const limit = AbortSignal.timeout(SSH_MS)
      const engine = await orAborted(this.#ssh.ready(), AbortSignal.any([signal, limit])).catch(
        (error: unknown) => {
          if (!limit.aborted || signal.aborted) throw error
          const message = `Cannot reach the Docker engine: neither over vsock, nor over SSH within ${SSH_MS / 1000} s`
          throw new SidecarError("unreachable", message, { cause: error })
        },
      )
      const stream = await engine.connect(signal)
      this.#take("ssh")
      this.#secondBest.add(stream)
      stream.once("close", () => this.#sshEnded())
      return stream
    } catch (error) {
      this.#sshEnded()
      throw error
    }
  }

  #mustGoOn(): void {
    if (this.#over)
      throw new SidecarError("not-running", "Cannot reach the Docker engine: the way to it was just closed")
  }

  #sshEnded(): void {
    this.#sshStreams--
    if (this.#sshStreams === 0 && this.#way === "vsock") void this.#letGo()
  }

  #take(way: Way): void {
    if (this.#way === way) return
    this.#way = way
    this.#options.log.info("docker goes over", { way })
  }

  async #letGo(): Promise<void> {
    const ssh = this.#ssh
    this.#ssh = undefined
    await ssh?.[Symbol.asyncDispose]()
  }
}
