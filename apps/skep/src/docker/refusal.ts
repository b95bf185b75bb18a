/**
 * What the proxy answers itself, in the engine's own form: docker prints `message` after "Error response from daemon: ".
 *
 * @module
 */
import { type ServerResponse, STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import { SidecarError } from "@skep/contract"

export const BAD_REQUEST = 400
export const BAD_GATEWAY = 502
export const UNAVAILABLE = 503

/** Answers a request whose head was not answered yet; what is left of its body is read and dropped. */
export function refuse(response: ServerResponse, status: number, error: unknown): void {
  if (response.headersSent || response.destroyed) {
    response.destroy()
    return
  }
  const body = bodyOf(error)
  // The connection stays: closing it over an unread body would cost the client our answer.
  response.req.resume()
  response.writeHead(status, { "content-type": "application/json", "content-length": body.length }).end(body)
}

/** Answers on a bare connection, and ends it. */
export function refuseRaw(client: Duplex, status: number, error: unknown): void {
  const body = bodyOf(error)
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n`
  client.resume()
  client.end(Buffer.concat([Buffer.from(head), body]))
}

function bodyOf(error: unknown): Buffer {
  return Buffer.from(`${JSON.stringify({ message: sentence(error) })}\n`)
}

function sentence(error: unknown): string {
  if (!(error instanceof SidecarError)) return error instanceof Error ? error.message : String(error)
  return error.next === undefined ? error.message : `${error.message}. ${error.next}`
}
