/**
 * The host's end of one stream: a non-blocking Unix socket, and what it would not take yet.
 *
 * @module
 */
import type { Registration, Scope } from "@skep/loop"
import type { Region } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { Connection } from "../device/connection.ts"

/**
 * Edge-triggered: a socket whose client has hung up reports that for ever otherwise, whatever it is asked for. An edge that comes while nothing
 * can be read is remembered by the connection.
 */
const EVENTS = sys.EPOLLIN | sys.EPOLLOUT | sys.EPOLLRDHUP | sys.EPOLLET

/** Owns the socket. Bytes it does not take are kept here; the stream's credit bounds them. */
export class HostStream implements Disposable {
  readonly fd: number
  readonly connection: Connection
  readonly #registration: Registration
  /** Where bytes are put for the kernel, one for all streams: nothing is kept in it. */
  readonly #bounce: Region
  #held: Uint8Array[] = []
  #endWanted = false

  constructor(scope: Scope, fd: number, connection: Connection, bounce: Region) {
    this.fd = fd
    this.connection = connection
    this.#bounce = bounce
    this.#registration = scope.adopt(fd, EVENTS, (events) => this.#ready(events))
  }

  get backlogged(): boolean {
    return this.#held.length > 0
  }

  /** Keeps what the socket did not take; in the order in which it came. */
  hold(bytes: Uint8Array): void {
    this.#held.push(bytes)
  }

  /** After the last byte that is held: shutdown(SHUT_WR). */
  endWrites(): void {
    this.#endWanted = true
    if (!this.backlogged) sys.shutdown(this.fd, sys.SHUT_WR)
  }

  endReads(): void {
    sys.shutdown(this.fd, sys.SHUT_RD)
  }

  [Symbol.dispose](): void {
    this.#held = []
    this.#registration.close()
  }

  #ready(events: number): void {
    if ((events & sys.EPOLLOUT) !== 0) this.#flush()
    if ((events & (sys.EPOLLIN | sys.EPOLLRDHUP | sys.EPOLLHUP | sys.EPOLLERR)) !== 0)
      this.connection.onHostReadable()
    // Nobody is left to take anything; what was sent before can still be read.
    if ((events & sys.EPOLLHUP) !== 0) this.connection.onHostClosed()
  }

  #flush(): void {
    for (let first = this.#held[0]; first !== undefined; first = this.#held[0]) {
      const part = first.subarray(0, this.#bounce.length)
      this.#bounce.bytes.set(part)
      const sent = sys.send(this.fd, this.#bounce.address, part.length, sys.MSG_DONTWAIT)
      if (sent === -sys.EAGAIN) return
      if (sent < 0) return this.failed(sent)
      if (sent === first.length) this.#held.shift()
      else this.#held[0] = first.subarray(sent)
      this.connection.onHostWritten(sent)
    }
    // The last byte may have ended the stream, and with it the socket.
    if (this.#endWanted && this.#registration.active) sys.shutdown(this.fd, sys.SHUT_WR)
  }

  /** What a failed write says of the socket. */
  failed(error: number): void {
    this.#held = []
    if (error === -sys.EPIPE) this.connection.onHostClosed()
    else this.connection.onHostError()
  }
}
