/**
 * A TCP socket of the host as a stream of the core, by system calls.
 *
 * What the guest has not acknowledged stays in the socket's receive queue: it is peeked at with an offset (SO_PEEK_OFF, tcp since Linux 6.9) and
 * thrown away unread with MSG_TRUNC, tcp(7).
 *
 * @module
 */

import type { Parts } from "@skep/link"
import type { Registration, Scope } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import type { HostStream, StreamEvents } from "../host/host.ts"
import type { Transfer } from "./transfer.ts"

/** One registration for its whole life; edges are remembered by the flow. */
const EVENTS = sys.EPOLLIN | sys.EPOLLOUT | sys.EPOLLRDHUP | sys.EPOLLET
const ENDED = sys.EPOLLRDHUP | sys.EPOLLHUP | sys.EPOLLERR
/** struct linger { on, no time }: close(2) resets. */
const LINGER_RESET = new Uint8Array(new Int32Array([1, 0]).buffer)

export interface SocketStreamOptions {
  readonly scope: Scope
  readonly transfer: Transfer
  /** Non-blocking; owned from now on. */
  readonly fd: number
  readonly events: StreamEvents
  readonly connected: boolean
}

export class SocketStream implements HostStream {
  connected: boolean
  readonly #fd: number
  readonly #transfer: Transfer
  readonly #events: StreamEvents
  readonly #registration: Registration
  /** Where the kernel peeks next; -1 before it was told to count. */
  #peekAt = -1
  /** Whether the other side has ended: a short read is not the last word then. */
  #ended = false
  #over = false

  constructor(options: SocketStreamOptions) {
    this.#fd = options.fd
    this.#transfer = options.transfer
    this.#events = options.events
    this.connected = options.connected
    this.#registration = options.scope.adopt(options.fd, EVENTS, (events) => this.#ready(events))
  }

  write(parts: Parts): number {
    return this.#transfer.write(this.#fd, parts)
  }

  peek(into: Parts, offset: number): number {
    if (this.#peekAt !== offset) {
      const result = sys.setOption(this.#fd, sys.SOL_SOCKET, sys.SO_PEEK_OFF, offset)
      if (result < 0) return result
      this.#peekAt = offset
    }
    const read = this.#transfer.peek(this.#fd, into)
    if (read > 0) {
      this.#peekAt += read
      // The edge of the end has gone by already, and this read may have hidden it.
      if (this.#ended && read < into.bytes) this.#registration.again(sys.EPOLLIN)
    }
    return read
  }

  discard(bytes: number): void {
    // An error here shows at the next read.
    sys.receive(this.#fd, 0, bytes, sys.MSG_TRUNC | sys.MSG_DONTWAIT)
    // The kernel counts from the new first byte, sk_peek_offset_bwd().
    if (this.#peekAt >= 0) this.#peekAt = Math.max(0, this.#peekAt - bytes)
  }

  endWrites(): void {
    sys.shutdown(this.#fd, sys.SHUT_WR)
  }

  close(): void {
    this.#over = true
    this.#registration.close()
  }

  abort(): void {
    if (this.#over) return
    sys.setOptionBytes(this.#fd, sys.SOL_SOCKET, sys.SO_LINGER, LINGER_RESET)
    this.close()
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
      this.close()
      this.#events.onFailed(-error)
      return
    }
    if ((events & sys.EPOLLOUT) === 0) return
    this.connected = true
    if ((events & ENDED) !== 0) this.#ended = true
    this.#events.onConnected()
    if (!this.#over) this.#events.onReadable()
  }
}
