/**
 * The three questions that published ports ask the engine, over its socket.
 *
 * By Node's own http and not by dockerode: docs/decisions/engine-api.md says why.
 *
 * @module
 */
import { type IncomingMessage, request } from "node:http"
import { SidecarError } from "@skep/contract"
import { type EngineEvent, type Inspection, parseEvent, parseIds, parseInspection } from "./inspection.ts"

const ANSWER_MAX = 64 << 20
const EVENT_MAX = 1 << 20
/** What changes the ports of a container. A pause does not; a disconnected network takes them away. */
const FILTERS: string = JSON.stringify({
  type: ["container", "network"],
  event: ["start", "die", "destroy", "rename", "connect", "disconnect"],
})

/** None has a deadline of its own: whoever asks sets one by the signal. */
export interface EngineApi {
  /** The ids of the containers that run. */
  running(signal: AbortSignal): Promise<readonly string[]>
  /** By id, its beginning, or name; undefined if there is none. */
  inspect(container: string, signal: AbortSignal): Promise<Inspection | undefined>
  /** Resolves when the engine listens to us: nothing that happens later is missed. */
  events(signal: AbortSignal): Promise<AsyncIterable<EngineEvent>>
}

export function engineApi(socketPath: string): EngineApi {
  return {
    running: async (signal) => parseIds(await json(await get(socketPath, "/containers/json", signal))),
    inspect: async (container, signal) => {
      const answer = await get(socketPath, `/containers/${encodeURIComponent(container)}/json`, signal)
      if (answer.statusCode !== 404) return parseInspection(await json(answer))
      answer.resume()
      return undefined
    },
    events: async (signal) => {
      const answer = await get(socketPath, `/events?filters=${encodeURIComponent(FILTERS)}`, signal)
      if (answer.statusCode !== 200) await json(answer)
      return eventsIn(answer)
    },
  }
}

function get(socketPath: string, path: string, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, signal, agent: false, headers: { host: "docker" } }, resolve)
    asked.on("error", (error) => {
      if (signal.aborted) reject(signal.reason)
      else reject(unreachable(error.message, error))
    })
    asked.end()
  })
}

async function json(answer: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer) {
    const part = Buffer.from(chunk)
    bytes += part.length
    if (bytes > ANSWER_MAX)
      throw new SidecarError("protocol", `Cannot read the Docker engine's answer: over ${ANSWER_MAX} bytes`)
    chunks.push(part)
  }
  const text = Buffer.concat(chunks).toString("utf8")
  if (answer.statusCode !== 200) throw unreachable(`status ${answer.statusCode}, ${text.trim()}`)
  const value: unknown = JSON.parse(text)
  return value
}

/** One JSON object a line. */
async function* eventsIn(answer: IncomingMessage): AsyncGenerator<EngineEvent> {
  answer.setEncoding("utf8")
  let rest = ""
  for await (const chunk of answer) {
    const lines = `${rest}${String(chunk)}`.split("\n")
    rest = lines.pop() ?? ""
    if (rest.length > EVENT_MAX)
      throw new SidecarError("protocol", "Cannot read the Docker engine's events: a line has no end")
    for (const line of lines) if (line.trim() !== "") yield parseEvent(JSON.parse(line))
  }
}

function unreachable(reason: string, cause?: unknown): SidecarError {
  return new SidecarError("unreachable", `Cannot ask the Docker engine: ${reason}`, { cause })
}
