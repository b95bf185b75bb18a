/**
 * Bytes of a stream link by Node's sockets, wherever Node runs: one buffer to read into, and writes out of the queue's own memory.
 *
 * ```
 *  onread ─► inbox ─► frames, in place      a frame that is not whole is copied, once
 *  queue ─► cork, write × pieces, uncork    goes at once as far as the socket takes it; the rest goes later, and nothing is written meanwhile
 * ```
 *
 * @module
 */
import { accessSync, chmodSync, constants, existsSync } from "node:fs"
import { createServer, type OnReadOpts, type Server, Socket, type SocketConstructorOpts } from "node:net"
import { dirname } from "node:path"
import type { PoolMemory } from "../memory/pool-memory.ts"
import { Parts } from "../parts.ts"
import type { Inflow } from "./inflow.ts"
import type { StreamAlarm, StreamIo, StreamIoEvents } from "./io.ts"
import type { Queue } from "./queue.ts"

/** Peers that wait for the one before them to go. */
const WAITING_MOST = 8
const OWNER_ONLY = 0o600

/** Turns of Node's event loop. */
export interface NodeTurns {
  /** Something has happened that is to be settled at the end of this turn. */
  begin(): void
  onEnd(callback: () => void): () => void
}

export interface NodeStreamIoOptions {
  readonly turns: NodeTurns
  readonly memory: PoolMemory
  /** Where a Unix socket is made, for this user only; it goes with us. */
  readonly listen: string
  /** Hears of an exception of whoever hears of bytes, after it has ended this. Without it such an exception is nobody's, and ends the thread. */
  readonly onError?: (error: unknown) => void
}

/** All that the constructor takes, of which @types/node knows a part. */
interface SocketOptions extends SocketConstructorOpts {
  readonly onread: OnReadOpts
  readonly handle: unknown
}

export class NodeStreamIo implements StreamIo {
  readonly #options: NodeStreamIoOptions
  readonly #pieces = new Parts()
  readonly #waiting = new Set<Socket>()
  #server: Server | undefined
  #inflow: Inflow | undefined
  #events: StreamIoEvents | undefined
  #peer: Socket | undefined

  constructor(options: NodeStreamIoOptions) {
    this.#options = options
  }

  open(inflow: Inflow, events: StreamIoEvents): void {
    this.#inflow = inflow
    this.#events = events
    const { listen } = this.#options
    // Node tells of these later, when nobody waits for them any more.
    accessSync(dirname(listen), constants.W_OK)
    if (existsSync(listen)) throw inUse(listen)
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
      this.#welcome(socket),
    )
    server.on("error", () => undefined) // of accept(2), without a descriptor left: Node tries again
    server.listen(listen)
    if (!server.listening) throw inUse(listen)
    this.#server = server
    chmodSync(listen, OWNER_ONLY)
  }

  send(queue: Queue): number | "blocked" {
    const peer = this.#peer
    const pieces = this.#pieces
    queue.gather(pieces)
    const { bytes: total } = pieces
    if (total === 0 || peer === undefined) return 0
    const { bytes } = this.#options.memory
    let isLate = false
    const written = (): void => {
      if (!isLate || this.#peer !== peer) return
      this.#run(() => this.#events?.onWritable(total))
    }
    peer.cork()
    for (let index = 0; index < pieces.count; index++) {
      const at = pieces.addressAt(index)
      const view = bytes.subarray(at, at + pieces.lengthAt(index))
      if (index === pieces.count - 1) peer.write(view, written)
      else peer.write(view)
    }
    peer.uncork()
    // All of it is the kernel's by now, or none of the memory is free before it is.
    if (peer.writableLength === 0) return total
    isLate = true
    return "blocked"
  }

  hangUp(): void {
    const peer = this.#peer
    this.#peer = undefined
    peer?.destroy()
  }

  again(): void {
    for (const socket of this.#waiting) {
      this.#waiting.delete(socket)
      if (socket.destroyed) continue
      // Not from within the end of the one before.
      setImmediate(() => this.#attach(socket))
      return
    }
  }

  onTurnEnd(callback: () => void): () => void {
    const { turns } = this.#options
    turns.begin()
    return turns.onEnd(() => this.#run(callback))
  }

  alarm(callback: () => void): StreamAlarm {
    let timer: NodeJS.Timeout | undefined
    return {
      after: (delayMs) => {
        clearTimeout(timer)
        timer = setTimeout(() => this.#run(callback), delayMs)
      },
      cancel: () => clearTimeout(timer),
    }
  }

  [Symbol.dispose](): void {
    this.#events = undefined
    this.hangUp()
    for (const socket of this.#waiting) socket.destroy()
    this.#waiting.clear()
    this.#server?.close()
    this.#server = undefined
  }

  #welcome(socket: Socket): void {
    socket.on("error", () => socket.destroy())
    if (this.#peer === undefined) this.#attach(socket)
    else if (this.#waiting.size < WAITING_MOST) {
      this.#waiting.add(socket)
      socket.on("close", () => this.#waiting.delete(socket))
    } else socket.destroy()
  }

  /** `onread` can only be given when a socket is made: so the handle moves to a new one, and the old one goes without it. */
  #attach(accepted: Socket): void {
    if (this.#events === undefined || this.#peer !== undefined) {
      accepted.destroy()
      return
    }
    const { memory } = this.#options
    const { inbox, inboxLength } = memory.arena
    const handle: unknown = Reflect.get(accepted, "_handle")
    Reflect.set(accepted, "_handle", null)
    accepted.destroy()
    const options: SocketOptions = {
      handle,
      allowHalfOpen: true,
      onread: {
        buffer: memory.bytes.subarray(inbox, inbox + inboxLength),
        callback: (count) => {
          this.#onRead(peer, count)
          return true
        },
      },
    }
    const peer = new Socket(options)
    this.#peer = peer
    peer.on("end", () => this.#gone(peer, "hung-up"))
    peer.on("error", (error) => this.#gone(peer, codeOf(error)))
    this.#run(() => this.#events?.onPeer())
  }

  #onRead(peer: Socket, count: number): void {
    const inflow = this.#inflow
    if (peer !== this.#peer || inflow === undefined) return
    this.#run(() => this.#events?.onBytes((onFrame) => inflow.takeInOne(count, onFrame)))
  }

  #gone(peer: Socket, reason: "hung-up" | `E${string}`): void {
    if (peer !== this.#peer) return
    this.#run(() => this.#events?.onGone(reason))
  }

  #run(callback: () => void): void {
    this.#options.turns.begin()
    try {
      callback()
    } catch (error) {
      const { onError } = this.#options
      if (onError === undefined) throw error
      this[Symbol.dispose]()
      onError(error)
    }
  }
}

function codeOf(error: Error): `E${string}` {
  return "code" in error && typeof error.code === "string" ? `E${error.code.slice(1)}` : "EIO"
}

function inUse(path: string): Error {
  return Object.assign(new Error(`listen: EADDRINUSE, ${path}`), { code: "EADDRINUSE" })
}
