/**
 * One association of datagrams: a guest's address and port, and whom it talks to (UDP; for echo requests the identifier is the port).
 *
 * Nothing is kept: a datagram that one side cannot take is lost, as it may be on any network (RFC 768), and the association ends when it was idle
 * for a while (RFC 4787, section 4.3).
 *
 * @module
 */
import { type Frame, type Outlet, Parts } from "@skep/link"
import { PROTOCOL_UDP } from "@skep/wire/ip"
import { type DatagramEvents, type DatagramSocket, EAGAIN } from "../host/host.ts"
import { DatagramHeaders } from "./datagram-headers.ts"
import type { DatagramRun } from "./datagram-run.ts"
import type { Ends } from "./ends.ts"
import type { FlowKey, Keyed } from "./key.ts"

/** Datagrams of one socket before others have their turn. */
const TURN = 64
/** Datagrams of the guest that go on by one call. */
const GATHERED = 64

export interface DatagramContext {
  /** Where a datagram of up to `room` bytes lies that somebody else received, in the link's memory. */
  readonly buffer: number
  readonly room: number
  /** Where datagrams are received; from `buffer` on too. */
  readonly run: DatagramRun
  readonly now: () => number
  readonly nextId: () => number
  /**
   * Hands one datagram on to the guest: cut where the link's MTU wants it, dropped where there is no room. With a `segmentSize` it is many, for a link
   * that cuts them apart.
   */
  readonly toGuest: (flow: DatagramFlow, payload: Parts, segmentSize: number) => void
  /** The host says that one of the guest's datagrams did not arrive: a positive error number. */
  readonly failed: (flow: DatagramFlow, errno: number) => void
  /** An exception in the association, or in the driver of its socket: a bug of ours. */
  readonly fault: (flow: DatagramFlow, error: unknown) => void
  /** Datagrams wait for `flush`, which is to come before the turn of the guest's link is over. */
  readonly gathering: (flow: DatagramFlow) => void
  /** There is more in the socket than this turn could take. */
  readonly again: (flow: DatagramFlow) => void
}

export class DatagramFlow implements Keyed, DatagramEvents {
  chained: DatagramFlow | undefined
  readonly key: FlowKey
  readonly link: Outlet
  readonly ends: Ends
  readonly protocol: number
  readonly headers: DatagramHeaders
  /** Grows with each flow of the thread. */
  readonly id: number
  /** Who began: "out" the guest, "in" a client of the host. */
  direction: "out" | "in" = "out"
  readonly since: number
  usedAt: number
  /** Bytes of payload, from the guest and to it. */
  bytesOut = 0
  bytesIn = 0
  /** Whether the side that did not begin has ever said anything. */
  answered = false
  /** Counted among those that nobody has answered. */
  isAlone = false
  sent = 0
  received = 0
  /** The beginning of the guest's last packet, for an ICMP error about it. */
  quote: Uint8Array = new Uint8Array(0)
  readonly #context: DatagramContext
  readonly #payload = new Parts()
  /** Datagrams of this turn, one a piece. */
  readonly #gathered = new Parts()
  #socket: DatagramSocket | undefined

  constructor(context: DatagramContext, key: FlowKey, link: Outlet, ends: Ends, protocol: number) {
    this.#context = context
    this.key = key
    this.link = link
    this.ends = ends
    this.protocol = protocol
    this.headers = new DatagramHeaders(ends, protocol)
    this.id = context.nextId()
    this.since = context.now()
    this.usedAt = this.since
  }

  attach(socket: DatagramSocket): void {
    this.#socket = socket
  }

  /** Takes a datagram of the guest: `length` bytes after the first `skip` of the frame. It goes on at `flush`. */
  fromGuest(frame: Frame, skip: number, length: number): void {
    this.usedAt = this.#context.now()
    if (this.direction === "in") this.answered = true
    this.sent++
    this.bytesOut += length
    const payload = this.#payload
    const gathered = this.#gathered
    payload.clear()
    payload.append(frame.parts, skip, length)
    if (payload.count !== 1) {
      // In pieces, or empty: by itself, after those before it.
      this.flush()
      this.#sent(this.#socket?.send(payload) ?? 0)
      return
    }
    if (gathered.count === 0) this.#context.gathering(this)
    gathered.push(payload.addressAt(0), payload.lengthAt(0))
    if (gathered.count === GATHERED) this.flush()
  }

  /** Sends what was gathered. */
  flush(): void {
    const gathered = this.#gathered
    if (gathered.count === 0) return
    const socket = this.#socket
    const result = (gathered.count === 1 ? socket?.send(gathered) : socket?.sendEach(gathered)) ?? 0
    gathered.clear()
    this.#sent(result)
  }

  /** Forgets what was gathered: its memory is no more. */
  drop(): void {
    this.#gathered.clear()
  }

  onReadable(): void {
    try {
      this.#receive()
    } catch (error) {
      this.#context.run.clear()
      this.#context.fault(this, error)
    }
  }

  /** Hands on a datagram of `length` bytes that lies in the context's buffer. */
  deliver(length: number): void {
    try {
      this.#deliver(this.#context.buffer, length, 0)
    } catch (error) {
      this.#context.fault(this, error)
    }
  }

  close(): void {
    const socket = this.#socket
    this.#socket = undefined
    socket?.close()
  }

  /** Where the link cuts UDP, datagrams of one size go to it as one frame: one call for all of them. */
  #receive(): void {
    const { run, room } = this.#context
    const cuts = this.protocol === PROTOCOL_UDP && this.link.offloads.udp === true
    const sizeMax = cuts ? this.link.mtu - this.headers.packetLength(0) : 0
    run.clear()
    for (let left = TURN; left > 0; left--) {
      const length = this.#socket?.receive(run.end, room) ?? -EAGAIN
      if (length < 0) {
        this.#handOn()
        if (length === -EAGAIN) return
        this.#context.failed(this, -length)
        continue
      }
      if (!run.takes(length)) this.#handOn()
      if (run.add(length, sizeMax)) continue
      this.#handOn()
      run.clear()
    }
    this.#handOn()
    this.#context.again(this)
  }

  #handOn(): void {
    const { run } = this.#context
    if (run.count > 0) this.#deliver(run.start, run.bytes, run.count === 1 ? 0 : run.size)
    run.next()
  }

  #deliver(at: number, length: number, segmentSize: number): void {
    this.usedAt = this.#context.now()
    if (this.direction === "out") this.answered = true
    this.received += segmentSize === 0 ? 1 : Math.ceil(length / segmentSize)
    this.bytesIn += length
    this.#payload.clear()
    this.#payload.push(at, length)
    this.#context.toGuest(this, this.#payload, segmentSize)
  }

  #sent(result: number): void {
    if (result < 0 && result !== -EAGAIN) this.#context.failed(this, -result)
  }
}
