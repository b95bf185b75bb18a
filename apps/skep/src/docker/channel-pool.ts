/**
 * Streams to the engine, kept for the next request: a Node agent whose connections come from an `Engine`.
 *
 * @module
 */
import { setMaxListeners } from "node:events"
import { Agent } from "node:http"
import { Duplex } from "node:stream"
import type { Engine } from "./engine.ts"

/** Streams kept while nothing uses them. dockerd never closes an idle one, so none grows stale before its time. */
const IDLE_MAX = 16
const IDLE_MS = 30_000
/** Beside an error, where Node looks at the error only and its type wants a stream. */
const NO_STREAM = new Duplex()

/** The pool of each engine, made at first use and emptied when the engine is gone. */
export class ChannelPools {
  readonly #pools = new Map<Engine, Agent>()

  of(engine: Engine): Agent {
    const known = this.#pools.get(engine)
    if (known !== undefined) return known
    const agent = agentOver(engine)
    this.#pools.set(engine, agent)
    const drop = (): void => {
      this.#pools.delete(engine)
      agent.destroy()
    }
    engine.closed.then(drop, drop)
    return agent
  }

  destroy(): void {
    for (const agent of this.#pools.values()) agent.destroy()
    this.#pools.clear()
  }
}

function agentOver(engine: Engine): Agent {
  const agent = new Agent({ keepAlive: true, maxFreeSockets: IDLE_MAX, timeout: IDLE_MS })
  // A request that goes away meanwhile leaves its stream to the next: so nothing here aborts.
  const { signal } = new AbortController()
  setMaxListeners(0, signal)
  const keepSocketAlive = agent.keepSocketAlive.bind(agent)
  agent.keepSocketAlive = (stream) => {
    if (engine.keeps?.(stream) === false) return false
    keepSocketAlive(stream)
    return true
  }
  agent.createConnection = (_options, callback) => {
    if (callback !== undefined) void supply(engine, signal, callback)
    return undefined
  }
  return agent
}

async function supply(
  engine: Engine,
  signal: AbortSignal,
  callback: (error: Error | null, stream: Duplex) => void,
): Promise<void> {
  let stream: Duplex
  try {
    stream = asSocket(await engine.connect(signal))
  } catch (error) {
    callback(error instanceof Error ? error : new Error(String(error)), NO_STREAM)
    return
  }
  callback(null, stream)
}

/**
 * Gives a stream those methods of `net.Socket` that Node's agent calls on a connection it keeps. An engine that ends its
 * half is done with an HTTP connection: a half that stays open would be kept and swallow the next request.
 */
function asSocket(stream: Duplex): Duplex {
  stream.once("end", () => stream.end())
  if ("setKeepAlive" in stream) return stream
  let timer: NodeJS.Timeout | undefined
  stream.once("close", () => clearTimeout(timer))
  return Object.assign(stream, {
    setKeepAlive: () => stream,
    setNoDelay: () => stream,
    ref: () => stream,
    unref: () => stream,
    /** Called each time the stream is put back; the agent ignores the event of one that is in use again. */
    setTimeout: (ms: number) => {
      clearTimeout(timer)
      if (ms > 0) timer = setTimeout(() => stream.emit("timeout"), ms).unref()
      return stream
    },
  })
}
