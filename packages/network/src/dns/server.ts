/**
 * DNS over TCP, RFC 7766, on a Unix socket: whoever terminates the machines' TCP connects their port 53 to it, and says first whose it is: the
 * first message of a connection is the machine's name.
 *
 * A connection may carry many queries at once; answers come in the order in which they are ready. It is closed when it says nothing and takes
 * nothing for a while, and when it breaks the framing. What it does not read is bounded: no more of its queries are read then.
 *
 * @module
 */
import { createServer, type Server, type Socket } from "node:net"
import { listenPrivately } from "@skep/runtime"
import type { From, Resolver } from "./resolver.ts"
import { framed, Messages } from "./stream.ts"

/** No query of today comes near it. */
const QUERY_MAX = 4096

export interface DnsServerLimits {
  readonly connections: number
  /** Queries of one connection that wait at the same time; more are read later. */
  readonly pipelined: number
  readonly idleMs: number
}

const DNS_SERVER_LIMITS: DnsServerLimits = { connections: 256, pipelined: 32, idleMs: 10_000 }

export interface DnsServerOptions {
  /** Where it listens. Only this user may connect. */
  readonly path: string
  readonly resolver: Pick<Resolver, "answer">
  readonly clock: () => number
  readonly limits?: Partial<DnsServerLimits>
}

/** Disposing it closes all connections and removes the socket. */
export interface DnsServer extends AsyncDisposable {
  readonly path: string
}

/** Resolves when it listens. Codes are those of `listenPrivately`. */
export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const limits = { ...DNS_SERVER_LIMITS, ...options.limits }
  const sockets = new Set<Socket>()
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.once("close", () => sockets.delete(socket))
    serve(socket, options, limits)
  })
  server.maxConnections = limits.connections
  const listening = await listenPrivately(server, options.path)
  return {
    path: options.path,
    [Symbol.asyncDispose]: () => {
      for (const socket of sockets) socket.destroy()
      return listening[Symbol.asyncDispose]()
    },
  }
}

function serve(socket: Socket, { resolver, clock }: DnsServerOptions, limits: DnsServerLimits): void {
  const messages = new Messages(QUERY_MAX)
  let machine: string | undefined
  let waiting: Uint8Array[] = []
  let answering = 0
  let ended = false

  const turn = (): void => {
    while (answering < limits.pipelined && !socket.writableNeedDrain) {
      const query = waiting.shift()
      if (query === undefined || machine === undefined) break
      answering++
      const from: From = { transport: "tcp", now: clock(), machine }
      void resolver.answer(query, from).then(onAnswer)
    }
    if (waiting.length > 0) socket.pause()
    else if (answering === 0 && ended) socket.end()
    else socket.resume()
  }
  const onAnswer = (answer: Uint8Array | undefined): void => {
    answering--
    if (socket.destroyed) return
    if (answer !== undefined) socket.write(framed(answer))
    turn()
  }

  socket.setTimeout(limits.idleMs, () => socket.destroy())
  socket.on("error", () => socket.destroy()) // the machine went away
  socket.on("drain", turn)
  socket.on("data", (chunk) => {
    const read = messages.read(chunk)
    if (read === "oversize") {
      waiting = []
      socket.destroy()
      return
    }
    for (const message of read) {
      if (machine === undefined) machine = Buffer.from(message).toString()
      else waiting.push(message)
    }
    turn()
  })
  socket.on("end", () => {
    ended = true
    turn()
  })
}
