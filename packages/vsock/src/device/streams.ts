/**
 * All streams of one device: who is addressed by a packet, whose turn a buffer of the guest is, who waits too long.
 * Virtual I/O Device 1.2, section 5.10.6 (Socket Device, Device Operation).
 *
 * **After a restart.** Streams live in this process. When it ends without `abort` (SIGKILL), the guest still believes
 * in them. The specification has an event for that, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET (section 5.10.6.7), by which a
 * guest shuts down all its connections. But the event queue belongs to whoever emulates the device: QEMU hands only
 * rx and tx to a vhost-user back end and sends the event itself, after a migration. So the pairs of all streams are in
 * a journal that outlives the process, and whoever comes after it owes each of those *orphans* a RST: a guest that only
 * listens would wait for ever otherwise. The same holds when the front end is gone (`detach`), since a keeper may have
 * let go of us while its guest lives on. A guest that restarted knows nothing, and the driver says so by
 * `transportReset`.
 *
 * @module
 */
import { Connection } from "./connection.ts"
import { type Counter, Counts } from "./counts.ts"
import type { HostSide, Table } from "./host-side.ts"
import { type Journal, NO_JOURNAL, type Pair } from "./journal.ts"
import {
  CID_HOST,
  emit,
  type Malformed,
  OP_REQUEST,
  OP_RST,
  type Packet,
  type PacketView,
  packetView,
  TYPE_STREAM,
} from "./packet.ts"
import { Pairs } from "./pairs.ts"
import { Ring } from "./ring.ts"
import type { Event, State } from "./state.ts"

/** Host ports for streams that the host asks for, as Firecracker has them: far from those that services use. */
export const HOST_PORT_FIRST = 0x4000_0000
export const HOST_PORT_LAST = 0x7fff_ffff

export interface StreamLimits {
  /** Streams at a time, in any state. */
  readonly maxStreams: number
  /** Receive buffer of each stream, told to the guest as buf_alloc. */
  readonly bufferBytes: number
  /** Bytes of all streams together that may wait for the host's sockets; the stream that passes it is reset. */
  readonly maxHeldBytes: number
  /** Replies to packets that belong to no stream, remembered until the guest gives buffers for them. */
  readonly maxReplies: number
  /** How long a request may stay unanswered. */
  readonly connectMs: number
  /** How long after a clean disconnect to wait for the guest's RST; HyperKit's 30 s. */
  readonly lingerMs: number
}

export const DEFAULT_LIMITS: StreamLimits = {
  maxStreams: 8192,
  bufferBytes: 262_144,
  maxHeldBytes: 268_435_456,
  maxReplies: 1024,
  connectMs: 5000,
  lingerMs: 30_000,
}

export interface StreamsOptions {
  readonly guestCid: number
  readonly host: HostSide
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
  readonly limits?: Partial<StreamLimits>
  /** Where to begin giving out host ports: anew at each start, so that a guest has long forgotten those that come again. */
  readonly firstHostPort?: number
  /** See "After a restart"; none is kept unless told. */
  readonly journal?: Journal
  /** Hears of each change of state, as one line. */
  readonly trace?: (line: string) => void
}

/** A RST for a packet that belongs to no stream. */
interface Reply {
  readonly guestPort: number
  readonly hostPort: number
  readonly type: number
}

export class Streams {
  readonly limits: StreamLimits
  readonly #guestCid: number
  readonly #now: () => number
  readonly #trace: ((line: string) => void) | undefined
  readonly #table: Table
  readonly #counts: Counts = new Counts()
  /** Every stream that the guest may know of. */
  readonly #pairs: Pairs<Connection> = new Pairs()
  /** Those that only the host still knows of. */
  readonly #draining: Set<Connection> = new Set()
  /** Those that want a buffer of the guest, in the order of their turns. */
  readonly #turns: Ring<Connection> = new Ring()
  /** Those with a deadline. Each list has one time span, so its order is that of the deadlines. */
  readonly #opening: Ring<Connection> = new Ring()
  readonly #lingering: Ring<Connection> = new Ring()
  readonly #replies: Map<string, Reply> = new Map()
  readonly #journal: Journal
  /** Streams of an earlier device, or from before a `detach`, of which the guest has not yet heard the end. */
  readonly #orphans: Map<string, Reply> = new Map()
  #detaching = false
  readonly #reply: PacketView = packetView()
  #repliedLast = false
  #held = 0
  #hostPort: number

  constructor(options: StreamsOptions) {
    this.limits = { ...DEFAULT_LIMITS, ...options.limits }
    this.#guestCid = options.guestCid
    this.#now = options.now
    this.#trace = options.trace
    this.#hostPort = options.firstHostPort ?? HOST_PORT_FIRST
    this.#journal = options.journal ?? NO_JOURNAL
    for (const pair of this.#journal.left) this.#orphan(pair)
    this.#table = {
      guestCid: options.guestCid,
      host: options.host,
      count: (name, by) => this.#counts.add(name, by),
      hold: (bytes) => {
        this.#held += bytes
      },
      hasRoom: () => this.#held <= this.limits.maxHeldBytes,
      release: (bytes) => {
        this.#held -= bytes
      },
      moved: (connection, from, event) => this.#moved(connection, from, event),
      wake: (connection) => this.#turns.add(connection.turn),
    }
  }

