/**
 * One TCP connection between a machine and the host: the guest's side is terminated here, the host's is a socket.
 *
 * ```
 *   guest ── segments ──► connection.process ── payload by address ──► gather ── one write a turn ──► host's socket
 *                                                        └─ too early ─► kept ◄─ not taken ─┘
 *   guest ◄── frames that were lent ◄──────────── peek, straight into them ─────────────────────────── host's socket
 *         ─── acknowledgement ─────────────────── discard ───────────────────────────────────────────►
 * ```
 *
 * What the guest has not acknowledged stays in the host's socket, so that nothing is copied for retransmission. What the host's socket does not
 * take is kept, up to the window that the guest was told. So each side feels the other's pace, and memory is bounded by both.
 *
 * A turn of the loop is: segments, `deliver`, `pump`, `acknowledge`.
 *
 * @module
 */
import { type Frame, type Outlet, Parts } from "@skep/link"
import type { Alarm } from "../host/clock.ts"
import type { HeapShare } from "../host/heap-share.ts"
import { EAGAIN, ECONNRESET, type HostStream, type StreamEvents } from "../host/host.ts"
import { Connection, type Segment } from "../tcp/connection.ts"
import { add } from "../tcp/seq.ts"
import type { Allowance } from "./allowance.ts"
import type { Ends } from "./ends.ts"
import { type GuestComplaint, type GuestError, segmentOf } from "./guest-error.ts"
import type { FlowKey, Keyed } from "./key.ts"
import { Segments } from "./segments.ts"
import type { TcpCounters } from "./tcp-counters.ts"
import { ToHost } from "./to-host.ts"

/** Rounds of one pump before other flows have their turn. */
const ROUNDS = 4

/** What flows share. */
export interface FlowContext {
  readonly counters: TcpCounters
  readonly now: () => number
  readonly alarm: (flow: TcpFlow, callback: () => void) => Alarm
  readonly nextId: () => number
  /** A number that nobody can guess. */
  readonly random32: () => number
  /** The flow has something for the host, for the guest, or an acknowledgement to give: before the turn ends. */
  readonly mark: (flow: TcpFlow) => void
  /** The link had no room: `pump` is to be called when it has. */
  readonly starved: (flow: TcpFlow) => void
  /** The host's side of a flow that the guest began stands, or never will (a positive error number). */
  readonly connected: (flow: TcpFlow) => void
  readonly failed: (flow: TcpFlow, errno: number) => void
  /** An exception in the flow, or in the driver of its stream: a bug of ours. */
  readonly fault: (flow: TcpFlow, error: unknown) => void
  /** Both streams have ended and the host's side is closed; late segments of the guest are still answered. */
  readonly rests: (flow: TcpFlow) => void
  /** Where payload is gathered in one turn: taken from here and put back. */
  readonly gathers: Parts[]
  /** The flow is over and has given up everything. */
  readonly ended: (flow: TcpFlow) => void
  readonly trace?: (flow: TcpFlow, text: string) => void
}

export interface TcpFlowOptions {
  readonly context: FlowContext
  readonly key: FlowKey
  readonly link: Outlet
  readonly ends: Ends
  /** Bytes kept at most for a host that does not read. */
  readonly capacity: number
  /** What the machine's flows may keep together. */
  readonly allowance: Allowance
  /** And what a driver may keep for them. */
  readonly share: HeapShare
}

export class TcpFlow implements Keyed, StreamEvents {
  chained: TcpFlow | undefined
  readonly key: FlowKey
  readonly link: Outlet
  readonly ends: Ends
  readonly share: HeapShare
  /** In one of the context's lists. */
  marked = false
  waiting = false
  /** Begun by the guest, and one of its sides does not stand yet. */
  connecting = false
  /** Grows with each flow of the thread. */
  readonly id: number
  /** Who began: "out" the guest, "in" a client of the host. */
  direction: "out" | "in" = "out"
  readonly since: number
  usedAt: number
  /** Bytes from the guest that the host took, and the other way round. */
  bytesOut = 0
  bytesIn = 0
  readonly #context: FlowContext
  readonly #capacity: number
  readonly #segments: Segments
  readonly #toHost: ToHost
  /** Bytes that the guest acknowledged in this turn. */
  #acknowledged = 0
  #alarm: Alarm | undefined
  #connection: Connection | undefined
  #stream: HostStream | undefined
  /** The host's socket may have more than was peeked at. */
  #readable = true
  /** The last that was peeked at fitted into a frame or a few. */
  #small = true
  #hostEnded = false
  /** The guest's stream has ended, and the host is to hear of it after the backlog. */
  #endDue = false
  #resting = false
  #ended = false

