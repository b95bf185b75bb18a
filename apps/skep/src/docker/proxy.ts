/**
 * The Docker API of a machine on a socket of the host.
 *
 *                       first bytes              Node's http server          pool of streams
 *   docker ── socket ──> attach, exec? ── no ──> request ── relay ─────────> engine
 *                              │                 Upgrade ─┐
 *                              └─ yes ────────────────────┴─ hijack ───────> a stream of its own
 *
 * The proxy knows nothing of Docker but which requests hijack, which one starts a container, and which may mount directories (mounts/). It answers at
 * once while the machine is down, and waits with a deadline while it starts; everything else is the engine's own word.
 *
 * @module
 */
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from "node:http"
import { createServer as createSocketServer, type Socket } from "node:net"
import type { Duplex } from "node:stream"
import { type Log, SidecarError } from "@skep/contract"
import { listenPrivately, withDeadline } from "@skep/runtime"
import { ChannelPools } from "./channel-pool.ts"
import type { Engine, EngineState } from "./engine.ts"
import { hijack, verdict } from "./hijack.ts"
import * as hop from "./hop-headers.ts"
import { type FindMount, readBody, withMounts } from "./mounts/check.ts"
import { mayMount } from "./mounts/sources.ts"
import { BAD_GATEWAY, BAD_REQUEST, refuse, refuseRaw, UNAVAILABLE } from "./refusal.ts"
import { HEADER_BYTES_MAX, relay } from "./relay.ts"

export interface DockerProxyOptions {
  /** A path, or `fd:N` for an inherited listening socket. */
  readonly endpoint: string
  /** Where the engine stands now; asked on every request. */
  readonly engine: () => EngineState
  readonly log: Log
  /** How long a request waits while the machine starts, 60 s if left out. */
  readonly startDeadlineMs?: number
  /**
   * Holds the answer to a successful start or restart of a container until this settles, so that what it published is there when
   * `docker run -p` returns. `container` is what the client wrote: an id, its beginning, or a name.
   */
  readonly holdStart?: (container: string) => Promise<void>
  /** How long at most, 2 s if left out. */
  readonly holdMs?: number
  /** Tells where in the machine a path is that a request wants mounted, or throws what the client is told; without it all pass. */
  readonly findMount?: FindMount
}

export interface DockerProxy extends AsyncDisposable {
  readonly endpoint: string
}

const START_DEADLINE_MS = 60_000
const HOLD_MS = 2_000
const START = /^(?:\/v\d+(?:\.\d+)*)?\/containers\/([^/?]+)\/(?:start|restart)(?:\?|$)/

/** Resolves when the socket listens. Disposal hangs up on every client. */
export async function startDockerProxy(options: DockerProxyOptions): Promise<DockerProxy> {
  const proxy = new Proxy(options)
  const server = createSocketServer({ allowHalfOpen: true, pauseOnConnect: false }, (socket) =>
    proxy.accept(socket),
  )
  const listening = await listenPrivately(server, options.endpoint)
  return {
    endpoint: options.endpoint,
    [Symbol.asyncDispose]: async () => {
      const closed = listening[Symbol.asyncDispose]()
      proxy.hangUp()
      await closed
    },
  }
}

class Proxy {
  readonly #options: DockerProxyOptions
  readonly #pools = new ChannelPools()
  readonly #clients = new Set<Socket>()
  readonly #http: HttpServer