  /** Streams at this moment, in any state. */
  get size(): number {
    return this.#pairs.size + this.#draining.size
  }

  /** Bytes that wait for the host's sockets. */
  get heldBytes(): number {
    return this.#held
  }

  /**
   * The guest takes no buffers but goes on sending: take no more packets from it until this is over. Section
   * 5.10.6.1 (Virtqueue Flow Control) allows that once resources outside the virtqueues are used up.
   */
  get congested(): boolean {
    return this.#replies.size >= this.limits.maxReplies
  }

  /** Whether `next` has something for a buffer of the guest. */
  get wantsBuffer(): boolean {
    return this.#turns.size > 0 || this.#owesResets
  }

  /** Streams that are over, while the guest may still believe in them. */
  get orphans(): number {
    return this.#orphans.size
  }

  counts(): Readonly<Record<Counter, number>> {
    return this.#counts.snapshot()
  }

  /** The streams at this moment, for the status. */
  connections(): readonly Connection[] {
    return [...this.#pairs.values(), ...this.#draining]
  }

  /**
   * Takes a packet of the guest; `carried` is how many bytes follow its header. The answer is the stream whose host
   * gets all `packet.len` bytes of the payload; otherwise nobody does.
   */
  onPacket(packet: Packet, carried: number): Connection | undefined {
    this.#counts.add("packets-in")
    if (packet.srcCid !== this.#guestCid) return this.#drop("wrong-source")
    if (packet.dstCid !== CID_HOST) return this.#drop("wrong-destination")
    // Section 5.10.6.4: a RST reply MUST be sent if a packet is received with an unknown type value.
    if (packet.type !== TYPE_STREAM) return this.#refuse(packet, "unknown-type")
    const connection = this.#pairs.get(packet.srcPort, packet.dstPort)
    if (connection !== undefined) return connection.onPacket(packet, carried) ? connection : undefined
    if (packet.op !== OP_REQUEST) return this.#refuse(packet, "unknown-stream")
    if (this.#isFull) return this.#refuse(packet, "over-limit")
    this.#counts.add("guest-connects")
    // A RST that is still due to this pair would hit the new stream.
    this.#replies.delete(keyOf(packet))
    this.#orphans.delete(keyOf(packet))
    this.#begin("guest", packet.srcPort, packet.dstPort, packet)
    return undefined
  }

  /** Counts a packet that is none. */
  onMalformed(reason: Malformed): void {
    this.#counts.add("packets-in")
    this.#counts.add(reason)
  }

  /** Asks the guest for a stream to `guestPort`. */
  connect(guestPort: number): Connection | "over-limit" {
    if (this.#isFull) {
      this.#counts.add("over-limit")
      return "over-limit"
    }
    this.#counts.add("host-connects")
    return this.#begin("host", guestPort, this.#freeHostPort(guestPort), undefined)
  }

  /**
   * What to do with one buffer of the guest, header at `at`. "sent": a packet of HEADER bytes was written there. A
   * connection: read up to its `writable` bytes of its host behind the header, and call one of its `onHostRead`,
   * `onHostDrained`, `onHostEnd` and `onHostError`, by which it gets its next turn. Undefined: nothing.
   *
   * Streams take turns, and so do they with replies to packets of no stream: nobody starves.
   */
  next(bytes: Uint8Array, at: number): "sent" | Connection | undefined {
    if (this.#owesResets && (!this.#repliedLast || this.#turns.size === 0)) {
      this.#repliedLast = true
      this.#emitReset(bytes, at)
      return "sent"
    }
    this.#repliedLast = false
    for (let stream = this.#turns.shift(); stream !== undefined; stream = this.#turns.shift()) {
      if (stream.emitControl(bytes, at)) return "sent"
      if (stream.wantsBuffer) return stream
    }
    return undefined
  }

  /** When `onTimer` next wants to be called; infinity if never. */
  pollAt(): number {
    const opening = this.#opening.first?.deadline ?? Number.POSITIVE_INFINITY
    const lingering = this.#lingering.first?.deadline ?? Number.POSITIVE_INFINITY
    return Math.min(opening, lingering)
  }

  /** Ends what has waited too long. */
  onTimer(): void {
    const now = this.#now()
    for (const ring of [this.#opening, this.#lingering]) {
      // Whoever's deadline is over leaves the ring, so this ends.
      for (let first = ring.first; first !== undefined && first.deadline <= now; first = ring.first) {
        first.onDeadline()
      }
    }
  }

  /** The guest restarted: it knows of no stream any more. What it finished sending still goes out. */
  transportReset(): void {
    this.#replies.clear()
    for (const pair of this.#orphans.values()) this.#journal.close(pair)
    this.#orphans.clear()
    for (const connection of this.#pairs.values()) connection.onTransportReset()
  }

  /**
   * The guest can be reached no more, and whether it lives is not known: all streams end for the host, and become orphans for the guest. What it
   * finished sending still goes out.
   */
  detach(): void {
    this.#detaching = true
    for (const connection of this.#pairs.values()) connection.onTransportReset()
    this.#detaching = false
  }

  /** Ends all streams; the guest hears of it as long as `next` is called. */
  abort(): void {
    for (const connection of this.connections()) connection.abort()
  }

  #begin(
    origin: "guest" | "host",
    guestPort: number,
    hostPort: number,
    request: Packet | undefined,
  ): Connection {
    const connection = new Connection(this.#table, {
      origin,
      guestPort,
      hostPort,
      bufAlloc: this.limits.bufferBytes,
    })
    this.#pairs.set(guestPort, hostPort, connection)
    this.#journal.open(connection)
    connection.deadline = this.#now() + this.limits.connectMs
    this.#opening.add(connection.wait)
    connection.begin(request)
    return connection
  }

  #moved(connection: Connection, from: State, event: Event): void {
    const to = connection.state
    this.#trace?.(`${String(connection)}, was ${from} (${event})`)
    if (from === "requested" || from === "connecting") this.#opening.remove(connection.wait)
    if (from === "lingering") this.#lingering.remove(connection.wait)
    if (to === "lingering") {
      connection.deadline = this.#now() + this.limits.lingerMs
      this.#lingering.add(connection.wait)
    }
    if (from === "draining") this.#draining.delete(connection)
    else if (to === "draining" || to === "ended") {
      this.#pairs.delete(connection.guestPort, connection.hostPort)
      if (this.#detaching) this.#orphan(connection)
      else this.#journal.close(connection)
      this.#turns.remove(connection.turn)
    }
    if (to === "draining") this.#draining.add(connection)
  }

  get #isFull(): boolean {
    return this.size + this.#orphans.size >= this.limits.maxStreams
  }

  get #owesResets(): boolean {
    return this.#replies.size > 0 || this.#orphans.size > 0
  }

  #orphan({ guestPort, hostPort }: Pair): void {
    const reply = { guestPort, hostPort, type: TYPE_STREAM }
    this.#orphans.set(keyOf({ srcPort: guestPort, dstPort: hostPort, type: TYPE_STREAM }), reply)
  }

  #drop(reason: Counter): undefined {
    this.#counts.add(reason)
  }

  /** Answers a packet of no stream with RST, unless it is one. Several of the same pair get one answer. */
  #refuse(packet: Packet, reason: Counter): undefined {
    const key = keyOf(packet)
    if (packet.op === OP_RST) {
      this.#counts.add("resets-in")
      const orphan = this.#orphans.get(key)
      if (orphan !== undefined) this.#journal.close(orphan)
      this.#orphans.delete(key)
      return
    }
    this.#counts.add(reason)
    if (this.#replies.has(key) || this.#orphans.has(key)) return
    if (this.congested) {
      this.#counts.add("reset-lost")
      return
    }
    this.#replies.set(key, { guestPort: packet.srcPort, hostPort: packet.dstPort, type: packet.type })
  }

  /** Of the resets that are owed: one to a packet of no stream, else one to an orphan. */
  #emitReset(bytes: Uint8Array, at: number): void {
    const owed = this.#replies.size > 0 ? this.#replies : this.#orphans
    for (const [key, { guestPort, hostPort, type }] of owed) {
      owed.delete(key)
      if (owed === this.#orphans) {
        this.#journal.close({ guestPort, hostPort })
        this.#counts.add("orphans")
      }
      const reply = this.#reply
      reply.srcCid = CID_HOST
      reply.srcPort = hostPort
      reply.dstCid = this.#guestCid
      reply.dstPort = guestPort
      reply.type = type
      reply.op = OP_RST
      emit(reply, bytes, at)
      this.#counts.add("packets-out")
      this.#counts.add("resets-out")
      return
    }
  }

  #freeHostPort(guestPort: number): number {
    for (;;) {
      const port = this.#hostPort
      this.#hostPort = port >= HOST_PORT_LAST ? HOST_PORT_FIRST : port + 1
      const orphan = this.#orphans.has(keyOf({ srcPort: guestPort, dstPort: port, type: TYPE_STREAM }))
      if (!orphan && this.#pairs.get(guestPort, port) === undefined) return port
    }
  }
}

function keyOf(packet: Pick<Packet, "srcPort" | "dstPort" | "type">): string {
  return `${packet.srcPort}.${packet.dstPort}.${packet.type}`
}
