/**
 * `port.sock`: gvproxy's HTTP service on a Unix socket, for programs that were written for it.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { Log } from "@skep/contract"
import { listenPrivately } from "@skep/runtime"
import type { NetworkPlan } from "../../addressing/plan.ts"
import { ANOTHER_SOCKET, socketDirectory } from "../../links/socket-directory.ts"
import { refusedPath } from "../../refused-path.ts"
import type { SkepNetwork } from "../../verbs.ts"
import { type PortAnswer, PortVerbs } from "./verbs.ts"

const BODY_MAX = 64 << 10
const REQUEST_MS = 10_000
const CONNECTIONS_MAX = 64

export interface PortServerOptions {
  readonly network: SkepNetwork
  readonly endpoint: string
  readonly plan: NetworkPlan
  readonly log: Log
}

/** Resolves when the socket listens, 0600. Disposal hangs up on every caller. */
export async function startPortServer({
  network,
  endpoint,
  plan,
  log,
}: PortServerOptions): Promise<AsyncDisposable> {
  const verbs = new PortVerbs(network, plan)
  const server = createServer(
    { requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS },
    (request, response) => {
      response.on("error", () => undefined) // a caller that hung up while we answered
      void respond(verbs, request, response).catch((error: unknown) => {
        log.debug("port request ended", { reason: String(error) })
        response.destroy()
      })
    },
  )
  server.maxConnections = CONNECTIONS_MAX
  const socket = await listen(server, endpoint)
  return {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await socket[Symbol.asyncDispose]()
    },
  }
}

async function listen(server: Server, endpoint: string): Promise<AsyncDisposable> {
  await socketDirectory(endpoint)
  try {
    return await listenPrivately(server, endpoint)
  } catch (error) {
    throw refusedPath("listen on", `unix:${endpoint}`, error, ANOTHER_SOCKET)
  }
}

async function respond(verbs: PortVerbs, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await readBody(request)
  const path = (request.url ?? "/").split("?")[0] ?? "/"
  const answer: PortAnswer =
    body === undefined
      ? { status: 400, text: "http: request body too large" }
      : await verbs.answer(request.method ?? "GET", path, body)
  if (answer.text !== undefined) {
    response.writeHead(answer.status, {
      "content-type": "text/plain; charset=utf-8",
      "x-content-type-options": "nosniff",
    })
    response.end(`${answer.text}\n`)
    return
  }
  if (answer.json === undefined) response.writeHead(answer.status).end()
  else
    response
      .writeHead(answer.status, { "content-type": "application/json" })
      .end(`${JSON.stringify(answer.json)}\n`)
}

/** Undefined for one that is too long; the rest of it is read and forgotten, so that the caller hears why. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    const part = Buffer.from(chunk)
    bytes += part.length
    if (bytes <= BODY_MAX) chunks.push(part)
    else chunks.length = 0
    if (bytes > 16 * BODY_MAX) throw new Error("a body without end")
  }
  return bytes > BODY_MAX ? undefined : Buffer.concat(chunks).toString("utf8")
}
