/**
 * The other end of a guest's NIC, scripted: answers ARP and ping, keeps what is said to a UDP port, and echoes a TCP stream when it has ended.
 *
 * Just enough of each protocol to judge a link with a real driver, over a network that loses nothing. What a stream brings goes to a file by
 * address and comes back the same way, as a real core does it.
 *
 * @module
 */
import type { Frame, Link, Offload, Receiver } from "@skep/link"
import { check } from "@skep/loop"
import { Iovecs, Scratch } from "@skep/loop/memory"
import * as sys from "@skep/loop/sys"

export const GATEWAY = [192, 168, 64, 1] as const
export const SAY_PORT = 7
export const ECHO_PORT = 9

const MAC = [0x52, 0x54, 0, 0xff, 0xff, 1] as const
const ETHERNET = 14
const IP = 20
const TCP = 20
const HEADERS = ETHERNET + IP + TCP
const MSS = 1460
const SEGMENTS = 60_000
const [FIN, SYN, PSH, ACK] = [1, 2, 8, 16]
const WINDOW_SCALE = 7

export interface GatewayStatus {
  readonly said: readonly string[]
  readonly carrier: readonly boolean[]
  /** Frames that were segments still to be cut, each way. */
  readonly segmentsIn: number
  readonly segmentsOut: number
  readonly largestIn: number
  /** In how many pieces of memory the segments to the guest lay. */
  readonly piecesOut: number
}

interface Stream {
  readonly port: number
  readonly guest: Uint8Array
  readonly mac: Uint8Array
  readonly scale: number
  /** Next expected, first not acknowledged, next to be sent, as offsets into the stream. */
  received: number
  acknowledged: number
  sent: number
  window: number
  readonly irs: number
  ended: boolean
  owesAck: boolean
}

export class ScriptedGateway implements Receiver {
  readonly #link: Link
  readonly #scratch = new Scratch(1 << 16)
  readonly #iovecs = new Iovecs(this.#scratch, "payload")
  readonly #file = check(sys.memfdCreate("stream"), "memfd_create")
  readonly #said: string[] = []
  readonly #carrier: boolean[] = []
  #segmentsIn = 0
  #segmentsOut = 0
  #largestIn = 0
  #piecesOut = 0
  #stream: Stream | undefined

  constructor(link: Link) {
    this.#link = link
  }

