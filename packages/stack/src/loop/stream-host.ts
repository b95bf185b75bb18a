/**
 * Connects to hosts in the name of guests.
 *
 * @module
 */
import type { Scope } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { isLoopback } from "@skep/wire/address"
import type { BoundedMemory } from "../host/backlog.ts"
import type { Endpoint, HostStream, LocalEndpoint, StreamEvents, StreamHost } from "../host/host.ts"
import { familyOf, sockaddr } from "./address.ts"
import { Leftovers } from "./leftovers.ts"
import { type Crowd, SocketStream, type SocketStreamOptions } from "./socket-stream.ts"
import { kernelPeeksAtOffsets } from "./source.ts"
import { SpareSockets } from "./spare-sockets.ts"
import type { Transfer } from "./transfer.ts"

export interface SocketHostOptions {
  /** Sockets end with it. */
  readonly scope: Scope
  readonly transfer: Transfer
  /** For what guests have not acknowledged, where the kernel cannot keep it. */
  readonly memory: BoundedMemory
  /** Keeps it there always. Asks the kernel unless told. */
  readonly ring?: boolean
}

interface Opened extends Pick<SocketStreamOptions, "fd" | "events" | "connected" | "crowd"> {
  readonly ring: boolean
}

export class SocketHost implements StreamHost {
  readonly #options: SocketHostOptions
  readonly #ring: boolean
  readonly #leftovers: Leftovers
  readonly #sockets: SpareSockets
  readonly #crowd: Crowd = { size: 0 }

  constructor(options: SocketHostOptions) {
    this.#options = options
    this.#leftovers = new Leftovers(options.scope)
    this.#sockets = new SpareSockets(options.scope)
    this.#ring = options.ring ?? !kernelPeeksAtOffsets()
  }

  connect(to: Endpoint | LocalEndpoint, events: StreamEvents): HostStream | number {
    const local = "path" in to
    const fd = this.#sockets.take(local ? sys.AF_UNIX : familyOf(to))
    if (fd < 0) return fd
    const address = local ? sys.encodeAddress({ family: "unix", path: to.path }) : sockaddr(to)
    let result = sys.connectTo(fd, address)
    // On this host the other side has answered by now: asking once more is cheaper than waiting for an event.
    if (result === -sys.EINPROGRESS) result = sys.connectTo(fd, address)
    const connected = result === 0 || result === -sys.EISCONN
    if (!connected && result !== -sys.EINPROGRESS && result !== -sys.EALREADY) {
      sys.close(fd)
      return result
    }
    // Nothing can be thrown away unread in a Unix socket: MSG_TRUNC means something else there, unix(7).
    const crowd = !local && isLoopback(to.address, 0, to.address.length) ? this.#crowd : undefined
    return this.#open({ fd, events, connected, crowd, ring: local || this.#ring })
  }

  /** A client that was accepted. Owned from now on. */
  adopt(fd: number, events: StreamEvents): HostStream {
    return this.#open({ fd, events, connected: true, crowd: undefined, ring: this.#ring })
  }

  #open({ ring, ...socket }: Opened): HostStream {
    const { scope, transfer, memory } = this.#options
    const leftovers = this.#leftovers
    return new SocketStream({ scope, transfer, leftovers, ring: ring ? memory : undefined, ...socket })
  }
}
