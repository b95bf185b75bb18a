/**
 * The vsock device on vhost-user: moves packets between the guest's queues and the host's sockets.
 *
 * Virtual I/O Device 1.2, section 5.10. Queue 0 takes packets to the guest, queue 1 those from it; the event queue is QEMU's. What a packet
 * means is decided in `../device`; here its payload is moved, by `writev` and `readv` between the guest's memory and a socket.
 *
 * @module
 */
import type { Scope, Timer } from "@skep/loop"
import { Iovecs, type Region, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"
import { type Chain, type Copy, type Device, newCopy, type Queue, type Taken } from "@skep/vhost-user"
import type { Connection } from "../device/connection.ts"
import type { End, HostSide } from "../device/host-side.ts"
import { HEADER, packetView, parse } from "../device/packet.ts"
import { type StreamLimits, Streams } from "../device/streams.ts"
import { HostStream } from "./host-stream.ts"
import type { JournalFile } from "./journal-file.ts"

const RX = 0
const TX = 1
const BOUNCE = 64 * 1024
const SCRATCH = BOUNCE + 64 * 1024
/** Packets put into the guest's buffers before others have their turn. */
const TURN = 256

/** Who the guest reaches. */
export interface Services {
  /** Connects to the host's service for a port, without waiting: a descriptor, or `-errno`. */
  readonly connect: (hostPort: number) => number
}

/** A client of the host who wants a port of the guest. */
export interface Client {
  /** Connected and non-blocking; owned from now on. */
  readonly fd: number
  /** The guest accepted: before its first byte. */
  readonly onOpened?: (connection: Connection) => void
  readonly onClosed?: (end: End) => void
}

export interface VsockDeviceOptions {
  readonly scope: Scope
  readonly guestCid: number
  readonly services: Services
  readonly limits?: Partial<StreamLimits>
  readonly firstHostPort?: number
  /** Owned from now on. Without it the guest's idle streams hang when this process is killed. */
  readonly journal?: JournalFile
  readonly trace?: (line: string) => void
}

export class VsockDevice implements Device, HostSide {
  readonly name = "vsock"
  readonly queueCount = 2
  readonly features = 0n
  readonly config: Uint8Array
  readonly streams: Streams
  readonly #options: VsockDeviceOptions
  readonly #scope: Scope
  readonly #timer: Timer
  readonly #scratch = new Scratch(SCRATCH)
  readonly #iovecs = new Iovecs(this.#scratch, "payload")
  readonly #bounce: Region = this.#scratch.region("bounce", BOUNCE)
  readonly #header: Copy = newCopy(HEADER)
  readonly #packet = packetView()
  readonly #hosts = new Map<Connection, HostStream>()
  readonly #clients = new Map<Connection, Client>()
  #rx: Queue | undefined
  #tx: Queue | undefined

  constructor(options: VsockDeviceOptions) {
    this.#options = options
    this.#scope = options.scope
    // Section 5.10.4: le64 guest_cid.
    this.config = new Uint8Array(BigUint64Array.of(BigInt(options.guestCid)).buffer)
    this.streams = new Streams({
      guestCid: options.guestCid,
      host: this,
      now: () => options.scope.loop.now,
      ...(options.limits === undefined ? {} : { limits: options.limits }),
      ...(options.firstHostPort === undefined ? {} : { firstHostPort: options.firstHostPort }),
      ...(options.journal === undefined ? {} : { journal: options.journal }),
      ...(options.trace === undefined ? {} : { trace: options.trace }),
    })
    this.#timer = this.#scope.timer(() => this.streams.onTimer())
    this.#scope.onBatchEnd(() => this.#settle())
    this.#scope.onDispose(() => {
      this.stop()
      this.#options.journal?.[Symbol.dispose]()
      this.#scratch[Symbol.dispose]()
    })
  }

  /** Ends all streams. The guest hears of it, as far as its queues still run and there are buffers; a successor tells it of the rest. */
  stop(): void {
    this.streams.abort()
    this.#toGuest(Number.POSITIVE_INFINITY)
    this.#options.journal?.settle()
  }

  /** Sockets of the host at this moment. */
  get hosts(): number {
    return this.#hosts.size
  }

  /** Asks the guest for its port in the name of a client. The client is closed when it is refused, and `onClosed` tells. */
  connectGuest(guestPort: number, client: Client): void {
    const connection = this.streams.connect(guestPort)
    if (connection === "over-limit") {
      sys.close(client.fd)
      client.onClosed?.("refused")
      return
    }
    this.#clients.set(connection, client)
    this.#add(connection, client.fd)
  }

  // ---- The device

  onStart(queue: Queue): void {
    if (queue.index === RX) this.#rx = queue
    else this.#tx = queue
    if (this.#rx === undefined || this.#tx === undefined) return
    // A driver that begins anew knows of no stream; queues that go on, as after a pause of the machine or behind a keeper, know them all.
    if (this.#rx.base === 0 && this.#tx.base === 0) this.streams.transportReset()
    this.#scope.defer(() => this.#resume())
  }

  onKick(queue: Queue): void {
    // The rx queue is looked at when the batch ends. Until both run it is not known which guest this is.
    if (queue.index === TX && this.#rx !== undefined) queue.drain((chain) => this.#fromGuest(queue, chain))
  }

  onStop(queue: Queue): void {
    if (queue.index === RX) this.#rx = undefined
    else this.#tx = undefined
  }

  onBroken(): void {
    this.streams.detach()
  }

  onGone(): void {
    this.streams.detach()
  }

  // ---- The host's side of streams

  connect(connection: Connection): void {
    const fd = this.#options.services.connect(connection.hostPort)
    if (fd < 0) {
      connection.refuse()
      return
    }
    this.#add(connection, fd)
    connection.accept()
  }

  opened(connection: Connection): void {
    this.#clients.get(connection)?.onOpened?.(connection)
  }

  endWrites(connection: Connection): void {
    this.#hosts.get(connection)?.endWrites()
  }

  endReads(connection: Connection): void {
    this.#hosts.get(connection)?.endReads()
  }

  close(connection: Connection, end: End): void {
    this.#hosts.get(connection)?.[Symbol.dispose]()
    this.#hosts.delete(connection)
    this.#clients.get(connection)?.onClosed?.(end)
    this.#clients.delete(connection)
  }

  #add(connection: Connection, fd: number): void {
    this.#hosts.set(connection, new HostStream(this.#scope, fd, connection, this.#bounce))
  }

  // ---- From the guest

  #fromGuest(queue: Queue, chain: Chain): Taken {
    if (this.streams.congested) return "later"
    if (chain.readHead(queue.memory, this.#header, HEADER)) {
      const packet = parse(this.#header.bytes, 0, HEADER, this.#packet)
      if (typeof packet === "string") this.streams.onMalformed(packet)
      else {
        const connection = this.streams.onPacket(packet, chain.readableBytes - HEADER)
        if (connection !== undefined) this.#toHost(queue, chain, connection, packet.len)
      }
    } else this.streams.onMalformed("truncated")
    queue.give(chain.head, 0)
    return "taken"
  }

  /** Writes the payload to the host's socket; what that does not take is copied, since the chain goes back. */
  #toHost(queue: Queue, chain: Chain, connection: Connection, length: number): void {
    const host = this.#hosts.get(connection)
    if (host === undefined) return
    let written = 0
    if (!host.backlogged) {
      this.#fill(chain, 0, chain.readable, HEADER, length)
      // MSG_NOSIGNAL has no place in writev; Node ignores SIGPIPE for the whole process.
      const result = sys.writev(host.fd, this.#iovecs.address, this.#iovecs.count)
      if (result < 0 && result !== -sys.EAGAIN) {
        host.failed(result)
        return
      }
      written = Math.max(0, result)
    }
    if (written > 0) connection.onHostWritten(written)
    if (written < length && connection.mayKeep())
      host.hold(this.#rest(queue, chain, HEADER + written, length - written))
  }

  /** A copy of `length` bytes of the chain, after the first `skipped`. */
  #rest(queue: Queue, chain: Chain, skipped: number, length: number): Uint8Array {
    const rest = newCopy(length)
    let skip = skipped
    let done = 0
    for (let piece = 0; piece < chain.readable && done < length; piece++) {
      const there = chain.lengthAt(piece)
      const from = Math.min(skip, there)
      skip -= from
      const part = Math.min(there - from, length - done)
      if (part > 0) queue.memory.copyOut((chain.guestAddresses[piece] ?? 0) + from, part, rest, done)
      done += part
    }
    return rest.bytes
  }

  // ---- To the guest

  #settle(): void {
    this.#toGuest()
    this.#options.journal?.settle()
    const at = this.streams.pollAt()
    if (at !== this.#timer.deadline) this.#timer.at(at)
    // What held the guest's packets back may be over.
    if (!this.streams.congested && this.#rx !== undefined && this.#tx?.offers === true)
      this.#scope.defer(() => this.#resume())
  }

  #resume(): void {
    if (this.#tx !== undefined) this.onKick(this.#tx)
  }

  #toGuest(turn = TURN): void {
    const rx = this.#rx
    if (rx === undefined || this.#tx === undefined) return
    for (let left = turn; this.streams.wantsBuffer; left--) {
      if (left === 0) {
        this.#scope.defer(() => undefined) // another batch, when others had their turn
        break
      }
      const chain = rx.take()
      if (chain === undefined) {
        if (rx.wantKick()) continue
        break
      }
      const used = this.#pack(rx, chain)
      if (used === 0) {
        rx.untake()
        break
      }
      rx.give(chain.head, used)
    }
    rx.flush()
  }

  /** Puts one packet into the guest's buffer. Returns how many bytes it has; 0 where there was nothing after all. */
  #pack(rx: Queue, chain: Chain): number {
    for (;;) {
      const next = this.streams.next(this.#header.bytes, 0)
      if (next === undefined) return 0
      if (next === "sent") return this.#finish(rx, chain, 0)
      const read = this.#readFrom(next, chain)
      if (read > 0) {
        next.onHostRead(read, this.#header.bytes, 0)
        return this.#finish(rx, chain, read)
      }
    }
  }

  /** Reads of the host's socket behind the place of the header. Returns 0 where that brought nothing, and the connection knows why. */
  #readFrom(connection: Connection, chain: Chain): number {
    const host = this.#hosts.get(connection)
    const room = Math.min(connection.writable, chain.writableBytes - HEADER)
    if (host === undefined || room <= 0) {
      connection.onHostDrained()
      return 0
    }
    this.#fill(chain, chain.readable, chain.count, HEADER, room)
    const read = sys.readv(host.fd, this.#iovecs.address, this.#iovecs.count)
    if (read > 0) return read
    if (read === 0) connection.onHostEnd()
    else if (read === -sys.EAGAIN) connection.onHostDrained()
    else connection.onHostError()
    return 0
  }

  #finish(rx: Queue, chain: Chain, payload: number): number {
    chain.writeHead(rx.memory, this.#header, HEADER)
    return HEADER + payload
  }

  /** Fills the iovecs with `length` bytes of these pieces, after the first `skip`. */
  #fill(chain: Chain, from: number, to: number, skip: number, length: number): void {
    this.#iovecs.clear()
    let before = skip
    let left = length
    for (let piece = from; piece < to && left > 0; piece++) {
      const there = chain.lengthAt(piece)
      const start = Math.min(before, there)
      before -= start
      const part = Math.min(there - start, left)
      if (part > 0) this.#iovecs.push(chain.addressAt(piece) + start, part)
      left -= part
    }
  }
}
