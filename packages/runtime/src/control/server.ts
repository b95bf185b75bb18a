/**
 * The control socket of a process: HTTP for questions and verbs, a WebSocket at `/events` for what happens.
 *
 * @module
 */
import { once } from "node:events"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { Duplex } from "node:stream"
import { type ErrorCode, type Log, SidecarError, type SidecarEvent } from "@skep/contract"
import type { WebSocket, WebSocketServer } from "ws"
import { INSTANCE_HEADER } from "./client.ts"
import { match, type Routes, Text } from "./routes.ts"
import { listenPrivately } from "./socket.ts"

const BODY_MAX = 1 << 20
/** A subscriber that reads nothing is dropped at this many unsent bytes. */
const SUBSCRIBER_BACKLOG_MAX = 1 << 20

export interface ControlOptions {
  /** A path, or `fd:N` for an inherited listening socket. */
  readonly endpoint: string
  readonly routes: Routes
  readonly log: Log
  /** The nonce of this process: requests that name another one are refused. */
  readonly instance?: string
  /** What happened before the socket was there: told to the first subscriber. */
  readonly earlier?: readonly SidecarEvent[]
}

export interface ControlServer extends AsyncDisposable {
  readonly endpoint: string
  /** Tells every subscriber of `/events`. */
  publish(event: SidecarEvent): void
}

/** Resolves when the socket listens. Disposal hangs up on every caller. */
export async function startControlServer(options: ControlOptions): Promise<ControlServer> {
  const server = createServer((request, response) => {
    void answer(options, request, response)
  })
  const subscribers = acceptSubscribers(server, options)
  const socket = await listenPrivately(server, options.endpoint)
  return {
    endpoint: options.endpoint,
    publish: (event) => subscribers.publish(event),
    [Symbol.asyncDispose]: async () => {
      subscribers.end()
      server.closeIdleConnections()
      setTimeout(() => server.closeAllConnections(), 200).unref()
      await socket[Symbol.asyncDispose]()
    },
  }
}

interface Subscribers {
  publish(event: SidecarEvent): void
  /** Hangs up on all of them, and on those that come later. */
  end(): void
}

function acceptSubscribers(server: Server, options: ControlOptions): Subscribers {
  let untold = options.earlier ?? []
  let sockets: WebSocketServer | undefined
  const unwanted: Unwanted = new WeakMap()
  let ended = false
  const join = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    // Two megabytes of memory that a process without subscribers does without.
    const ws = await import("ws")
    if (ended) return void socket.destroy()
    sockets ??= new ws.WebSocketServer({ noServer: true })
    sockets.handleUpgrade(request, socket, head, (client) => {
      client.on("error", () => client.terminate())
      unwanted.set(client, new URL(request.url ?? "/", "http://localhost").searchParams.getAll("without"))
      for (const event of untold) client.send(JSON.stringify(event))
      untold = []
    })
  }
  server.on("upgrade", (request, socket, head) => {
    socket.on("error", () => socket.destroy()) // a caller that hung up while we answered
    if (pathOf(request) !== "/events") return refuseUpgrade(socket, "404 Not Found")
    if (isForAnother(options, request)) return refuseUpgrade(socket, "409 Conflict")
    void join(request, socket, head)
  })
  return {
    publish: (event) => {
      if (sockets !== undefined) publish(sockets, unwanted, event)
    },
    end: () => {
      ended = true
      for (const client of sockets?.clients ?? []) client.close(1001)
    },
  }
}