  get status(): GatewayStatus {
    return {
      said: [...this.#said],
      carrier: [...this.#carrier],
      segmentsIn: this.#segmentsIn,
      segmentsOut: this.#segmentsOut,
      largestIn: this.#largestIn,
      piecesOut: this.#piecesOut,
    }
  }

  onCarrier(up: boolean): void {
    this.#carrier.push(up)
  }

  onRoom(): void {
    this.#dispatch()
  }

  onFrame(frame: Frame): void {
    const head = frame.bytes.subarray(frame.at, frame.at + frame.head)
    this.#largestIn = Math.max(this.#largestIn, frame.length)
    if (frame.offload.gso !== 0) this.#segmentsIn++
    const type = u16(head, 12)
    if (type === 0x0806) this.#arp(head)
    else if (type === 0x0800 && head[ETHERNET] === 0x45) this.#ip(head, frame)
  }

  onSettle(): void {
    this.#dispatch()
  }

  #arp(head: Uint8Array): void {
    if (u16(head, 20) !== 1 || GATEWAY.some((byte, index) => head[38 + index] !== byte)) return
    const reply = new Uint8Array(60)
    reply.set(head.subarray(6, 12), 0)
    reply.set(MAC, 6)
    reply.set(head.subarray(12, 20), 12)
    reply.set([0, 2, ...MAC, ...GATEWAY], 20)
    reply.set(head.subarray(22, 32), 32)
    this.#link.send(reply, 0, reply.length)
  }

  #ip(head: Uint8Array, frame: Frame): void {
    if (GATEWAY.some((byte, index) => head[30 + index] !== byte)) return
    const protocol = head[ETHERNET + 9]
    const at = ETHERNET + IP
    if (protocol === 1 && head[at] === 8 && frame.length === head.length) this.#pong(head)
    else if (protocol === 17 && u16(head, at + 2) === SAY_PORT)
      this.#said.push(
        Buffer.from(head.subarray(at + 8, at + u16(head, at + 4)))
          .toString()
          .trim(),
      )
    else if (protocol === 6 && u16(head, at + 2) === ECHO_PORT) this.#tcp(head, frame)
  }

  #pong(head: Uint8Array): void {
    const reply = head.slice()
    reply.set(head.subarray(6, 12), 0)
    reply.set(MAC, 6)
    reply.set(GATEWAY, 26)
    reply.set(head.subarray(26, 30), 30)
    const at = ETHERNET + IP
    reply[at] = 0
    setU16(reply, at + 2, 0)
    setU16(reply, at + 2, ~sum(reply, at, ETHERNET + u16(reply, ETHERNET + 2)))
    this.#link.send(reply, 0, reply.length)
  }

  #tcp(head: Uint8Array, frame: Frame): void {
    const at = ETHERNET + IP
    const flags = head[at + 13] ?? 0
    if ((flags & SYN) !== 0) {
      this.#stream = openStream(head)
      this.#segment(0, SYN | ACK)
      return
    }
    const stream = this.#stream
    if (stream === undefined || u16(head, at) !== stream.port) return
    stream.acknowledged = (u32(head, at + 8) - 1) >>> 0
    stream.window = u16(head, at + 14) << stream.scale
    const skip = at + ((head[at + 12] ?? 0) >> 4) * 4
    const payload = ETHERNET + u16(head, ETHERNET + 2) - skip
    if ((u32(head, at + 4) - stream.irs - 1) >>> 0 === stream.received) {
      if (payload > 0) this.#keep(stream, frame, skip, payload)
      if ((flags & FIN) !== 0) stream.ended = true
    }
    stream.owesAck ||= payload > 0 || (flags & FIN) !== 0
  }

  #keep(stream: Stream, { parts }: Frame, skip: number, payload: number): void {
    this.#iovecs.clear()
    let before = skip
    let left = payload
    for (let index = 0; index < parts.count && left > 0; index++) {
      const there = parts.lengthAt(index)
      const part = Math.min(left, there - Math.min(before, there))
      if (part > 0) this.#iovecs.push(parts.addressAt(index) + before, part)
      before = Math.max(0, before - there)
      left -= part
    }
    const { address, count } = this.#iovecs
    stream.received += check(sys.pwritev(this.#file, address, count, stream.received), "pwritev")
  }

  /** Sends what the guest's window takes once its stream has ended, or acknowledges. */
  #dispatch(): void {
    const stream = this.#stream
    if (stream === undefined) return
    while (stream.ended && stream.sent < stream.received) {
      const room = Math.min(
        stream.window - (stream.sent - stream.acknowledged),
        stream.received - stream.sent,
      )
      if (room <= 0 || !this.#link.lend(HEADERS, Math.min(SEGMENTS, room))) break
      const { lent } = this.#link
      this.#iovecs.clear()
      for (let index = 0; index < lent.count; index++)
        this.#iovecs.push(lent.addressAt(index), lent.lengthAt(index))
      const { address, count } = this.#iovecs
      this.#piecesOut += count
      const got = check(sys.preadv(this.#file, address, count, stream.sent), "preadv")
      this.#use(stream, got)
      this.#link.unlend()
    }
    if (stream.ended && stream.sent === stream.received) {
      stream.sent++
      this.#segment(stream.received, FIN | ACK)
    } else if (stream.owesAck) this.#segment(stream.sent, ACK)
    stream.owesAck = false
    this.#link.flush()
  }

  #use(stream: Stream, payload: number): void {
    const header = headers(stream, stream.sent, ACK | PSH, payload)
    const cut = payload > MSS
    if (cut) this.#segmentsOut++
    const offload: Offload = {
      checksumStart: ETHERNET + IP,
      checksumOffset: 16,
      gso: cut ? 1 : 0,
      segmentSize: cut ? MSS : 0,
      headerLength: cut ? HEADERS : 0,
    }
    stream.sent += payload
    this.#link.use(header, 0, HEADERS, payload, offload)
  }

  #segment(offset: number, flags: number): void {
    const stream = this.#stream
    if (stream === undefined) return
    const options = (flags & SYN) === 0 ? [] : [2, 4, MSS >> 8, MSS & 0xff, 1, 3, 3, WINDOW_SCALE]
    const header = headers(stream, (flags & SYN) === 0 ? offset : -1, flags, 0, options)
    const { gso, segmentSize, headerLength } = { gso: 0, segmentSize: 0, headerLength: 0 }
    const offload = { checksumStart: ETHERNET + IP, checksumOffset: 16, gso, segmentSize, headerLength }
    this.#link.send(header, 0, header.length, undefined, offload)
  }
}

