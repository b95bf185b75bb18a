/**
 * The segments of one connection, put onto its machine's link: headers, checksums, and what each kind has to say.
 *
 * @module
 */
import type { Outlet } from "@skep/link"
import type { HostStream } from "../host/host.ts"
import { ACK, type Connection, FIN, PSH, RST, type Segment, SYN } from "../tcp/connection.ts"
import type { Range } from "../tcp/ranges.ts"
import { add } from "../tcp/seq.ts"
import type { Ends } from "./ends.ts"
import { TcpHeaders } from "./tcp-headers.ts"

/** What one IP packet holds, less its headers with all options. */
const PACKET_MOST = 65_535 - 100
/** Frames that are lent at once where the link cuts segments, and where it does not. */
const FRAMES_CUT = 8
const FRAMES_UNCUT = 44
/** The same where little is expected: each frame that is lent and not used costs. */
const FEW_CUT = 1
const FEW_UNCUT = 4
const IPV4_AND_TCP = 40
const IPV6_AND_TCP = 60

/** Filled anew for each segment. */
const BLOCKS: Range[] = []

export interface SegmentsOptions {
  readonly link: Outlet
  readonly ends: Ends
  /** Bytes kept at most for a host that does not read. */
  readonly capacity: number
}

export class Segments {
  readonly #link: Outlet
  readonly #v4: boolean
  readonly #capacity: number
  readonly #headers: TcpHeaders
  /** Frames of the last `lend`. */
  #frames = 0

  constructor({ link, ends, capacity }: SegmentsOptions) {
    this.#link = link
    this.#v4 = ends.guest.length === 4
    this.#capacity = capacity
    this.#headers = new TcpHeaders(ends)
  }

  /** The payload of the largest segment that the link takes uncut. */
  get mss(): number {
    return this.#link.mtu - (this.#v4 ? IPV4_AND_TCP : IPV6_AND_TCP)
  }

  /** The payload of the largest frame: several segments, where the link cuts them. */
  frameMost(connection: Connection): number {
    const { segment } = connection.send
    return this.#cuts ? Math.max(1, Math.floor(PACKET_MOST / segment)) * segment : segment
  }

  /** Takes frames for up to `room` bytes, each of `most`; a `few` only where that is likely to do. Returns how many bytes they hold. */
  lend(room: number, most: number, few: boolean): number {
    let lent = 0
    this.#frames = 0
    for (let left = this.#framesFor(few); left > 0 && lent < room; left--) {
      const payload = Math.min(most, room - lent)
      if (!this.#link.lend(this.#headers.length, payload)) break
      this.#frames++
      lent += payload
    }
    return lent
  }

  /** Sends `read` bytes of the stream, which lie in the frames that were lent, from the sequence number `from` on. */
  use(connection: Connection, from: number, read: number, most: number, window: number): void {
    const link = this.#link
    const headers = this.#headers
    const { bytes, offload } = headers
    const runs = this.#runs(read, most)
    let common = 0
    for (let done = 0, index = 0; done < read; index++) {
      const sequence = add(from, done)
      const payload = Math.min(most, read - done)
      const flags = done + payload === read ? ACK | PSH : ACK
      if (runs && done > 0 && payload === most) {
        if (index === 1) common = headers.run(most)
        headers.advance(sequence, flags, common + link.memory.sum(link.lent.addressAt(index), most, 0))
      } else {
        headers.put({ sequence, acknowledgement: connection.receive.next, flags, window })
        headers.finish(link, connection.send.segment, payload, link.lent, done)
      }
      link.use(bytes, 0, headers.length, payload, offload)
      done += payload
    }
  }

  sendSyn(connection: Connection, now: number): void {
    const calls = connection.state === "syn-sent"
    const window = connection.receive.firstWindow(this.#capacity)
    const acknowledgement = calls ? 0 : connection.receive.next
    const { initial: sequence, scaleOffer: scale } = connection
    this.#headers.putSyn(
      { sequence, acknowledgement, flags: calls ? SYN : SYN | ACK, window },
      { mss: this.mss, scale, sack: calls || connection.send.sackPermitted },
    )
    if (this.#send()) connection.synSent(now)
  }

  /** Returns false where there was no room. */
  sendFin(connection: Connection, window: number, now: number): boolean {
    const { from: sequence } = connection.send
    this.#headers.put({ sequence, acknowledgement: connection.receive.next, flags: FIN | ACK, window })
    if (!this.#send()) return false
    connection.send.sent(sequence, 1, now)
    connection.finSent()
    connection.acknowledges(true, now)
    return true
  }

  /** An acknowledgement, with what arrived too early; or a keep-alive, which asks for one (RFC 9293, section 3.8.4). */
  sendAck(connection: Connection, window: number, now: number): void {
    const { send, receive } = connection
    const blocks = send.sackPermitted && receive.sackBlocks(BLOCKS) > 0 ? BLOCKS : undefined
    const sequence = connection.keepAliveDue ? add(send.nxt, -1) : send.nxt
    this.#headers.put({ sequence, acknowledgement: receive.next, flags: ACK, window }, blocks)
    if (!this.#send()) return
    connection.acknowledges(false, now)
    connection.keepAliveDue = false
  }

  /** One byte in spite of a closed window (RFC 9293, section 3.8.6.1). Returns whether there was one to send. */
  probe(connection: Connection, stream: HostStream, window: number, now: number): boolean {
    const { send } = connection
    const link = this.#link
    const lent = link.lend(this.#headers.length, 1)
    const read = lent ? stream.peek(link.lent, connection.offsetOf(send.nxt)) : 0
    if (read === 1) {
      this.use(connection, send.nxt, 1, 1, window)
      send.probed(now)
      connection.acknowledges(true, now)
    }
    link.unlend()
    return read === 1
  }

  reset(connection: Connection): void {
    const { send, receive } = connection
    this.#headers.put({ sequence: send.nxt, acknowledgement: receive.next, flags: RST | ACK, window: 0 })
    this.#send()
  }

  /** RFC 9293, section 3.10.7: the answer to an acknowledgement of what was never sent. */
  refuse(segment: Segment): void {
    this.#headers.put({ sequence: segment.acknowledgement, acknowledgement: 0, flags: RST, window: 0 })
    this.#send()
  }

  /** Whether several frames of one length go out, each of which lies in one piece and is to be finished here. */
  #runs(read: number, most: number): boolean {
    const { lent, offloads } = this.#link
    return read >= 2 * most && !offloads.checksum && lent.count === this.#frames
  }

  #framesFor(few: boolean): number {
    if (this.#cuts) return few ? FEW_CUT : FRAMES_CUT
    return few ? FEW_UNCUT : FRAMES_UNCUT
  }

  get #cuts(): boolean {
    const { offloads } = this.#link
    return this.#v4 ? offloads.tcp4 : offloads.tcp6
  }

  #send(): boolean {
    const { bytes, length, offload } = this.#headers
    this.#headers.finish(this.#link, this.mss, 0)
    return this.#link.send(bytes, 0, length, undefined, offload)
  }
}
