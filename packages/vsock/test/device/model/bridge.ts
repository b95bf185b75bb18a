/**
 * A driver without a kernel: the bridge as it will stand on rings and Unix sockets, here on arrays. It is the example
 * of how `Streams` is to be used.
 *
 * @module
 */
import type { Connection } from "../../../src/device/connection.ts"
import type { End, HostSide } from "../../../src/device/host-side.ts"
import type { Journal } from "../../../src/device/journal.ts"
import { HEADER } from "../../../src/device/packet.ts"
import { type StreamLimits, Streams } from "../../../src/device/streams.ts"
import { lengthOf, type Parcel, packetAt, type Range } from "./wire.ts"

/** A Unix socket, whose other end an application of the host has. */
export interface HostSocket {
  readonly connection: Connection
  /** Towards the application: in the kernel, and kept by the bridge because that was full. */
  readonly inbox: Range[]
  readonly kept: Range[]
  inboxBytes: number
  received: number
  sawEnd: boolean
  /** From the application. */
  written: number
  taken: number
  writesEnded: boolean
  closed: boolean
  closedEarly: boolean
  /** By the bridge. */
  shutWrite: boolean
  shutRead: boolean
  accepted: boolean
  end: End | undefined
}

export interface BridgeOptions {
  readonly guestCid: number
  readonly now: () => number
  readonly limits: Partial<StreamLimits>
  /** What a Unix socket holds, and what a buffer of the guest does. */
  readonly socketBytes: number
  readonly bufferBytes: number
  readonly refuses?: (port: number) => boolean
  readonly journal?: Journal
  readonly firstHostPort?: number
}

export class Bridge {
  readonly streams: Streams
  readonly sockets: HostSocket[] = []
  readonly toGuest: Parcel[] = []
  readonly complaints: string[] = []
  readonly trace: string[] = []
  readonly #options: BridgeOptions
  readonly #bytes = new Uint8Array(HEADER)

  constructor(options: BridgeOptions) {
    this.#options = options
    const host: HostSide = {
      connect: (connection) => {
        if (options.refuses?.(connection.hostPort) === true) connection.refuse()
        else {
          this.#make(connection)
          connection.accept()
        }
      },
      opened: (connection) => {
        this.#of(connection).accepted = true
      },
      endWrites: (connection) => {
        const socket = this.#of(connection)
        if (socket.shutWrite || socket.end !== undefined) this.complaints.push("endWrites again, or too late")
        if (socket.kept.length > 0) this.complaints.push("endWrites before the last byte")
        socket.shutWrite = true
      },
      endReads: (connection) => {
        const socket = this.#of(connection)
        if (socket.shutRead || socket.end !== undefined) this.complaints.push("endReads again, or too late")
        socket.shutRead = true
      },
      close: (connection, end) => {
        const socket = this.sockets[connection.token]
        if (socket === undefined) return // refused before it had one
        if (socket.end !== undefined) this.complaints.push("closed twice")
        if (end === "closed" && socket.kept.length > 0 && !socket.closed) this.complaints.push("closed early")
        socket.kept.length = 0
        socket.end = end
      },
    }
    this.streams = new Streams({
      guestCid: options.guestCid,
      host,
      now: options.now,
      limits: options.limits,
      trace: (line) => this.trace.push(line),
      ...(options.journal === undefined ? {} : { journal: options.journal }),
      ...(options.firstHostPort === undefined ? {} : { firstHostPort: options.firstHostPort }),
    })
  }

  /** A client of the host asks for the guest's port. */
  connect(guestPort: number): HostSocket | undefined {
    const connection = this.streams.connect(guestPort)
    return connection === "over-limit" ? undefined : this.#make(connection)
  }

  /** A packet from the tx ring. */
  take({ packet, payload }: Parcel): void {
    const connection = this.streams.onPacket(packet, lengthOf(payload))
    if (connection === undefined || payload === undefined) return
    const socket = this.#of(connection)
    if (socket.closed || socket.end !== undefined) this.complaints.push("bytes for a closed socket")
    socket.kept.push(payload)
    this.#write(socket)
    if (connection.undelivered > 0) connection.mayKeep()
  }

