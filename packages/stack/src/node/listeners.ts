/**
 * Listeners of the host by Node: TCP, and UDP with one association a client.
 *
 * @module
 */
import type { Socket as DatagramSocketOfNode, RemoteInfo } from "node:dgram"
import { createServer, type Server, type Socket } from "node:net"
import type { Parts, PoolMemory } from "@skep/link"
import {
  type Client,
  type DatagramSocket,
  type DatagramTaker,
  EAGAIN,
  type Endpoint,
  type Listener,
  type ListenerHost,
} from "../host/host.ts"
import { hostOf } from "./address.ts"
import { copyOf, eachAlone, UNSENT_MOST, unnamedSocket } from "./datagram-host.ts"
import { errnoOf } from "./errno.ts"
import type { NodeHost } from "./stream-host.ts"
import type { Turns } from "./turns.ts"

const BACKLOG = 4096

export interface NodeListenerOptions {
  readonly turns: Turns
  readonly memory: PoolMemory
  /** Whose streams the clients become. */
  readonly sockets: NodeHost
}

export class NodeListenerHost implements ListenerHost, Disposable {
  readonly #options: NodeListenerOptions
  readonly #listeners = new Set<Disposable>()

  constructor(options: NodeListenerOptions) {
    this.#options = options
  }

  tcp(at: Endpoint, onClient: (client: Client) => void): Listener {
    const { turns, sockets } = this.#options
    const listener = new NodeTcpListener(at, (socket) => {
      turns.begin()
      onClient(clientOf(socket, sockets))
    })
    return this.#own(listener)
  }

  udp(
    at: Endpoint,
    buffer: number,
    onClient: (socket: DatagramSocket) => DatagramTaker | undefined,
  ): Listener {
    const { turns, memory } = this.#options
    return this.#own(new NodeUdpListener({ turns, memory, at, buffer, onClient }))
  }

  [Symbol.dispose](): void {
    for (const listener of this.#listeners) listener[Symbol.dispose]()
  }

  #own(listener: Listener): Listener {
    this.#listeners.add(listener)
    return {
      opening: listener.opening,
      [Symbol.dispose]: () => {
        this.#listeners.delete(listener)
        listener[Symbol.dispose]()
      },
    }
  }
}

/** `onread` can only be given when a socket is made: so the handle moves to a new one, and the old one goes without it. */
function clientOf(socket: Socket, sockets: NodeHost): Client {
  socket.on("error", () => socket.destroy())
  return {
    serve: (events) => {
      const handle: unknown = Reflect.get(socket, "_handle")
      Reflect.set(socket, "_handle", null)
      socket.destroy()
      return sockets.adopt(handle, events)
    },
    close: () => void socket.destroy(),
  }
}

class NodeTcpListener implements Listener {
  readonly opening: Promise<number>
  readonly #server: Server

  constructor(at: Endpoint, onClient: (socket: Socket) => void) {
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, onClient)
    this.opening = new Promise((resolve) => {
      this.#server.once("listening", () => resolve(0))
      // Also of a listener that was disposed before it could be known.
      this.#server.once("close", () => resolve(0))
      // Later ones are of accept(2), without a descriptor left: Node tries again.
      this.#server.on("error", (error) => resolve(-errnoOf(error)))
    })
    this.#server.listen({
      host: hostOf(at),
      port: at.port,
      backlog: BACKLOG,
      ipv6Only: at.address.length === 16,
      exclusive: true,
    })
  }

  [Symbol.dispose](): void {
    this.#server.close()
  }
}

interface UdpListenerOptions {
  readonly turns: Turns
  readonly memory: PoolMemory
  readonly at: Endpoint
  readonly buffer: number
  readonly onClient: (socket: DatagramSocket) => DatagramTaker | undefined
}

class NodeUdpListener implements Listener {
  readonly opening: Promise<number>
  readonly #options: UdpListenerOptions
  readonly #socket: DatagramSocketOfNode
  readonly #clients = new Map<string, DatagramTaker>()
  #closed = false

  constructor(options: UdpListenerOptions) {
    this.#options = options
    this.#socket = unnamedSocket(options.at)
    this.opening = new Promise((resolve) => {
      this.#socket.once("listening", () => resolve(0))
      this.#socket.once("close", () => resolve(0))
      // Later ones are of datagrams to clients that are gone.
      this.#socket.on("error", (error) => resolve(-errnoOf(error)))
    })
    this.#socket.on("message", (message, from) => this.#onMessage(message, from))
    this.#socket.bind({ address: hostOf(options.at), port: options.at.port, exclusive: true })
  }

  [Symbol.dispose](): void {
    if (this.#closed) return
    this.#closed = true
    this.#socket.close()
  }

  #onMessage(message: Uint8Array, from: RemoteInfo): void {
    if (this.#closed) return
    const { turns, memory, buffer } = this.#options
    turns.begin()
    const client = this.#client(from)
    if (client === undefined) return
    memory.write(message, 0, message.length, buffer)
    client.deliver(message.length)
  }

  #client(from: RemoteInfo): DatagramTaker | undefined {
    const key = `${from.address} ${from.port}`
    const known = this.#clients.get(key)
    if (known !== undefined) return known
    const flow = this.#options.onClient({
      send: (parts) => this.#send(from, parts),
      sendEach: (parts) => eachAlone(parts, (part) => this.#send(from, part)),
      receive: () => -EAGAIN,
      close: () => void this.#clients.delete(key),
    })
    if (flow !== undefined) this.#clients.set(key, flow)
    return flow
  }

  #send(to: RemoteInfo, parts: Parts): number {
    if (this.#closed || this.#socket.getSendQueueSize() > UNSENT_MOST) return 0
    const copy = copyOf(this.#options.memory, parts)
    // What the kernel refuses is lost, as datagrams are.
    if (copy !== undefined) this.#socket.send(copy.bytes, to.port, to.address, () => copy.free())
    return 0
  }
}
