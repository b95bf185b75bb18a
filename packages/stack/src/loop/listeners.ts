/**
 * Listeners of the host that lead to guests: TCP, and UDP with one association a client.
 *
 * @module
 */

import type { Parts } from "@skep/link"
import type { Registration, Scope } from "@skep/loop"
import { Iovecs, Message, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import type { Client, DatagramSocket, DatagramTaker, Endpoint, Listener, ListenerHost } from "../host/host.ts"
import { familyOf, sockaddr } from "./address.ts"
import { cuts, DatagramTransfer } from "./datagram-transfer.ts"
import type { SocketHost } from "./stream-host.ts"

const BACKLOG = 4096
/** Clients taken in one turn. */
const TURN = 64
const SCRATCH = 32 * 1024
const ROOM = 65_536
/** How long accept(2) rests when the process has no descriptor left. */
const REST_MS = 100

export class SocketListenerHost implements ListenerHost {
  readonly #scope: Scope
  readonly #sockets: SocketHost

  /** Listeners end with the scope. */
  constructor(scope: Scope, sockets: SocketHost) {
    this.#scope = scope
    this.#sockets = sockets
  }

  tcp(at: Endpoint, onClient: (client: Client) => void): Listener | number {
    return TcpListener.open(this.#scope, at, (fd) =>
      onClient({
        serve: (events) => this.#sockets.adopt(fd, events),
        close: () => void sys.close(fd),
      }),
    )
  }

  udp(at: Endpoint, buffer: number, onClient: UdpListenerOptions["onClient"]): Listener | number {
    return UdpListener.open({ scope: this.#scope, at, buffer, onClient })
  }
}

class TcpListener implements Listener {
  readonly opening: undefined = undefined
  readonly #registration: Registration
  readonly #onClient: (fd: number) => void
  readonly #rest

  private constructor(scope: Scope, fd: number, onClient: (fd: number) => void) {
    this.#onClient = onClient
    this.#registration = scope.adopt(fd, sys.EPOLLIN, () => this.#accept())
    this.#rest = scope.timer(() => this.#registration.modify(sys.EPOLLIN))
  }

  /** `onClient` owns the descriptor, which is non-blocking. */
  static open(scope: Scope, at: Endpoint, onClient: (fd: number) => void): TcpListener | number {
    const fd = bound(at, sys.SOCK_STREAM)
    if (fd < 0) return fd
    const result = sys.listen(fd, BACKLOG)
    if (result < 0) {
      sys.close(fd)
      return result
    }
    return new TcpListener(scope, fd, onClient)
  }

  [Symbol.dispose](): void {
    this.#rest.cancel()
    this.#registration.close()
  }

  #accept(): void {
    for (let left = TURN; left > 0 && this.#registration.active; left--) {
      const fd = sys.accept(this.#registration.fd, sys.SOCK_NONBLOCK)
      if (fd >= 0) {
        this.#onClient(fd)
        continue
      }
      if (fd === -sys.EAGAIN) return
      // A client that has gone again is passed over; without descriptors the listener would be reported for ever.
      if (fd === -sys.ECONNABORTED) continue
      this.#registration.modify(0)
      this.#rest.after(REST_MS)
      return
    }
  }
}

interface UdpListenerOptions {
  readonly scope: Scope
  readonly at: Endpoint
  /** Begins an association for a new client, whose answers go by `socket`; undefined drops its datagram. */
  readonly onClient: (socket: DatagramSocket) => DatagramTaker | undefined
  /** Where datagrams are handed over. */
  readonly buffer: number
}

/** A UDP socket with many clients. */
class UdpListener implements Listener {
  readonly opening: undefined = undefined
  readonly #options: UdpListenerOptions
  readonly #scratch = new Scratch(SCRATCH)
  readonly #iovecs = new Iovecs(this.#scratch, "payload", 256)
  readonly #message = new Message(this.#scratch, "name", 0)
  readonly #datagrams = new DatagramTransfer()
  readonly #cuts: boolean
  readonly #registration: Registration
  /** By the bytes of their address. */
  readonly #clients = new Map<string, DatagramTaker>()

  private constructor(options: UdpListenerOptions, fd: number) {
    this.#options = options
    this.#cuts = cuts(fd)
    this.#registration = options.scope.adopt(fd, sys.EPOLLIN, () => this.#receive())
  }

  static open(options: UdpListenerOptions): UdpListener | number {
    const fd = bound(options.at, sys.SOCK_DGRAM)
    return fd < 0 ? fd : new UdpListener(options, fd)
  }

  [Symbol.dispose](): void {
    this.#registration.close()
    this.#scratch[Symbol.dispose]()
    this.#datagrams[Symbol.dispose]()
  }

  #receive(): void {
    for (let left = TURN; left > 0 && this.#registration.active; left--) {
      this.#iovecs.clear()
      this.#iovecs.push(this.#options.buffer, ROOM)
      this.#message.prepareReceiveFrom(this.#iovecs)
      const length = sys.receiveMessage(this.#registration.fd, this.#message.header, sys.MSG_DONTWAIT)
      if (length < 0) return
      const name = this.#message.name.slice(0, this.#message.nameLength)
      this.#client(name)?.deliver(length)
    }
  }

  #client(name: Uint8Array): DatagramTaker | undefined {
    const key = String.fromCharCode(...name)
    const known = this.#clients.get(key)
    if (known !== undefined) return known
    const flow = this.#options.onClient({
      send: (parts) => this.#send(name, parts),
      sendEach: (parts) =>
        this.#registration.active
          ? this.#datagrams.sendEach(this.#registration.fd, parts, this.#cuts, name)
          : 0,
      receive: () => -sys.EAGAIN,
      close: () => void this.#clients.delete(key),
    })
    if (flow !== undefined) this.#clients.set(key, flow)
    return flow
  }

  #send(name: Uint8Array, parts: Parts): number {
    if (!this.#registration.active) return 0
    this.#iovecs.clear()
    for (let index = 0; index < parts.count; index++)
      this.#iovecs.push(parts.addressAt(index), parts.lengthAt(index))
    this.#message.name.set(name)
    this.#message.prepareSendTo(this.#iovecs, name.length)
    return sys.sendMessage(this.#registration.fd, this.#message.header, sys.MSG_DONTWAIT)
  }
}

/** A bound, non-blocking socket, or `-errno`. An IPv6 one takes IPv6 only, so that both can be had. */
function bound(at: Endpoint, type: number): number {
  const fd = sys.socket(familyOf(at), type | sys.SOCK_NONBLOCK)
  if (fd < 0) return fd
  if (type === sys.SOCK_STREAM) sys.setOption(fd, sys.SOL_SOCKET, sys.SO_REUSEADDR, 1)
  if (at.address.length === 16) sys.setOption(fd, sys.IPPROTO_IPV6, sys.IPV6_V6ONLY, 1)
  const result = sys.bindTo(fd, sockaddr(at))
  if (result >= 0) return fd
  sys.close(fd)
  return result
}
