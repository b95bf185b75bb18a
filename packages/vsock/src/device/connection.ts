/**
 * One stream between a guest's port and a host's socket: Virtual I/O Device 1.2, sections 5.10.6.3 and 5.10.6.5.
 *
 * Sans I/O: payload goes straight between the guest's memory and the host's socket, so only its length is seen here.
 * What came from the guest enters by `onPacket`, what happened at the host's socket by `onHost…`, what the guest is
 * to be told leaves by `emitControl` and `onHostRead`, what the host's socket is to do leaves by `HostSide`.
 * Control packets are bits, not a queue: however often one becomes due, each kind goes once, with what holds by then.
 *
 * @module
 */
import type { Counter } from "./counts.ts"
import { Credit } from "./credit.ts"
import type { End, Table } from "./host-side.ts"
import {
  CID_HOST,
  emit,
  OP_CREDIT_REQUEST,
  OP_CREDIT_UPDATE,
  OP_REQUEST,
  OP_RESPONSE,
  OP_RST,
  OP_RW,
  OP_SHUTDOWN,
  type Packet,
  type PacketView,
  packetView,
  SHUTDOWN_BOTH,
  SHUTDOWN_RECEIVE,
  SHUTDOWN_SEND,
} from "./packet.ts"
import { Place } from "./ring.ts"
import { type Event, next, type State } from "./state.ts"

/** Control packets that are due are bits `1 << op`; the lowest goes first, and RST stands alone. */
const REQUEST = 1 << OP_REQUEST
const RESPONSE = 1 << OP_RESPONSE
const RST = 1 << OP_RST
const SHUTDOWN = 1 << OP_SHUTDOWN
const CREDIT_UPDATE = 1 << OP_CREDIT_UPDATE
const CREDIT_REQUEST = 1 << OP_CREDIT_REQUEST

export interface ConnectionOptions {
  readonly origin: "guest" | "host"
  readonly guestPort: number
  readonly hostPort: number
  /** Receive buffer that the guest is told of: the driver holds at most so many bytes for this stream. */
  readonly bufAlloc: number
}

export class Connection {
  /** Who asked for the stream. */
  readonly origin: "guest" | "host"
  readonly guestPort: number
  readonly hostPort: number
  /** The driver's own: what it knows the host's socket by. */
  token = -1
  /** The table's own: its place among those that want a buffer, and among those with a deadline. */
  readonly turn: Place<Connection> = new Place(this)
  readonly wait: Place<Connection> = new Place(this)
  deadline: number = Number.POSITIVE_INFINITY

  readonly #table: Table
  readonly #credit: Credit
  readonly #header: PacketView = packetView()
  #state: State
  /** Control packets that are due. */
  #due = 0
  /** SHUTDOWN flags: what is over by the host's doing, what the guest said is over, what the host was told of that. */
  #local = 0
  #peer = 0
  #told = 0
  #hostOpen = true
  #hostReadable = false
  #creditAsked = false

  constructor(table: Table, options: ConnectionOptions) {
    this.origin = options.origin
    this.guestPort = options.guestPort
    this.hostPort = options.hostPort
    this.#table = table
    this.#credit = new Credit(options.bufAlloc)
    this.#state = options.origin === "guest" ? "requested" : "connecting"
    this.#header.srcCid = CID_HOST
    this.#header.srcPort = options.hostPort
    this.#header.dstCid = table.guestCid
    this.#header.dstPort = options.guestPort
  }

  get state(): State {
    return this.#state
  }

  /** Bytes received from the guest that `onHostWritten` has not reported yet. */
  get undelivered(): number {
    return this.#credit.undelivered
  }

  /** How many bytes of the host's may be put into buffers of the guest now. */
  get writable(): number {
    return this.#maySend() ? this.#credit.free : 0
  }

  /** Whether a buffer of the guest would be of use: for a control packet, or for bytes that the host has. */
  get wantsBuffer(): boolean {
    return this.#due !== 0 || (this.#hostReadable && this.writable > 0)
  }

  /** `3.1024 > 2.2376 established, undelivered 0`; who asked stands first. */
  toString(): string {
    const guest = `${this.#table.guestCid}.${this.guestPort}`
    const host = `${CID_HOST}.${this.hostPort}`
    const pair = this.origin === "guest" ? `${guest} > ${host}` : `${host} > ${guest}`
    return `${pair} ${this.#state}, undelivered ${this.undelivered}`
  }

