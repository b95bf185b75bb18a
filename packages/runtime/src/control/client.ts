/**
 * Asking a control socket: one request, a stream of JSON lines, or the events.
 *
 * @module
 */
import { request as httpRequest, type IncomingMessage } from "node:http"
import { createInterface } from "node:readline"
import { type ErrorBody, SidecarError, type SidecarEvent } from "@skep/contract"
import { orAborted, withResolvers } from "../deadline.ts"
import { errnoOf } from "../files.ts"

/** Names the instance that a request is meant for. */
export const INSTANCE_HEADER = "skep-instance"

export interface ControlCall {
  readonly method: "GET" | "POST" | "PUT" | "DELETE"
  readonly path: string
  readonly body?: unknown
  /** The nonce of who must answer; whoever listens does unless told. Anybody else refuses with "not-running". */
  readonly instance?: string
  /** An abort rejects with the signal's own reason, but `AbortSignal.timeout` with a "timeout" that names the socket. */
  readonly signal: AbortSignal
}

/**
 * Sends one request and returns the parsed answer. Rejects with the SidecarError that the other side threw, with
 * "unreachable" when nobody listens on the socket, or with "crashed" when the other side ends in the middle.
 */
export async function call(socketPath: string, options: ControlCall): Promise<unknown> {
  const response = await open(socketPath, options)
  let text: string
  try {
    text = await readText(response)
  } catch (error) {
    throwIfAborted(socketPath, options.signal)
    throw errnoOf(error) === "ECONNRESET" ? hungUp(socketPath, error) : error
  }
  if (response.headers["content-type"]?.startsWith("application/json") !== true) return text
  const value: unknown = JSON.parse(text)
  return value
}

/** Sends one request and yields each line of the answer. A last line `{error}` is thrown. */
export async function* stream(socketPath: string, options: ControlCall): AsyncGenerator<unknown> {
  const response = await open(socketPath, options)
  try {
    for await (const line of createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line === "") continue
      const value: unknown = JSON.parse(line)
      const error = errorIn(value)
      if (error !== undefined) throw error
      yield value
    }
    if (!response.complete) throw hungUp(socketPath, undefined)
  } catch (error) {
    throwIfAborted(socketPath, options.signal)
    throw errnoOf(error) === "ECONNRESET" ? hungUp(socketPath, error) : error
  } finally {
    response.destroy()
  }
}

/** Events of a control socket. Ends when the other side closes; `onEnd` runs once. */
export interface Subscription extends Disposable {
  readonly ended: Promise<void>
  /** Resolves when the other side has answered, which takes a tenth of what a request does. Rejects with the signal's reason. */
  ping(signal: AbortSignal): Promise<void>
}

/** Resolves when subscribed, to all types of events but those of `without`. Codes, signal and `instance` are those of `call`. */
export async function subscribe(
  socketPath: string,
  onEvent: (event: SidecarEvent) => void,
  signal: AbortSignal,
  options: Pick<ControlCall, "instance"> & { readonly without?: readonly string[] } = {},
): Promise<Subscription> {
  const { WebSocket } = await import("ws")
  throwIfAborted(socketPath, signal)
  const query = (options.without ?? []).map((type) => `without=${encodeURIComponent(type)}`).join("&")
  const path = query === "" ? "/events" : `/events?${query}`
  const client = new WebSocket(`ws+unix:${socketPath}:${path}`, { headers: instanceHeader(options) })
  const abort = (): void => client.terminate()
  signal.addEventListener("abort", abort, { once: true })
  const ended = new Promise<void>((resolve) => {
    client.on("close", () => resolve())
  })
  client.on("message", (data) => {
    if (!Buffer.isBuffer(data)) return // text always arrives as one Buffer
    const event: unknown = JSON.parse(data.toString("utf8"))
    if (isEvent(event)) onEvent(event)
  })
  try {
    await new Promise<void>((resolve, reject) => {
      client.once("open", resolve)
      client.once("error", (error) => reject(unreachable(socketPath, error)))
    })
  } catch (error) {
    throwIfAborted(socketPath, signal)
    throw error
  } finally {
    signal.removeEventListener("abort", abort)
  }
  client.on("error", () => client.terminate())
  const ping: Subscription["ping"] = async (limit) => {
    const answered = withResolvers<void>()
    client.once("pong", answered.resolve)
    try {
      client.ping()
      await orAborted(answered.promise, limit)
    } finally {
      client.off("pong", answered.resolve)
    }
  }
  return { ended, ping, [Symbol.dispose]: () => client.terminate() }
}

async function open(socketPath: string, options: ControlCall): Promise<IncomingMessage> {
  throwIfAborted(socketPath, options.signal)
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const body = options.body === undefined ? undefined : JSON.stringify(options.body)
    const request = httpRequest({
      socketPath,
      method: options.method,
      path: options.path,
      signal: options.signal,
      headers: {
        host: "localhost",
        connection: "close",
        ...instanceHeader(options),
        ...(body === undefined
          ? {}
          : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
      },
    })
    request.on("error", (error) => {
      reject(
        options.signal.aborted ? abortReason(socketPath, options.signal) : unreachable(socketPath, error),
      )
    })
    request.on("response", resolve)
    request.end(body)
  })
  if ((response.statusCode ?? 500) < 400) return response
  const text = await readText(response)
  throw (
    errorFrom(text) ??
    new SidecarError("protocol", `Cannot use "unix:${socketPath}": it answered ${response.statusCode}`)
  )
}

function instanceHeader({ instance }: Pick<ControlCall, "instance">): Record<string, string> {
  return instance === undefined ? {} : { [INSTANCE_HEADER]: instance }
}

function throwIfAborted(socketPath: string, signal: AbortSignal): void {
  if (signal.aborted) throw abortReason(socketPath, signal)
}

function abortReason(socketPath: string, { reason }: AbortSignal): unknown {
  if (!(reason instanceof DOMException && reason.name === "TimeoutError")) return reason
  return new SidecarError("timeout", `Cannot ask "unix:${socketPath}": no answer came in time`, {
    cause: reason,
    next: `Try again; ss -xlp src ${socketPath} shows the process that hangs there`,
  })
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString("utf8")
}

function errorFrom(text: string): SidecarError | undefined {
  try {
    return errorIn(JSON.parse(text))
  } catch {
    return undefined
  }
}

function errorIn(value: unknown): SidecarError | undefined {
  if (typeof value !== "object" || value === null || !("error" in value)) return undefined
  const body = value.error
  if (!isErrorBody(body)) return undefined
  return new SidecarError(body.code, body.message, {
    ...(body.next === undefined ? {} : { next: body.next }),
    ...(body.detail === undefined ? {} : { detail: body.detail }),
  })
}

function isErrorBody(value: unknown): value is ErrorBody {
  return typeof value === "object" && value !== null && "code" in value && "message" in value
}

function isEvent(value: unknown): value is SidecarEvent {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string"
}

function unreachable(socketPath: string, cause: unknown): SidecarError {
  const why = errnoOf(cause) ?? String(cause)
  return new SidecarError("unreachable", `Cannot reach "unix:${socketPath}": nobody answers there (${why})`, {
    cause,
  })
}

function hungUp(socketPath: string, cause: unknown): SidecarError {
  return new SidecarError(
    "crashed",
    `Lost "unix:${socketPath}": the process behind it ended during the request`,
    { cause },
  )
}