  constructor(options: TcpFlowOptions) {
    this.key = options.key
    this.link = options.link
    this.ends = options.ends
    this.share = options.share
    this.#context = options.context
    this.#capacity = options.capacity
    this.id = options.context.nextId()
    this.since = options.context.now()
    this.usedAt = this.since
    this.#segments = new Segments(options)
    const { context, link, capacity, allowance } = options
    const { gathers, counters } = context
    this.#toHost = new ToHost({ memory: link.memory, capacity, allowance, gathers, counters })
  }

  get connection(): Connection | undefined {
    return this.#connection
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Only its number is kept, for late segments of the guest (RFC 9293, section 3.6, TIME-WAIT). */
  get resting(): boolean {
    return this.#resting
  }

  /** Bytes that wait for the host's socket. */
  get keptBytes(): number {
    return this.#toHost.bytes
  }

  /** Bytes of the host's that the driver keeps until the guest has acknowledged them. */
  get backlogBytes(): number {
    return this.#stream?.keptBytes ?? 0
  }

  // ---- Beginning

  /** The host's side of a flow that the guest began. It may stand already. */
  attach(stream: HostStream): void {
    this.#stream = stream
    // A server mostly waits for the question, and tells where it does not.
    this.#readable = false
  }

  /** Answers the guest's SYN: the host's side stands. */
  answer(syn: Segment, now: number): void {
    this.#open(Connection.answer(syn, this.#connectionOptions(), now))
  }

  /** Calls the guest in the name of a client of the host, whose socket this is. */
  call(stream: HostStream, now: number): void {
    this.direction = "in"
    this.#stream = stream
    this.#open(Connection.call(this.#connectionOptions(), now))
  }

  // ---- From the guest

  /** Takes a segment; its payload is `length` bytes after the first `skip` of the frame, in memory that stays until the turn ends. */
  onSegment(segment: Segment, frame: Frame, skip: number, length: number): void {
    const connection = this.#connection
    if (connection === undefined) return // the host's side does not stand yet; the guest sends its SYN again
    this.usedAt = this.#context.now()
    const outcome = connection.process(segment, length, this.usedAt)
    if (outcome === "refused") {
      this.#context.counters.resetsSent++
      this.#segments.refuse(segment)
      return
    }
    if (outcome === "reset") return this.abort("guest")
    if (connection.arrival === "in-order") this.#takeInOrder(connection, frame, skip)
    else if (connection.arrival === "out-of-order") this.#holdEarly(connection, segment, frame, skip)
    this.#acknowledged += connection.acknowledged
    this.#context.mark(this)
  }

  #takeInOrder(connection: Connection, frame: Frame, skip: number): void {
    const { skip: known, take } = connection.receive
    this.#toHost.take(frame.parts, skip + known, take)
  }

  #holdEarly(connection: Connection, segment: Segment, frame: Frame, skip: number): void {
    const { skip: known, take } = connection.receive
    const start = add(segment.sequence, known)
    this.#context.counters.outOfOrder++
    if (!this.#toHost.hold(frame.parts, skip + known, take, start)) connection.receive.forget(start)
  }

  /** Hands on what came in this turn. */
  deliver(): void {
    const connection = this.#connection
    if (connection === undefined || this.#ended) return
    this.#discard()
    const written = this.#toHost.write(this.#stream, connection.receive)
    if (written < 0) return this.#hostFailed()
    this.bytesOut += written
    if (connection.takeFin()) this.#endDue = true
    if (this.keptBytes === 0) this.#endWrites(connection)
  }

  /** The host has all that the guest has sent so far. */
  #endWrites(connection: Connection): void {
    const { state } = connection
    if (state === "closed") this.#end()
    else if (state === "time-wait") this.#rest()
    else if (this.#endDue) {
      this.#endDue = false
      this.#stream?.endWrites()
    }
  }