  // ---- From the guest

  /** Begins, with the guest's request or by sending one: the table's own call. */
  begin(request: Packet | undefined): void {
    if (request === undefined) {
      this.#due |= REQUEST
      this.#wake()
    } else if (this.#credit.onPeer(request.bufAlloc, request.fwdCnt)) {
      this.#table.host.connect(this)
    } else {
      this.#hostOpen = false // the host's side never hears of it
      this.#violate("false-credit")
    }
  }

  /**
   * Takes a packet for this stream. True if its payload, all `packet.len` bytes of it, goes to the host's socket:
   * the driver writes them and reports with `onHostWritten`, and of what the socket did not take asks whether it
   * `mayKeep` it. `carried` is how many bytes really follow.
   */
  onPacket(packet: Packet, carried: number): boolean {
    if (packet.op === OP_RST) {
      this.#table.count("resets-in")
      this.#forget(this.#state === "connecting" || this.#state === "requested" ? "refused" : "reset")
      return false
    }
    if (this.#state === "resetting") {
      this.#table.count("after-reset")
      return false
    }
    if (!this.#credit.onPeer(packet.bufAlloc, packet.fwdCnt)) return this.#violate("false-credit")
    if (this.#credit.free > 0) this.#creditAsked = false
    const deliver = this.#receive(packet, carried)
    this.#wake()
    return deliver
  }

  #receive(packet: Packet, carried: number): boolean {
    switch (packet.op) {
      case OP_RW:
        return this.#onData(packet.len, carried)
      case OP_RESPONSE:
        return this.#onResponse()
      case OP_SHUTDOWN:
        return this.#onShutdown(packet.flags & SHUTDOWN_BOTH)
      case OP_CREDIT_UPDATE:
      case OP_CREDIT_REQUEST:
        return this.#onCredit(packet.op)
      case OP_REQUEST:
        return this.#violate("duplicate-request")
      default:
        this.#table.count("unknown-op")
        return false
    }
  }

  #onData(length: number, carried: number): boolean {
    if (!this.#isOpen()) return this.#violate("out-of-state")
    if (length === 0) {
      this.#table.count("empty-data")
      return false
    }
    if (length > carried) return this.#violate("short-payload")
    if ((this.#peer & SHUTDOWN_SEND) !== 0) return this.#violate("after-shutdown")
    if ((this.#local & SHUTDOWN_RECEIVE) !== 0) {
      // Sent before the guest read our SHUTDOWN: nobody is left to take it.
      this.#table.count("unwanted-data")
      return false
    }
    if (!this.#credit.onReceived(length)) return this.#violate("over-credit")
    this.#table.hold(length)
    return true
  }

  #onResponse(): boolean {
    if (this.#state !== "connecting" || (this.#due & REQUEST) !== 0) return this.#violate("unasked-response")
    this.#open()
    this.#table.host.opened(this)
    return false
  }

  #onShutdown(flags: number): boolean {
    if (!this.#isOpen()) return this.#violate("out-of-state")
    this.#peer |= flags
    if (this.#state === "established") this.#settle()
    // Both ends closed at the same time, and each waits for the other's RST.
    else if (this.#peer === SHUTDOWN_BOTH) this.#reset("closed")
    return false
  }

  #onCredit(op: number): boolean {
    // Linux tells of a changed buffer before it has our RESPONSE, too; that one tells our credit.
    if (this.#state === "requested") return false
    if (!this.#isOpen()) return this.#violate("out-of-state")
    if (op === OP_CREDIT_REQUEST) this.#due |= CREDIT_UPDATE
    return false
  }

  // ---- From the host's socket: nothing here does anything once `close` was called

  /** The host's socket is connected: the guest hears that its request was accepted. */
  accept(): void {
    if (this.#state !== "requested") return
    this.#due |= RESPONSE
    this.#open()
    this.#wake()
  }

  /** Nobody takes the guest's request. */
  refuse(): void {
    if (this.#state !== "requested") return
    this.#table.count("refused")
    this.#reset("failed")
  }

  /** The host's socket has bytes, or its end, to read. */
  onHostReadable(): void {
    if (!this.#hostOpen) return
    this.#hostReadable = true
    this.#wake()
  }

  /** It has none for now (EAGAIN). */
  onHostDrained(): void {
    this.#hostReadable = false
    this.#wake()
  }

  /**
   * `count` bytes of the host's were put behind the header at `at` in a buffer of the guest: writes that header.
   * They must be at least one and no more than `writable`.
   */
  onHostRead(count: number, bytes: Uint8Array, at: number): void {
    if (count < 1 || count > this.writable) {
      throw new RangeError(`${String(this)}: ${count} bytes read for a guest with room for ${this.writable}`)
    }
    this.#credit.onSent(count)
    this.#table.count("bytes-to-guest", count)
    this.#emit(OP_RW, count, bytes, at)
    this.#wake()
  }

  /** The host's socket took `count` of the undelivered bytes. */
  onHostWritten(count: number): void {
    if (!this.#hostOpen) return
    if (count < 0 || count > this.undelivered) {
      throw new RangeError(`${String(this)}: ${count} bytes written`)
    }
    this.#credit.onForwarded(count)
    this.#table.release(count)
    this.#table.count("bytes-to-host", count)
    if (this.#state === "established") this.#settle()
    else if (this.#state === "draining" && this.undelivered === 0) this.#drained("closed")
    this.#wake()
  }

  /**
   * Whether the bytes that the host's socket did not take may be kept. Where all streams together have too many of them, this one is reset, and
   * nothing of it is to be kept: one whose host reads never comes here, however full it is.
   */
  mayKeep(): boolean {
    if (!this.#hostOpen) return false
    return this.#table.hasRoom() || this.#violate("over-budget")
  }

  /** The host sends no more (end of file). */
  onHostEnd(): void {
    this.#hostReadable = false
    this.#endLocally(SHUTDOWN_SEND)
    this.#wake()
  }

  /** The host takes no more (EPIPE, EPOLLHUP). What it sent before can still be read. */
  onHostClosed(): void {
    if (this.#state === "draining") this.#drained("closed")
    else this.#endLocally(SHUTDOWN_RECEIVE)
    this.#wake()
  }

  /** The host's socket failed: the stream is cut off. */
  onHostError(): void {
    if (!this.#hostOpen) return
    this.#table.count("host-failed")
    if (this.#state === "draining") this.#drained("failed")
    else this.#reset("failed")
  }

  #endLocally(flag: number): void {
    if (!this.#hostOpen || (this.#local & flag) !== 0) return
    this.#local |= flag
    if (flag === SHUTDOWN_RECEIVE) this.#giveUp()
    if (this.#state === "established") {
      this.#due |= SHUTDOWN
      this.#settle()
    } else if (this.#state === "connecting" && this.#local === SHUTDOWN_BOTH) {
      this.#reset("closed")
    }
  }

  // ---- Ends

  /** Its deadline has passed: the table's own call. */
  onDeadline(): void {
    const lingering = this.#state === "lingering"
    this.#table.count(lingering ? "linger-timeout" : "connect-timeout")
    this.#reset("timeout")
  }

  /** Ends the stream and tells the guest. What was still undelivered is lost. */
  abort(): void {
    if (this.#state === "resetting" || this.#state === "ended") return
    this.#table.count("aborted")
    if (this.#state === "draining") this.#drained("gone")
    else this.#reset("gone")
  }

  /** The guest knows of no stream any more. One that it was never asked for waits for its successor. */
  onTransportReset(): void {
    if ((this.#due & REQUEST) === 0) this.#forget("gone")
  }

  #open(): void {
    this.#move("opened")
    this.#table.count("established")
    // What the host ended meanwhile.
    if (this.#local !== 0) this.#due |= SHUTDOWN
  }

  /** Tells the host's socket what is over for it. Once both directions are, so is the stream. */
  #settle(): void {
    const drained = (this.#peer & SHUTDOWN_SEND) !== 0 && this.undelivered === 0
    const inOver = drained || (this.#local & SHUTDOWN_RECEIVE) !== 0
    const outOver = ((this.#local & SHUTDOWN_SEND) | (this.#peer & SHUTDOWN_RECEIVE)) !== 0
    if (inOver && outOver) {
      this.#finish()
      return
    }
    const ended = (drained ? SHUTDOWN_SEND : 0) | (this.#peer & SHUTDOWN_RECEIVE)
    const news = ended & ~this.#told
    this.#told |= news
    // One at most: both would be the end of the stream.
    if ((news & SHUTDOWN_SEND) !== 0) this.#table.host.endWrites(this)
    else if ((news & SHUTDOWN_RECEIVE) !== 0) this.#table.host.endReads(this)
  }

  /** Clean disconnect: whoever hears that nothing goes either way any more answers with RST. */
  #finish(): void {
    if (this.#peer === SHUTDOWN_BOTH) {
      this.#reset("closed")
      return
    }
    this.#local = SHUTDOWN_BOTH
    this.#due = (this.#due & RESPONSE) | SHUTDOWN
    this.#move("finished")
    this.#closeHost("closed")
  }

  #violate(reason: Counter): false {
    this.#table.count(reason)
    this.#reset("violation")
    return false
  }

  /** Ends the stream from our side. */
  #reset(end: End): void {
    this.#giveUp()
    const unheard = (this.#due & REQUEST) !== 0
    this.#due = unheard ? 0 : RST
    this.#move(unheard ? "dropped" : "failed")
    this.#closeHost(end)
    this.#wake()
  }

  /** Ends the stream because the guest did, but not before the host has what the guest properly finished sending. */
  #forget(end: End): void {
    this.#due = 0
    if (this.#state === "established" && (this.#peer & SHUTDOWN_SEND) !== 0 && this.undelivered > 0) {
      this.#hostReadable = false
      this.#move("owing")
      if ((this.#told & SHUTDOWN_RECEIVE) === 0) this.#table.host.endReads(this)
      return
    }
    this.#giveUp()
    this.#move("forgotten")
    this.#closeHost(end)
  }

  /** Nothing is owed to the host any more, or it does not want it. */
  #drained(end: End): void {
    this.#giveUp()
    this.#move("drained")
    this.#closeHost(end)
  }

  /** Drops the bytes that no host will take. */
  #giveUp(): void {
    const count = this.undelivered
    this.#table.release(count)
    this.#credit.onForwarded(count)
  }

  #closeHost(end: End): void {
    if (!this.#hostOpen) return
    this.#hostOpen = false
    this.#hostReadable = false
    this.#table.host.close(this, end)
  }

  #move(event: Event): void {
    const from = this.#state
    const to = next(from, event)
    if (to === undefined) throw new Error(`${String(this)}: cannot be ${event}`)
    this.#state = to
    this.#table.moved(this, from, event)
  }

  // ---- To the guest

  /** Writes the control packet that is due next at `at`. False if there is none that cannot wait for data. */
  emitControl(bytes: Uint8Array, at: number): boolean {
    const bit = this.#due & -this.#due
    if (bit === 0) return false
    // Data tells the credit as well; and if there is none after all, this is asked again.
    if (bit === CREDIT_UPDATE && this.#hostReadable && this.writable > 0) return false
    this.#due &= ~bit
    this.#emit(31 - Math.clz32(bit), 0, bytes, at)
    if (bit === RST) {
      this.#table.count("resets-out")
      this.#move("told")
    }
    this.#wake()
    return true
  }

  #emit(op: number, length: number, bytes: Uint8Array, at: number): void {
    // Every packet tells the credit.
    this.#due &= ~CREDIT_UPDATE
    const header = this.#header
    header.op = op
    header.len = length
    header.flags = op === OP_SHUTDOWN ? this.#local : 0
    this.#credit.stamp(header)
    emit(header, bytes, at)
    this.#table.count("packets-out")
  }

  /** Finds out what the guest is to be told about credit, and asks for a buffer if there is anything to send. */
  #wake(): void {
    if (this.#state === "established") {
      const receiving = ((this.#peer & SHUTDOWN_SEND) | (this.#local & SHUTDOWN_RECEIVE)) === 0
      if (receiving && this.#credit.updateDue) this.#due |= CREDIT_UPDATE
      // Once each time the guest's room runs out while the host has more: not every guest tells unasked.
      if (this.#hostReadable && !this.#creditAsked && this.#maySend() && this.#credit.free === 0) {
        this.#creditAsked = true
        this.#due |= CREDIT_REQUEST
      }
    }
    if (this.wantsBuffer) this.#table.wake(this)
  }

  /** Apart from credit. */
  #maySend(): boolean {
    if (this.#state !== "established" || (this.#due & RESPONSE) !== 0) return false
    return ((this.#local & SHUTDOWN_SEND) | (this.#peer & SHUTDOWN_RECEIVE)) === 0
  }

  /** Neither before it began nor after its end. */
  #isOpen(): boolean {
    return this.#state === "established" || this.#state === "lingering"
  }
}
