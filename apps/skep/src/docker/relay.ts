/**
 * One ordinary request, to the engine and back: streams both ways, and whoever hangs up ends both sides.
 *
 * @module
 */
import {
  type Agent,
  type ClientRequest,
  type IncomingMessage,
  request as open,
  type ServerResponse,
} from "node:http"
import { SidecarError } from "@skep/contract"
import * as hop from "./hop-headers.ts"
import { BAD_GATEWAY, BAD_REQUEST, refuse } from "./refusal.ts"

/** Go's default, so that we refuse nothing that the engine would take. */
export const HEADER_BYTES_MAX: number = 1 << 20

export interface RelayOptions {
  readonly agent: Agent
  /** To send instead of the request's own body, which has been read. */
  readonly body?: Buffer
  /** Runs between the engine's head and ours; its failure is its own matter. */
  readonly beforeAnswer: (status: number) => Promise<void>
  /** The engine broke off, or could not be reached. */
  readonly onBroken: (error: Error) => void
}

/** Never throws; the response is answered or cut. */
export function relay(request: IncomingMessage, response: ServerResponse, options: RelayOptions): void {
  const method = request.method ?? "GET"
  const isRepeatable = method === "GET" || method === "HEAD"
  let upstream: ClientRequest
  try {
    upstream = open({
      agent: options.agent,
      method,
      path: request.url,
      headers:
        options.body === undefined
          ? hop.forRequest(method, request.rawHeaders)
          : hop.withBody(request.rawHeaders, options.body.length),
      setHost: false,
      maxHeaderSize: HEADER_BYTES_MAX,
    })
  } catch (error) {
    refuse(response, BAD_REQUEST, error)
    return
  }
  let answer: IncomingMessage | undefined
  upstream.maxHeadersCount = 0
  upstream.on("continue", () => response.writeContinue())
  upstream.on("response", (incoming) => {
    answer = incoming
    void pass(incoming, request, response, options)
  })
  upstream.on("error", (error) => {
    request.unpipe(upstream)
    request.resume()
    // The engine may answer early and hang up on the rest of a body: then its answer counts and not this.
    if (answer?.complete || response.destroyed) return
    if (answer === undefined && isRepeatable && upstream.reusedSocket && request.complete) {
      relay(request, response, options) // a kept stream had been closed at the other end; the next one is fresh or fails
      return
    }
    options.onBroken(error)
    if (answer === undefined) refuse(response, BAD_GATEWAY, broken(error))
    else response.destroy()
  })
  response.once("close", () => {
    if (!response.writableFinished) upstream.destroy()
  })
  if (options.body !== undefined) {
    upstream.end(options.body)
    return
  }
  upstream.flushHeaders()
  request.once("end", () => {
    if (request.rawTrailers.length > 0) upstream.addTrailers([...hop.pairs(request.rawTrailers)])
  })
  if (request.readableEnded) upstream.end()
  else request.pipe(upstream)
}

async function pass(
  incoming: IncomingMessage,
  request: IncomingMessage,
  response: ServerResponse,
  options: RelayOptions,
): Promise<void> {
  const status = incoming.statusCode ?? BAD_GATEWAY
  incoming.on("error", () => response.destroy()) // cut short: the client must not take it for whole
  await options.beforeAnswer(status)
  if (response.destroyed) {
    incoming.destroy()
    return
  }
  const isEmpty = request.method === "HEAD" || status === 204 || status === 304
  if (!isEmpty && hop.endsWithConnection(incoming.rawHeaders)) response.useChunkedEncodingByDefault = false
  try {
    response.writeHead(status, incoming.statusMessage ?? "", hop.forResponse(incoming.rawHeaders))
  } catch (error) {
    incoming.destroy()
    refuse(response, BAD_GATEWAY, error)
    return
  }
  response.flushHeaders()
  incoming.once("end", () => {
    if (incoming.rawTrailers.length > 0) response.addTrailers([...hop.pairs(incoming.rawTrailers)])
  })
  incoming.pipe(response)
}

function broken(error: Error): Error {
  if (error instanceof SidecarError) return error
  return new SidecarError("unreachable", `The Docker engine broke off the request: ${error.message}`, {
    cause: error,
  })
}
