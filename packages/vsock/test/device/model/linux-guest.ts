/**
 * A guest as Linux is one: a simple model of net/vmw_vsock/virtio_transport_common.c and af_vsock.c, made after their
 * behaviour and not after ours. Applications act by `connect`, `send`, `receive`, `shutdown`, `close`.
 *
 * @module
 */
import type { Packet } from "../../../src/device/packet.ts"
import { lengthOf, onTheWire, type Parcel, type Range } from "./wire.ts"

const REQUEST = 1
const RESPONSE = 2
const RST = 3
const SHUTDOWN = 4
const RW = 5
const CREDIT_UPDATE = 6
const CREDIT_REQUEST = 7
const RECEIVE = 1
const SEND = 2
const BOTH = 3
const CLOSE_TIMEOUT_MS = 8000
const CONNECT_TIMEOUT_MS = 2000

export interface GuestOptions {
  readonly cid: number
  readonly bufferBytes: number
  readonly packetBytes: number
  /** Kernels since 2026 cap what they send by their own buffer, too. */
  readonly capsBySelf: boolean
  /** Kernels since 6.7 tell their credit as well when the queue runs low. */
  readonly tellsWhenLow: boolean
}

export interface GuestSocket {
  readonly port: number
  readonly hostPort: number
  readonly origin: "guest" | "host"
  state: "connecting" | "established" | "closed"
  error: string | undefined
  /** SOCK_DONE */
  done: boolean
  released: boolean
  ownShutdown: number
  peerShutdown: number
  queue: Range[]
  /** How much of the first range the application has read. */
  offset: number
  queuedBytes: number
  fwdCnt: number
  lastFwdCnt: number
  txCnt: number
  peerBufAlloc: number
  peerFwdCnt: number
  /** Bytes that applications sent and received so far. */
  sent: number
  received: number
  sawEnd: boolean
  closedEarly: boolean
  deadline: number
}

export class LinuxGuest {
  readonly out: Parcel[] = []
  readonly all: GuestSocket[] = []
  readonly listening: Set<number> = new Set()
  /** What should never happen, in words. */
  readonly complaints: string[] = []
  readonly #options: GuestOptions
  readonly #now: () => number
  readonly #table: Map<string, GuestSocket> = new Map()
  #port = 1024

  constructor(options: GuestOptions, now: () => number) {
    this.#options = options
    this.#now = now
  }