function openStream(head: Uint8Array): Stream {
  const at = ETHERNET + IP
  const end = at + ((head[at + 12] ?? 0) >> 4) * 4
  let scale = 0
  for (let option = at + TCP; option < end; ) {
    if (head[option] === 3) scale = head[option + 2] ?? 0
    option += (head[option] ?? 0) < 2 ? 1 : Math.max(2, head[option + 1] ?? 2)
  }
  return {
    port: u16(head, at),
    guest: head.slice(26, 30),
    mac: head.slice(6, 12),
    scale,
    irs: u32(head, at + 4),
    received: 0,
    acknowledged: 0,
    sent: 0,
    window: 0,
    ended: false,
    owesAck: false,
  }
}

/** Ethernet, IPv4 and TCP; the checksum of TCP is left to the guest. Our first sequence number is 0. */
function headers(
  stream: Stream,
  offset: number,
  flags: number,
  payload: number,
  options: readonly number[] = [],
): Uint8Array {
  const bytes = new Uint8Array(HEADERS + options.length)
  bytes.set(stream.mac, 0)
  bytes.set([...MAC, 8, 0, 0x45], 6)
  setU16(bytes, 16, IP + TCP + options.length + payload)
  bytes.set([0x40, 0, 64, 6], 20)
  bytes.set([...GATEWAY, ...stream.guest], 26)
  setU16(bytes, 24, ~sum(bytes, ETHERNET, ETHERNET + IP))
  const at = ETHERNET + IP
  setU16(bytes, at, ECHO_PORT)
  setU16(bytes, at + 2, stream.port)
  setU32(bytes, at + 4, offset + 1)
  setU32(bytes, at + 8, stream.irs + 1 + stream.received + (stream.ended ? 1 : 0))
  bytes[at + 12] = ((TCP + options.length) / 4) << 4
  bytes[at + 13] = flags
  setU16(bytes, at + 14, 0xffff)
  bytes.set(options, HEADERS)
  const pseudo = sum(bytes, 26, 34) + 6 + TCP + options.length + payload
  setU16(bytes, at + 16, (pseudo & 0xffff) + (pseudo >> 16))
  return bytes
}

function sum(bytes: Uint8Array, at: number, end: number): number {
  let total = 0
  for (let index = at; index < end; index += 2) total += u16(bytes, index)
  while (total > 0xffff) total = (total & 0xffff) + (total >> 16)
  return total
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}

function u32(bytes: Uint8Array, at: number): number {
  return ((u16(bytes, at) << 16) | u16(bytes, at + 2)) >>> 0
}

function setU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >> 8
  bytes[at + 1] = value
}

function setU32(bytes: Uint8Array, at: number, value: number): void {
  setU16(bytes, at, value >>> 16)
  setU16(bytes, at + 2, value)
}
