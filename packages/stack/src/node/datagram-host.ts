/**
 * UDP sockets of the host by Node. There is no socket for echo requests in Node, so there is no echo.
 *
 * @module
 */
import { createSocket, type Socket } from "node:dgram"
import { Parts, type PoolMemory } from "@skep/link"
import {
  type DatagramEvents,
  type DatagramHost,
  type DatagramSocket,
  EACCES,
  EAGAIN,
  type Endpoint,
} from "../host/host.ts"
import { hostOf } from "./address.ts"
import { errnoOf } from "./errno.ts"
import type { Turns } from "./turns.ts"

/** Datagrams of one socket that wait for the core, which takes them at once as a rule. */
const WAITING_MOST = 64
/** What one socket may have to send still; beyond it datagrams are lost, as they are in a kernel. */
export const UNSENT_MOST: number = 256 * 1024

export class NodeDatagramHost implements DatagramHost, Disposable {
  readonly #turns: Turns
  readonly #memory: PoolMemory
  readonly #sockets = new Set<NodeDatagramSocket>()

  constructor(turns: Turns, memory: PoolMemory) {
    this.#turns = turns
    this.#memory = memory
  }

  udp(to: Endpoint, events: DatagramEvents): DatagramSocket {
    const socket: NodeDatagramSocket = new NodeDatagramSocket({
      turns: this.#turns,
      memory: this.#memory,
      to,
      events,
      onGone: () => void this.#sockets.delete(socket),
    })
    this.#sockets.add(socket)
    return socket
  }

  echo(): number {
    return -EACCES
  }

  [Symbol.dispose](): void {
    for (const socket of this.#sockets) socket.close()
  }
}

interface NodeDatagramOptions {
  readonly turns: Turns
  readonly memory: PoolMemory
  readonly to: Endpoint
  readonly events: DatagramEvents
  readonly onGone: () => void
}

class NodeDatagramSocket implements DatagramSocket {
  readonly #options: NodeDatagramOptions
  readonly #socket: Socket
  readonly #waiting: Uint8Array[] = []
  readonly #errors: number[] = []
  #usable = true
  #closed = false

  constructor(options: NodeDatagramOptions) {
    this.#options = options
    const { to } = options
    this.#socket = unnamedSocket(to)
    this.#socket.on("message", (message) => this.#onMessage(message))
    this.#socket.on("error", (error) => this.#onError(error))
    this.#socket.connect(to.port, hostOf(to))
  }

  send(parts: Parts): number {
    const { memory } = this.#options
    if (!this.#usable || this.#socket.getSendQueueSize() > UNSENT_MOST) return 0
    const copy = copyOf(memory, parts)
    if (copy === undefined) return 0
    try {
      this.#socket.send(copy.bytes, (error) => {
        copy.free()
        if (error !== null) this.#onError(error)
      })
    } catch (error) {
      // Not connected: the kernel has refused, and its error is on its way to us.
      if (!isNotConnected(error)) throw error
      copy.free()
      this.#usable = false
    }
    return 0
  }

  sendEach(datagrams: Parts): number {
    return eachAlone(datagrams, (part) => this.send(part))
  }

  receive(address: number, room: number): number {
    const errno = this.#errors.shift()
    if (errno !== undefined) return -errno
    const message = this.#waiting.shift()
    if (message === undefined) return -EAGAIN
    const length = Math.min(room, message.length)
    this.#options.memory.write(message, 0, length, address)
    return length
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#usable = false
    this.#waiting.length = 0
    this.#socket.close()
    this.#options.onGone()
  }

  #onMessage(message: Uint8Array): void {
    if (this.#closed || this.#waiting.length >= WAITING_MOST) return
    this.#waiting.push(message)
    this.#tell()
  }

  #onError(error: Error): void {
    // One stands for those that came with it.
    if (this.#closed || this.#errors.length > 0) return
    this.#errors.push(errnoOf(error))
    this.#tell()
  }

  #tell(): void {
    this.#options.turns.begin()
    this.#options.events.onReadable()
  }
}

/** Node has no call for many: each piece is sent by `send`. */
export function eachAlone(datagrams: Parts, send: (part: Parts) => number): number {
  const part = new Parts()
  for (let index = 0; index < datagrams.count; index++) {
    part.clear()
    part.push(datagrams.addressAt(index), datagrams.lengthAt(index))
    send(part)
  }
  return 0
}

/** A socket of the family of this address. Its addresses are no names: nothing is looked up, and so nothing waits. */
export function unnamedSocket({ address }: Endpoint): Socket {
  const v4 = address.length === 4
  return createSocket({
    type: v4 ? "udp4" : "udp6",
    ...(v4 ? {} : { ipv6Only: true }),
    lookup: (host, _options, callback) => callback(null, host, v4 ? 4 : 6),
  })
}

/** A copy in the pool, for as long as Node needs it; undefined where there is no memory. */
export function copyOf(
  memory: PoolMemory,
  parts: Parts,
): { readonly bytes: Uint8Array; readonly free: () => void } | undefined {
  const room = Math.max(1, parts.bytes)
  const address = memory.allocate(room)
  if (address === 0) return undefined
  let to = address
  for (let index = 0; index < parts.count; index++) {
    memory.copy(parts.addressAt(index), to, parts.lengthAt(index))
    to += parts.lengthAt(index)
  }
  return { bytes: memory.bytes.subarray(address, to), free: () => memory.free(address, room) }
}

function isNotConnected(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ERR_SOCKET_DGRAM_NOT_CONNECTED"
}
