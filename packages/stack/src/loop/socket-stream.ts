/**
 * A TCP socket of the host as a stream of the core, by system calls. What the guest has not acknowledged is its source's affair.
 *
 * @module
 */

import type { Parts } from "@skep/link"
import type { Registration, Scope } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import type { BoundedMemory } from "../host/backlog.ts"
import type { HostStream, StreamEvents } from "../host/host.ts"
import type { Leftovers } from "./leftovers.ts"
import { KernelSource, RingSource, type Source } from "./source.ts"
import type { Transfer } from "./transfer.ts"

/** One registration for its whole life; edges are remembered by the flow. */
const EVENTS = sys.EPOLLIN | sys.EPOLLOUT | sys.EPOLLRDHUP | sys.EPOLLET
const ENDED = sys.EPOLLRDHUP | sys.EPOLLHUP | sys.EPOLLERR
/** struct linger { on, no time }: close(2) resets. */
const LINGER_RESET = new Uint8Array(new Int32Array([1, 0]).buffer)

/**
 * A socket to this host takes 4 MiB that nobody reads, of memory that all of the host's TCP shares (tcp_mem, tcp(7)): with a thousand of them nobody
 * here would have a connection any more. So where there are many, each takes a sixteenth; a few are faster with all.
 */
const CROWD = 128
const CROWDED_ROOM = 64 * 1024

export interface Crowd {
  size: number
}

export interface SocketStreamOptions {
  readonly scope: Scope
  readonly transfer: Transfer
  /** Non-blocking; owned from now on. */
  readonly fd: number
  readonly events: StreamEvents
  readonly connected: boolean
  /** Where bytes are kept for the guest; in the socket itself without it. */
  readonly ring: BoundedMemory | undefined
  readonly leftovers: Leftovers
  /** How many of the host's streams to itself are open, where this is one of them. */
  readonly crowd: Crowd | undefined
}

export class SocketStream implements HostStream {
  connected: boolean
  readonly #fd: number
  readonly #transfer: Transfer
  readonly #events: StreamEvents
  readonly #registration: Registration
  readonly #source: Source
  /** Whether the other side has ended: a short read is not the last word then. */
  #ended = false
  #over = false
  readonly #crowd: Crowd | undefined
  #writes = 0

  constructor(options: SocketStreamOptions) {
    this.#fd = options.fd
    this.#transfer = options.transfer
    this.#events = options.events
    this.connected = options.connected
    this.#crowd = options.crowd
    if (options.crowd !== undefined) options.crowd.size++
    this.#registration = options.scope.adopt(options.fd, EVENTS, (events) => this.#onEvents(events))
    this.#source = this.#makeSource(options)
  }

  get keptBytes(): number {
    return this.#source.keptBytes
  }

  write(parts: Parts): number {
    if (++this.#writes === 2) this.#prepare()
    return this.#transfer.write(this.#fd, parts)
  }

  /** For more than one question. What a guest's kernel has sent is complete: no reason to wait for more of it; a first write goes at once by itself (RFC 896). */
  #prepare(): void {
    sys.setOption(this.#fd, sys.IPPROTO_TCP, sys.TCP_NODELAY, 1)
    if (this.#crowd !== undefined && this.#crowd.size > CROWD)
      sys.setOption(this.#fd, sys.SOL_SOCKET, sys.SO_SNDBUF, CROWDED_ROOM)
  }

  peek(into: Parts, offset: number): number {
    const read = this.#source.peek(into, offset)
    // The edge of the end has gone by already, and this read may have hidden it.
    if (read > 0 && this.#ended && read < into.bytes) this.#registration.again(sys.EPOLLIN)
    return read
  }

  discard(bytes: number): void {
    this.#source.discard(bytes)
  }

  endWrites(): void {
    sys.shutdown(this.#fd, sys.SHUT_WR)
  }

  close(): void {
    if (this.#over) return
    this.#source.settle()
    this.#close()
  }

  abort(): void {
    if (this.#over) return
    sys.setOptionBytes(this.#fd, sys.SOL_SOCKET, sys.SO_LINGER, LINGER_RESET)
    this.#close()
  }

  #close(): void {
    this.#over = true
    if (this.#crowd !== undefined) this.#crowd.size--
    this.#registration.closeOnly()
    this.#source.close()
  }

  #makeSource({ scope, fd, transfer, ring, leftovers }: SocketStreamOptions): Source {
    if (ring === undefined) return new KernelSource(fd, transfer, leftovers)
    return new RingSource({
      fd,
      transfer,
      memory: ring,
      share: this.#events.share,
      again: () => this.#registration.again(sys.EPOLLIN),
      timer: () => scope.timer(() => this.#events.onReadable()),
    })
  }

  #onEvents(events: number): void {
    try {
      this.#ready(events)
    } catch (error) {
      this.#events.onFault(error)
    }
  }

  #ready(events: number): void {
    if (!this.connected) return this.#answered(events)
    if ((events & ENDED) !== 0) this.#ended = true
    if ((events & sys.EPOLLOUT) !== 0) this.#events.onWritable()
    if ((events & (sys.EPOLLIN | ENDED)) !== 0 && !this.#over) this.#events.onReadable()
  }

  #answered(events: number): void {
    const error = (events & (sys.EPOLLERR | sys.EPOLLHUP)) === 0 ? 0 : sys.socketError(this.#fd)
    if (error < 0) {
      this.#close()
      this.#events.onFailed(-error)
      return
    }
    if ((events & sys.EPOLLOUT) === 0) return
    this.connected = true
    if ((events & ENDED) !== 0) this.#ended = true
    this.#events.onConnected()
    if ((events & (sys.EPOLLIN | ENDED)) !== 0 && !this.#over) this.#events.onReadable()
  }
}
