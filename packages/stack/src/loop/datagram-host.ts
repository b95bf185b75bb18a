/**
 * Datagram sockets of the host by system calls: UDP, and ping sockets (icmp(7)).
 *
 * @module
 */

import type { Parts } from "@skep/link"
import type { Scope } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import type { DatagramEvents, DatagramHost, DatagramSocket, Endpoint } from "../host/host.ts"
import { familyOf, sockaddr } from "./address.ts"
import { cuts, DatagramTransfer } from "./datagram-transfer.ts"
import type { Transfer } from "./transfer.ts"

export class SocketDatagramHost implements DatagramHost {
  readonly #scope: Scope
  readonly #transfer: Transfer
  readonly #datagrams = new DatagramTransfer()
  /** Asked of the first socket. */
  #cuts: boolean | undefined

  /** Sockets end with the scope. */
  constructor(scope: Scope, transfer: Transfer) {
    this.#scope = scope
    this.#transfer = transfer
    scope.onDispose(() => this.#datagrams[Symbol.dispose]())
  }

  udp(to: Endpoint, events: DatagramEvents): DatagramSocket | number {
    return this.#open(to, events, 0)
  }

  echo(to: Endpoint, events: DatagramEvents): DatagramSocket | number {
    const protocol = to.address.length === 4 ? sys.IPPROTO_ICMP : sys.IPPROTO_ICMPV6
    return this.#open({ ...to, port: 0 }, events, protocol)
  }

  #open(to: Endpoint, events: DatagramEvents, protocol: number): DatagramSocket | number {
    const fd = sys.socket(familyOf(to), sys.SOCK_DGRAM | sys.SOCK_NONBLOCK, protocol)
    if (fd < 0) return fd
    const result = sys.connectTo(fd, sockaddr(to))
    if (result < 0) {
      sys.close(fd)
      return result
    }
    const registration = this.#scope.adopt(fd, sys.EPOLLIN | sys.EPOLLET, () => events.onReadable())
    const transfer = this.#transfer
    const datagrams = this.#datagrams
    this.#cuts ??= cuts(fd)
    const mayCut = protocol === 0 && this.#cuts
    return {
      // writev(2) of nothing sends nothing, yet a datagram may be empty (RFC 768).
      send: (parts: Parts) =>
        parts.bytes === 0 ? sys.send(fd, 0, 0, sys.MSG_DONTWAIT) : transfer.write(fd, parts),
      sendEach: (parts) => datagrams.sendEach(fd, parts, mayCut),
      receive: (address, room) => sys.receive(fd, address, room, sys.MSG_DONTWAIT),
      close: () => registration.close(),
    }
  }
}