  /** Takes from the host what the guest has. Once a turn: it is a system call, and guests acknowledge every other segment. */
  #discard(): void {
    if (this.#acknowledged === 0) return
    this.#stream?.discard(this.#acknowledged)
    this.bytesIn += this.#acknowledged
    this.#acknowledged = 0
  }

  // ---- To the guest

  /** Sends what the host has and the guest's window takes. Returns "more" where others are to have their turn first. */
  pump(): "done" | "more" {
    const connection = this.#connection
    if (connection === undefined || this.#ended) return "done"
    if (connection.synDue) this.#segments.sendSyn(connection, this.#context.now())
    if (connection.probeDue) this.#probe(connection)
    if (!connection.sends) return "done"
    for (let left = ROUNDS; left > 0 && !this.ended; left--) {
      const wanted = connection.send.next()
      if (wanted === "nothing") return this.#nothingFits(connection)
      if (wanted === "fin") {
        if (!this.#segments.sendFin(connection, this.#window(connection), this.#context.now())) return "done"
      } else {
        if (!connection.send.again && !this.#readable) return this.#noMore(connection)
        const result = this.#sendData(connection)
        if (result === "no-room") return "done"
        if (result === "empty") return this.#noMore(connection)
      }
    }
    return "more"
  }

  /** Acknowledges what no data has acknowledged. The last step of a turn. */
  acknowledge(): void {
    const connection = this.#connection
    if (connection === undefined || this.#ended) return
    const now = this.#context.now()
    if (connection.ackIsDue(now) || connection.keepAliveDue || this.#windowIsWorthTelling(connection))
      this.#segments.sendAck(connection, this.#window(connection), now)
    this.#setAlarm(connection)
  }

  #nothingFits(connection: Connection): "done" {
    if (this.#readable && !this.#hostEnded && connection.send.window <= connection.send.inFlight)
      connection.send.blocked(this.#context.now())
    return "done"
  }

  #noMore(connection: Connection): "done" {
    connection.send.drained()
    return "done"
  }

  /** One read from the host's socket into the frames that the link lends, then their headers. */
  #sendData(connection: Connection): "sent" | "empty" | "no-room" {
    const { send } = connection
    const { link } = this
    const { from, room } = send
    const most = this.#segments.frameMost(connection)
    const lent = this.#segments.lend(room, most, this.#small)
    const read =
      lent === 0 ? -EAGAIN : (this.#stream?.peek(link.lent, connection.offsetOf(from)) ?? -ECONNRESET)
    if (read > 0) this.#segments.use(connection, from, read, most, this.#window(connection))
    link.unlend()
    if (lent === 0) {
      this.#context.starved(this)
      return "no-room"
    }
    if (read > 0) {
      this.#small = this.#small ? read < lent : read <= most
      return this.#sent(connection, read, lent)
    }
    if (read === 0) {
      this.#hostHasEnded(connection)
      return "sent"
    }
    if (read === -EAGAIN) this.#readable = false
    else this.#hostFailed()
    return "empty"
  }

  #sent(connection: Connection, read: number, lent: number): "sent" {
    const { send } = connection
    if (send.again) this.#context.counters.retransmittedBytes += read
    else if (read < lent) this.#readable = false
    const now = this.#context.now()
    send.sent(send.from, read, now)
    connection.acknowledges(true, now)
    return "sent"
  }

  #hostHasEnded(connection: Connection): void {
    this.#hostEnded = true
    this.#readable = false
    connection.endAfter(0)
  }

  #window(connection: Connection): number {
    return connection.receive.window(Math.max(0, this.#capacity - this.keptBytes), connection.send.segment)
  }

  #probe(connection: Connection): void {
    connection.probeDue = false
    const stream = this.#stream
    if (stream === undefined) return
    if (this.#segments.probe(connection, stream, this.#window(connection), this.#context.now()))
      this.#context.counters.windowProbes++
  }

  /** The backlog is gone and the guest knows of a window that is much smaller. */
  #windowIsWorthTelling(connection: Connection): boolean {
    if (!connection.receives) return false
    const largest = Math.min(this.#capacity, connection.receive.largest)
    const free = this.#capacity - this.keptBytes
    return connection.receive.room < largest / 4 && free > largest / 2
  }

  // ---- Time

  #setAlarm(connection: Connection): void {
    const at = connection.pollAt
    this.#alarm ??= this.#context.alarm(this, () => this.#onAlarm())
    if (at !== this.#alarm.deadline) this.#alarm.at(at)
  }

  #onAlarm(): void {
    const connection = this.#connection
    if (connection === undefined || this.#ended) return
    if (connection.onTimer(this.#context.now()) === "dead") {
      this.#context.counters.givenUp++
      this.#reset(connection)
      this.abort("given up")
    } else if (connection.state === "closed" && this.keptBytes === 0) this.#end()
    else this.#context.mark(this)
  }

  /** The guest says that a segment did not arrive. */
  onGuestError({ told, mtu, sequence }: GuestError): GuestComplaint {
    const connection = this.#connection
    if (connection?.send.isUnderWay(sequence) !== true) return "unproved"
    if (told === "too-big") {
      const segment = segmentOf(mtu, this.ends.guest.length === 4)
      if (!connection.sends || !connection.send.shrink(segment)) return "soft"
      this.#context.mark(this)
      return "shrunk"
    }
    // RFC 5927, section 5: only before the connection stands.
    if (told === "other" || connection.state !== "syn-sent") return "soft"
    this.abort("guest")
    return "ended"
  }

  // ---- The host's side

  onConnected(): void {
    this.#context.connected(this)
  }

  onFailed(errno: number): void {
    this.#context.failed(this, errno)
  }

  onReadable(): void {
    this.#readable = true
    this.#context.mark(this)
  }

  onWritable(): void {
    this.#context.mark(this)
  }

  onFault(error: unknown): void {
    this.#context.fault(this, error)
  }

  #hostFailed(): void {
    const connection = this.#connection
    this.#context.counters.hostResets++
    if (connection !== undefined) this.#reset(connection)
    this.abort("host")
  }

  // ---- The end

  /** Ends both sides at once. The guest hears of it by a reset where one is still due: `reset`. */
  abort(why: "guest" | "host" | "given up" | "stopped"): void {
    if (this.#ended) return
    this.#context.trace?.(this, `aborted (${why})`)
    this.#connection?.reset()
    this.#stream?.abort()
    this.#release()
  }

  /** Resets the guest's side and ends the flow. */
  reset(): void {
    if (this.#ended) return
    if (this.#connection !== undefined) this.#reset(this.#connection)
    this.abort("stopped")
  }

  /** Ends a flow in which something threw, as far as that can be done: nothing about it can be relied on any more. */
  drop(): void {
    const steps = [() => this.link.unlend(), () => this.reset(), () => this.#stream?.abort()]
    for (const step of steps) {
      try {
        step()
      } catch {
        // The exception that counts is the one before, which is told.
      }
    }
    if (!this.#ended) this.#release()
  }

  /** Nothing more comes and nothing more goes out: the host's side is not needed to say so. */
  #rest(): void {
    if (this.#resting) return
    this.#resting = true
    this.#stream?.close()
    this.#stream = undefined
    this.#context.rests(this)
  }

  #end(): void {
    if (this.#ended) return
    this.#stream?.close()
    this.#release()
  }

  #release(): void {
    this.#ended = true
    this.#context.ended(this)
    this.#alarm?.cancel()
    this.#toHost.clear()
  }

  #reset(connection: Connection): void {
    if (connection.state === "syn-sent" || connection.state === "closed") return
    this.#segments.reset(connection)
    this.#context.counters.resetsSent++
  }

  #open(connection: Connection): void {
    this.#connection = connection
    this.#context.mark(this)
  }

  #connectionOptions() {
    const { trace } = this.#context
    return {
      initial: this.#context.random32(),
      mss: this.#segments.mss,
      capacity: this.#capacity,
      ...(trace === undefined
        ? {}
        : {
            onState: (from: string, to: string, event: string) => trace(this, `${from} -> ${to} (${event})`),
          }),
    }
  }
}