  get live(): readonly GuestSocket[] {
    return [...this.#table.values()]
  }

  pollAt(): number {
    return Math.min(...this.live.map((socket) => socket.deadline), Number.POSITIVE_INFINITY)
  }

  onTimer(): void {
    for (const socket of this.live.filter(({ deadline }) => deadline <= this.#now())) {
      socket.deadline = Number.POSITIVE_INFINITY
      if (socket.state === "connecting") {
        this.#remove(socket, "timeout")
      } else if (!socket.done) {
        this.#send(socket, RST, {})
        this.#doClose(socket)
      }
    }
  }

  connect(hostPort: number): GuestSocket {
    const socket = this.#make(this.#port++, hostPort, "guest")
    socket.deadline = this.#now() + CONNECT_TIMEOUT_MS
    this.#send(socket, REQUEST, {})
    return socket
  }

  maySend(socket: GuestSocket): boolean {
    if (socket.state !== "established" || socket.released || socket.done) return false
    return (socket.ownShutdown & SEND) === 0 && (socket.peerShutdown & RECEIVE) === 0
  }

  /** How many bytes it took. */
  send(socket: GuestSocket, wanted: number): number {
    if (!this.maySend(socket)) return 0
    const limit = this.#options.capsBySelf
      ? Math.min(socket.peerBufAlloc, this.#options.bufferBytes)
      : socket.peerBufAlloc
    const space = Math.max(0, limit - ((socket.txCnt - socket.peerFwdCnt) >>> 0))
    const length = Math.min(wanted, this.#options.packetBytes, space)
    if (length === 0) return 0
    socket.txCnt = (socket.txCnt + length) >>> 0
    const payload = { from: socket.sent, to: socket.sent + length }
    socket.sent += length
    this.#send(socket, RW, { len: length }, payload)
    return length
  }

  /** How many bytes there were; `sawEnd` tells the end of the stream. */
  receive(socket: GuestSocket, wanted: number): number {
    if (socket.released) return 0
    let total = 0
    for (let first = socket.queue[0]; first !== undefined && total < wanted; first = socket.queue[0]) {
      const length = Math.min(wanted - total, lengthOf(first) - socket.offset)
      total += length
      socket.offset += length
      if (socket.offset < lengthOf(first)) continue
      socket.queue.shift()
      socket.offset = 0
      socket.queuedBytes -= lengthOf(first)
      socket.fwdCnt = (socket.fwdCnt + lengthOf(first)) >>> 0
    }
    socket.received += total
    if (total === 0) {
      socket.sawEnd ||= socket.done || (socket.peerShutdown & SEND) !== 0 || socket.state === "closed"
      return 0
    }
    const unsaid = (socket.fwdCnt - socket.lastFwdCnt) >>> 0
    const low =
      this.#options.bufferBytes - unsaid < this.#options.packetBytes ||
      (this.#options.tellsWhenLow && socket.queuedBytes < 1)
    if (unsaid > 0 && low && socket.state === "established") this.#send(socket, CREDIT_UPDATE, {})
    return total
  }

  shutdown(socket: GuestSocket, flags: number): void {
    if (socket.state !== "established" || socket.released || socket.done) return
    socket.ownShutdown |= flags
    this.#send(socket, SHUTDOWN, { flags })
  }

  close(socket: GuestSocket): void {
    if (socket.released) return
    socket.released = true
    socket.closedEarly = !socket.sawEnd
    if (socket.state === "connecting" || socket.done) {
      this.#remove(socket, socket.error)
    } else if (socket.peerShutdown === BOTH) {
      this.#send(socket, RST, {})
      this.#remove(socket, undefined)
    } else {
      if (socket.ownShutdown !== BOTH) this.#send(socket, SHUTDOWN, { flags: BOTH })
      socket.ownShutdown = BOTH
      socket.deadline = this.#now() + CLOSE_TIMEOUT_MS
    }
  }

  /** The device put `parcel` into a receive buffer. */
  deliver({ packet, payload }: Parcel): void {
    const socket = this.#table.get(keyOf(packet.dstPort, packet.srcPort))
    if (socket === undefined || socket.done) {
      if (socket === undefined && packet.op === REQUEST && this.listening.has(packet.dstPort))
        this.#accept(packet)
      else this.#resetNoSocket(packet)
      return
    }
    socket.peerBufAlloc = packet.bufAlloc
    socket.peerFwdCnt = packet.fwdCnt
    if (socket.state === "connecting") this.#onConnecting(socket, packet)
    else this.#onConnected(socket, packet, payload)
  }

  #onConnecting(socket: GuestSocket, packet: Packet): void {
    if (packet.op === RESPONSE) {
      socket.state = "established"
      socket.deadline = Number.POSITIVE_INFINITY
    } else if (packet.op === RST) {
      this.#remove(socket, "refused")
    } else {
      this.complaints.push(`op ${packet.op} while connecting`)
      this.#send(socket, RST, {})
      this.#remove(socket, "protocol")
    }
  }

  #onConnected(socket: GuestSocket, packet: Packet, payload: Range | undefined): void {
    switch (packet.op) {
      case RW:
        this.#onData(socket, packet, payload)
        break
      case CREDIT_REQUEST:
        this.#send(socket, CREDIT_UPDATE, {})
        break
      case CREDIT_UPDATE:
        break
      case SHUTDOWN:
        socket.peerShutdown |= packet.flags
        if (socket.peerShutdown === BOTH && socket.queue.length === 0) {
          this.#send(socket, RST, {})
          this.#doClose(socket)
        }
        break
      case RST:
        this.#doClose(socket)
        break
      default:
        this.complaints.push(`op ${packet.op} while connected`)
    }
  }

  #onData(socket: GuestSocket, packet: Packet, payload: Range | undefined): void {
    if (payload === undefined || lengthOf(payload) !== packet.len) {
      this.complaints.push("a header whose len is not that of its payload")
      return
    }
    if (socket.queuedBytes + packet.len > this.#options.bufferBytes) {
      this.complaints.push("more than the guest had room for")
      return
    }
    const last = socket.queue.at(-1)
    const expected = last === undefined ? socket.received : last.to
    if (payload.from !== expected) this.complaints.push(`byte ${payload.from} where ${expected} was due`)
    if ((socket.peerShutdown & SEND) !== 0) this.complaints.push("data after the host's shutdown")
    socket.queue.push(payload)
    socket.queuedBytes += packet.len
  }

  #accept(request: Packet): void {
    const socket = this.#make(request.dstPort, request.srcPort, "host")
    socket.state = "established"
    socket.peerBufAlloc = request.bufAlloc
    socket.peerFwdCnt = request.fwdCnt
    this.#send(socket, RESPONSE, {})
  }

  #make(port: number, hostPort: number, origin: "guest" | "host"): GuestSocket {
    const socket: GuestSocket = {
      port,
      hostPort,
      origin,
      state: "connecting",
      error: undefined,
      done: false,
      released: false,
      ownShutdown: 0,
      peerShutdown: 0,
      queue: [],
      offset: 0,
      queuedBytes: 0,
      fwdCnt: 0,
      lastFwdCnt: 0,
      txCnt: 0,
      peerBufAlloc: 0,
      peerFwdCnt: 0,
      sent: 0,
      received: 0,
      sawEnd: false,
      closedEarly: false,
      deadline: Number.POSITIVE_INFINITY,
    }
    this.all.push(socket)
    this.#table.set(keyOf(port, hostPort), socket)
    return socket
  }

  /** The stream is over; what is queued can still be read. */
  #doClose(socket: GuestSocket): void {
    socket.done = true
    socket.peerShutdown = BOTH
    if (socket.released) this.#remove(socket, undefined)
    else this.#table.delete(keyOf(socket.port, socket.hostPort))
  }

  #remove(socket: GuestSocket, error: string | undefined): void {
    socket.state = "closed"
    socket.error = error
    socket.deadline = Number.POSITIVE_INFINITY
    if (this.#table.get(keyOf(socket.port, socket.hostPort)) === socket) {
      this.#table.delete(keyOf(socket.port, socket.hostPort))
    }
  }

  #resetNoSocket(packet: Packet): void {
    if (packet.op === RST) return
    this.out.push({
      packet: onTheWire({
        srcCid: packet.dstCid,
        srcPort: packet.dstPort,
        dstCid: packet.srcCid,
        dstPort: packet.srcPort,
        type: packet.type,
        op: RST,
      }),
      payload: undefined,
    })
  }

  #send(socket: GuestSocket, op: number, fields: Partial<Packet>, payload?: Range): void {
    socket.lastFwdCnt = socket.fwdCnt
    this.out.push({
      packet: onTheWire({
        srcCid: this.#options.cid,
        srcPort: socket.port,
        dstCid: 2,
        dstPort: socket.hostPort,
        op,
        bufAlloc: this.#options.bufferBytes,
        fwdCnt: socket.fwdCnt,
        ...fields,
      }),
      payload,
    })
  }
}

function keyOf(port: number, hostPort: number): string {
  return `${port}.${hostPort}`
}