function refuseUpgrade(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`)
}

/** Whether a request is meant for a predecessor of this process. */
function isForAnother({ instance }: ControlOptions, request: IncomingMessage): boolean {
  const wanted = request.headers[INSTANCE_HEADER]
  return wanted !== undefined && instance !== undefined && wanted !== instance
}

/** Types of events that a subscriber does without: `/events?without=TYPE`. */
type Unwanted = WeakMap<WebSocket, readonly string[]>

function publish(subscribers: WebSocketServer, unwanted: Unwanted, event: SidecarEvent): void {
  const wanting = [...subscribers.clients].filter(
    (client) => unwanted.get(client)?.includes(event.type) !== true,
  )
  if (wanting.length === 0) return
  const line = JSON.stringify(event)
  for (const client of wanting) {
    if (client.bufferedAmount > SUBSCRIBER_BACKLOG_MAX) client.terminate()
    else client.send(line)
  }
}

async function answer(
  options: ControlOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const hungUp = new AbortController()
  response.on("close", () => {
    if (!response.writableFinished) hungUp.abort(new SidecarError("aborted", "The caller hung up"))
  })
  response.on("error", () => undefined) // a caller that hung up while we answered
  try {
    if (isForAnother(options, request)) {
      throw new SidecarError(
        "not-running",
        `Cannot ask "unix:${options.endpoint}": the process that was meant is gone, and another one is in its place`,
      )
    }
    const found = match(options.routes, request.method ?? "GET", pathOf(request))
    if (found === undefined) {
      throw new SidecarError(
        "not-found",
        `Cannot ${request.method} "${pathOf(request)}": there is no such route`,
      )
    }
    const query = new URL(request.url ?? "/", "http://localhost").searchParams
    const body = await readBody(request)
    const value = await found.handler({ params: found.params, query, body, signal: hungUp.signal })
    await send(response, value, hungUp.signal)
  } catch (error) {
    sendError(options.log, response, error)
  }
}

function pathOf(request: IncomingMessage): string {
  return (request.url ?? "/").split("?")[0] ?? "/"
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    const part = Buffer.from(chunk)
    bytes += part.length
    if (bytes > BODY_MAX)
      throw new SidecarError("bad-options", `Cannot read the request: it is over ${BODY_MAX} bytes`)
    chunks.push(part)
  }
  if (bytes === 0) return undefined
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"))
    return value
  } catch (error) {
    throw new SidecarError("bad-options", "Cannot read the request: it is not JSON", { cause: error })
  }
}

async function send(response: ServerResponse, value: unknown, hungUp: AbortSignal): Promise<void> {
  if (value instanceof Text) {
    response.writeHead(200, { "content-type": value.type }).end(value.body)
  } else if (isAsyncIterable(value)) {
    response.writeHead(200, { "content-type": "application/x-ndjson" })
    response.flushHeaders()
    for await (const item of value) {
      if (response.write(`${JSON.stringify(item)}\n`)) continue
      // Whoever reads slowly is waited for; who has hung up, the handler knows by its signal.
      await once(response, "drain", { signal: hungUp }).catch(() => undefined)
    }
    response.end()
  } else {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value ?? null))
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value
}

function sendError(log: Log, response: ServerResponse, error: unknown): void {
  const known =
    error instanceof SidecarError
      ? error
      : new SidecarError("internal", `Internal error: ${String(error)}`, { cause: error })
  if (known.code === "internal")
    log.error("internal error", { error: error instanceof Error ? error.stack : String(error) })
  if (response.headersSent) {
    response.end(`${JSON.stringify({ error: known })}\n`)
    return
  }
  response
    .writeHead(STATUS[known.code], { "content-type": "application/json" })
    .end(JSON.stringify({ error: known }))
}

/** Every code has its HTTP status; the compiler sees to it that none is forgotten. */
const STATUS: Readonly<Record<ErrorCode, number>> = {
  aborted: 500,
  "address-in-use": 409,
  "already-running": 409,
  "bad-name": 400,
  "bad-options": 400,
  busy: 409,
  "corrupt-file": 500,
  crashed: 500,
  "disk-full": 507,
  "download-failed": 502,
  exists: 409,
  "host-program-missing": 500,
  "image-broken": 500,
  "image-build-failed": 500,
  internal: 500,
  "not-found": 404,
  "not-running": 409,
  "path-too-long": 400,
  "permission-denied": 403,
  protocol: 502,
  "shrink-refused": 400,
  timeout: 504,
  "too-small": 400,
  unreachable: 504,
  unsupported: 400,
  "unsupported-arch": 400,
}
