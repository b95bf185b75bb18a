/**
 * A socket of Node as a stream of the core.
 *
 * ```
 *  socket ─► onread into the one inbox of the thread ─► backlog ─► peek: a copy into the frames that were lent
 *  socket ◄─ write of one block of the pool ◄────────── a copy of the pieces, all of a turn in one
 * ```
 *
 * There is no peeking at a socket of Node, so what the guest has not acknowledged is kept here; and Node may write later, when the guest's frames
 * are somebody else's, so what goes there is copied. Both are bounded: a full backlog pauses the socket, and a socket that has enough to write
 * takes no more.
 *
 * @module
 */
import { type OnReadOpts, Socket, type SocketConstructorOpts } from "node:net"
import type { Parts, PoolMemory } from "@skep/link"
import { Backlog } from "../host/backlog.ts"
import { EAGAIN, ECONNRESET, type HostStream, type StreamEvents } from "../host/host.ts"
import { errnoOf } from "./errno.ts"
import type { Turns } from "./turns.ts"

/** What may wait to be written. */
const UNWRITTEN_MOST = 256 * 1024
/** What one read brings at most, and so what may be over when the memory is full. */
const READ_MOST = 64 * 1024
/** How long to wait for memory that others hold. */
const MEMORY_MS = 10
/** How long what was written may take to go out after `close`: as long as Linux gives an orphan whose peer takes nothing. */
const LINGER_MS = 60_000

export interface NodeStreamOptions {
  readonly turns: Turns
  readonly memory: PoolMemory
  readonly events: StreamEvents
  /** A handle of Node that is connected; owned from now on. */
  readonly handle?: unknown
  /** Told when the socket is gone for good. */
  readonly onGone: (stream: NodeStream) => void
}

/** All that the constructor takes, of which @types/node knows a part. */
interface SocketOptions extends SocketConstructorOpts {
  readonly onread: OnReadOpts
  readonly handle?: unknown
}

export class NodeStream implements HostStream {
  connected: boolean
  readonly socket: Socket
  readonly #turns: Turns
  readonly #memory: PoolMemory
  readonly #events: StreamEvents
  readonly #backlog: Backlog
  /** Bytes that were read when there was no memory for them; at most those of one read, since nothing is read before they are in. */
  #over: Uint8Array | undefined
  #paused = false
  /** The other side has ended. */
  #ended = false
  #errno = 0
  #wantsRoom = false
  /** Nobody hears of it any more. */
  #closed = false
  #retry: NodeJS.Timeout | undefined