  constructor(options: DockerProxyOptions) {
    this.#options = options
    this.#http = createServer({
      maxHeaderSize: HEADER_BYTES_MAX,
      requireHostHeader: false,
      // dockerd closes no idle connection, and a client that trusts in that would lose a request.
      keepAliveTimeout: 0,
    })
    this.#http.maxHeadersCount = 0
    const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
      void this.#relay(request, response)
    }
    this.#http.on("request", onRequest)
    this.#http.on("checkContinue", onRequest) // the engine says when to continue
    this.#http.on("checkExpectation", onRequest)
    this.#http.on("upgrade", (request, socket, rest) => {
      void this.#hijack(socket, Buffer.concat([headOf(request), rest]))
    })
  }

  /** Takes a connection: its first bytes tell whether it is HTTP for as long as it lasts. */
  accept(socket: Socket): void {
    this.#clients.add(socket)
    socket.once("close", () => this.#clients.delete(socket))
    socket.on("error", () => undefined) // the client is gone; whoever uses the socket sees its end
    let first = Buffer.alloc(0)
    const onEnd = (): void => void socket.destroy()
    const onData = (chunk: Buffer): void => {
      first = Buffer.concat([first, chunk])
      const found = verdict(first)
      if (found === "more") return
      socket.off("data", onData)
      socket.off("end", onEnd)
      socket.pause()
      if (found === "hijack") {
        void this.#hijack(socket, first)
        return
      }
      socket.unshift(first)
      this.#http.emit("connection", socket)
      socket.resume()
    }
    socket.on("data", onData)
    socket.on("end", onEnd)
  }

  hangUp(): void {
    for (const socket of this.#clients) socket.destroy()
    this.#pools.destroy()
  }

  async #relay(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => undefined) // a client that hung up; 'close' says the same
    const engine = await this.#engineFor(response, (error) => refuse(response, UNAVAILABLE, error))
    if (engine === undefined) return
    const { findMount } = this.#options
    let body: Buffer | undefined
    if (findMount !== undefined && mayMount(request.method, request.url)) {
      try {
        body = await this.#mounting(request, response, findMount)
      } catch (error) {
        refuse(response, BAD_REQUEST, error)
        return
      }
    }
    relay(request, response, {
      agent: this.#pools.of(engine),
      ...(body === undefined ? {} : { body }),
      beforeAnswer: (status) => this.#held(request, status),
      onBroken: (error) => this.#broken(error, request.url),
    })
  }

  /** The body of a request that may mount directories of the host, as the engine is to have it. */
  async #mounting(request: IncomingMessage, response: ServerResponse, find: FindMount): Promise<Buffer> {
    if (request.headers.expect !== undefined) response.writeContinue()
    return await withMounts(request.url ?? "", await readBody(request), find)
  }

  async #hijack(client: Duplex, first: Buffer): Promise<void> {
    const engine = await this.#engineFor(client, (error) => refuseRaw(client, UNAVAILABLE, error))
    if (engine === undefined) return
    const onBroken = (error: Error): void =>
      this.#broken(error, first.toString("latin1", 0, first.indexOf("\r\n")))
    const gone = hungUp(client)
    try {
      hijack(client, await engine.connect(gone.signal), first, onBroken)
    } catch (error) {
      if (gone.signal.aborted) return
      onBroken(error instanceof Error ? error : new Error(String(error)))
      refuseRaw(client, BAD_GATEWAY, error)
    } finally {
      gone.done()
    }
  }

  /** The engine, once it is up; otherwise tells why not, or nothing if the client did not wait for it. */
  async #engineFor(client: ClosingStream, tell: (error: unknown) => void): Promise<Engine | undefined> {
    const state = this.#options.engine()
    if (state.state === "up") return state.engine
    const gone = hungUp(client)
    try {
      if (state.state === "down") {
        throw new SidecarError(
          "not-running",
          state.reason,
          state.next === undefined ? {} : { next: state.next },
        )
      }
      const deadlineMs = this.#options.startDeadlineMs ?? START_DEADLINE_MS
      return await withDeadline(
        "reach the Docker engine of the machine, which is starting,",
        deadlineMs,
        gone.signal,
        () => state.ready(),
      )
    } catch (error) {
      if (gone.signal.aborted) return undefined
      tell(error)
      return undefined
    } finally {
      gone.done()
    }
  }

  async #held(request: IncomingMessage, status: number): Promise<void> {
    const { holdStart, holdMs, log } = this.#options
    const container = START.exec(request.url ?? "")?.[1]
    if (holdStart === undefined || request.method !== "POST" || container === undefined) return
    if (status < 200 || status >= 300) return
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, holdMs ?? HOLD_MS)
    })
    try {
      await Promise.race([holdStart(decodeURIComponent(container)), late])
    } catch (error) {
      // The container runs, and that is what was asked for.
      log.info("start not held", { container, reason: String(error) })
    } finally {
      clearTimeout(timer)
    }
  }

  #broken(error: Error, what: string | undefined): void {
    this.#options.log.debug("docker request broke", { what, reason: error.message })
  }
}

interface ClosingStream {
  readonly destroyed: boolean
  once(event: "close", listener: () => void): unknown
  off(event: "close", listener: () => void): unknown
}

/** A signal that aborts when the client hangs up, until `done`. */
function hungUp(client: ClosingStream): { readonly signal: AbortSignal; readonly done: () => void } {
  const controller = new AbortController()
  const onClose = (): void => controller.abort(new SidecarError("aborted", "The client hung up"))
  if (client.destroyed) onClose()
  client.once("close", onClose)
  return { signal: controller.signal, done: () => void client.off("close", onClose) }
}

/** The request's head as it came: an upgrade is between the client and the engine. */
function headOf(request: IncomingMessage): Buffer {
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`]
  for (const [name, value] of hop.pairs(request.rawHeaders)) lines.push(`${name}: ${value}`)
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1")
}