  /** Uses one buffer of the rx ring, if there is anything for it. */
  give(): boolean {
    const turn = this.streams.next(this.#bytes, 0)
    if (turn === undefined) return false
    if (turn === "sent") {
      this.toGuest.push({ packet: packetAt(this.#bytes), payload: undefined })
      return true
    }
    const socket = this.#of(turn)
    const length = Math.min(turn.writable, this.#options.bufferBytes - HEADER, socket.written - socket.taken)
    if (length > 0) {
      turn.onHostRead(length, this.#bytes, 0)
      const payload = { from: socket.taken, to: socket.taken + length }
      socket.taken += length
      this.toGuest.push({ packet: packetAt(this.#bytes), payload })
    } else if (socket.writesEnded || socket.closed) turn.onHostEnd()
    else turn.onHostDrained()
    return true
  }

  // What applications of the host do.

  mayWrite(socket: HostSocket): boolean {
    return !socket.closed && !socket.writesEnded && socket.end === undefined && !socket.shutRead
  }

  write(socket: HostSocket, count: number): void {
    if (!this.mayWrite(socket)) return
    socket.written += Math.min(count, this.#options.socketBytes - (socket.written - socket.taken))
    socket.connection.onHostReadable()
  }

  read(socket: HostSocket, wanted: number): number {
    if (socket.closed) return 0
    let total = 0
    for (let first = socket.inbox[0]; first !== undefined && total < wanted; first = socket.inbox[0]) {
      if (first.from !== socket.received + total) {
        this.complaints.push(`byte ${first.from} where ${socket.received + total} was due`)
      }
      const length = Math.min(wanted - total, lengthOf(first))
      total += length
      if (length === lengthOf(first)) socket.inbox.shift()
      else socket.inbox[0] = { from: first.from + length, to: first.to }
    }
    socket.received += total
    socket.inboxBytes -= total
    if (total === 0 && (socket.shutWrite || socket.end !== undefined)) socket.sawEnd = true
    this.#write(socket)
    return total
  }

  endWrites(socket: HostSocket): void {
    if (socket.closed || socket.writesEnded) return
    socket.writesEnded = true
    socket.connection.onHostReadable()
  }

  close(socket: HostSocket): void {
    if (socket.closed) return
    socket.closedEarly = !socket.sawEnd
    socket.closed = true
    socket.inbox.length = 0
    socket.connection.onHostReadable()
    socket.kept.length = 0
    socket.connection.onHostClosed()
  }

  #make(connection: Connection): HostSocket {
    const socket: HostSocket = {
      connection,
      inbox: [],
      kept: [],
      inboxBytes: 0,
      received: 0,
      sawEnd: false,
      written: 0,
      taken: 0,
      writesEnded: false,
      closed: false,
      closedEarly: false,
      shutWrite: false,
      shutRead: false,
      accepted: connection.origin === "guest",
      end: undefined,
    }
    connection.token = this.sockets.push(socket) - 1
    return socket
  }

  #of(connection: Connection): HostSocket {
    const socket = this.sockets[connection.token]
    if (socket === undefined) throw new Error(`no socket of ${String(connection)}`)
    return socket
  }

  #write(socket: HostSocket): void {
    for (let first = socket.kept[0]; first !== undefined; first = socket.kept[0]) {
      const room = this.#options.socketBytes - socket.inboxBytes
      if (room <= 0) return
      const length = Math.min(room, lengthOf(first))
      socket.inbox.push({ from: first.from, to: first.from + length })
      socket.inboxBytes += length
      if (length === lengthOf(first)) socket.kept.shift()
      else socket.kept[0] = { from: first.from + length, to: first.to }
      socket.connection.onHostWritten(length)
      if (socket.end !== undefined) return
    }
  }
}