  constructor(options: NodeStreamOptions) {
    this.#turns = options.turns
    this.#memory = options.memory
    this.#events = options.events
    this.#backlog = new Backlog(options.memory, options.events.share)
    this.connected = options.handle !== undefined
    const { inbox } = options.memory.arena
    const buffer = options.memory.bytes.subarray(inbox, inbox + READ_MOST)
    const socketOptions: SocketOptions = {
      allowHalfOpen: true,
      onread: { buffer, callback: (count) => this.#read(count) },
      ...(options.handle === undefined ? {} : { handle: options.handle }),
    }
    this.socket = new Socket(socketOptions)
    // What a guest's kernel has sent is complete: no reason to wait for more of it.
    this.socket.setNoDelay(true)
    this.socket.on("connect", () => this.#guarded(() => this.#onConnect()))
    this.socket.on("end", () => this.#guarded(() => this.#onEnd()))
    this.socket.on("error", (error) => this.#guarded(() => this.#onError(error)))
    this.socket.on("close", () => {
      clearTimeout(this.#retry)
      options.onGone(this)
    })
  }

  get keptBytes(): number {
    return this.#backlog.bytes
  }

  write(parts: Parts): number {
    if (this.#errno !== 0) return -this.#errno
    const length = Math.min(parts.bytes, UNWRITTEN_MOST - this.socket.writableLength)
    const address = length > 0 ? this.#allocate(length) : 0
    if (address === 0) {
      this.#wantsRoom = true
      if (length > 0) this.#retryLater()
      return -EAGAIN
    }
    // After fewer than there are somebody has to tell of more room.
    if (length < parts.bytes) this.#wantsRoom = true
    let left = length
    let to = address
    for (let index = 0; left > 0; index++) {
      const part = Math.min(left, parts.lengthAt(index))
      this.#memory.copy(parts.addressAt(index), to, part)
      to += part
      left -= part
    }
    this.socket.write(this.#memory.bytes.subarray(address, to), () => {
      this.#memory.free(address, length)
      this.#events.share?.give(length)
      this.#guarded(() => this.#tellRoom())
    })
    return length
  }

  peek(into: Parts, offset: number): number {
    const count = this.#backlog.copy(into, offset)
    const isLast = this.#ended || this.#errno !== 0
    if (count === 0) {
      if (this.#over !== undefined || !isLast) return -EAGAIN
      return this.#ended ? 0 : -this.#errno
    }
    if (count < into.bytes && isLast) this.#turns.later(() => this.#guarded(() => this.#tellReadable()))
    return count
  }

  discard(bytes: number): void {
    this.#backlog.discard(bytes)
    if (this.#paused) this.#resume()
  }

  endWrites(): void {
    this.socket.end()
  }

  close(): void {
    if (this.#closed) return
    this.#release()
    const { socket } = this
    // Bytes that still come have no reader.
    socket.pause()
    if (socket.destroyed) return
    if (!this.connected) {
      socket.destroy()
      return
    }
    this.#retry = setTimeout(() => socket.destroy(), LINGER_MS)
    socket.destroySoon()
  }

  abort(): void {
    if (this.#closed) return
    this.#release()
    if (this.connected && this.socket.remotePort !== undefined) this.socket.resetAndDestroy()
    else this.socket.destroy()
  }

  /** Room for what is to be written; 0 where there is none. */
  #allocate(length: number): number {
    const { share } = this.#events
    if (share?.take(length, this.#memory.arena.heap) === false) return 0
    const address = this.#memory.allocate(length)
    if (address === 0) share?.give(length)
    return address
  }

  /** An exception of ours costs this stream, and no other. */
  #guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#events.onFault(error)
    }
  }

  #read(count: number): boolean {
    try {
      this.#onRead(count)
    } catch (error) {
      this.#events.onFault(error)
    }
    return true
  }

  #onRead(count: number): void {
    if (this.#closed) return
    this.#turns.begin()
    const { arena, bytes } = this.#memory
    const kept = this.#backlog.append(arena.inbox, count)
    if (kept < count) {
      this.#over = bytes.slice(arena.inbox + kept, arena.inbox + count)
      this.#retryLater()
    }
    if (this.#over !== undefined || this.#backlog.room === 0) {
      this.#paused = true
      this.socket.pause()
    }
    this.#events.onReadable()
  }

  #resume(): void {
    const over = this.#over
    if (over !== undefined) {
      const { scratch } = this.#memory.arena
      this.#memory.write(over, 0, over.length, scratch)
      const kept = this.#backlog.append(scratch, over.length)
      this.#over = kept < over.length ? over.subarray(kept) : undefined
      if (kept > 0) this.#turns.later(() => this.#guarded(() => this.#tellReadable()))
      if (this.#over !== undefined) return this.#retryLater()
    }
    if (this.#backlog.room > 0) this.#resumeSocket()
    else if (this.#backlog.bytes === 0) this.#retryLater()
  }

  #resumeSocket(): void {
    this.#paused = false
    this.socket.resume()
  }

  /** Others hold the memory, and do not tell. */
  #retryLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined
      this.#turns.begin()
      this.#guarded(() => {
        if (this.#paused) this.#resume()
        this.#tellRoom()
      })
    }, MEMORY_MS)
  }

  #onConnect(): void {
    this.connected = true
    if (this.#closed) return
    this.#turns.begin()
    this.#events.onConnected()
  }

  #onEnd(): void {
    this.#ended = true
    this.#tellReadable()
  }

  #onError(error: Error): void {
    this.#errno = errnoOf(error)
    if (this.#closed) return
    this.#turns.begin()
    if (this.connected) {
      this.#events.onReadable()
      return
    }
    this.#release()
    this.#events.onFailed(this.#errno)
  }

  #tellReadable(): void {
    if (this.#closed) return
    this.#turns.begin()
    this.#events.onReadable()
  }

  #tellRoom(): void {
    if (!this.#wantsRoom || this.#closed || this.socket.writableLength > UNWRITTEN_MOST / 2) return
    this.#wantsRoom = false
    this.#turns.begin()
    this.#events.onWritable()
  }

  /** Nothing is heard or kept from now on. */
  #release(): void {
    this.#closed = true
    this.#errno ||= ECONNRESET
    this.#over = undefined
    this.#backlog.clear()
    clearTimeout(this.#retry)
    this.#retry = undefined
  }
}
