/**
 * A guest on real rings that serves its ports by echo, within its credit and ours; it may also connect, and listen without a word.
 *
 * It keeps to Virtio 1.2, section 5.10, unless told otherwise by `send`. Works when `poll` is called.
 *
 * @module
 */
import type { DriverRing, GuestRam } from "@skep/fake-qemu"
import {
  emit,
  HEADER,
  OP_CREDIT_REQUEST,
  OP_CREDIT_UPDATE,
  OP_REQUEST,
  OP_RESPONSE,
  OP_RST,
  OP_RW,
  OP_SHUTDOWN,
  type Packet,
  packetView,
  parse,
  SHUTDOWN_BOTH,
  SHUTDOWN_SEND,
} from "../../src/device/packet.ts"

export const CID = 3
const BUFFER = 4096
const CREDIT = 65_536

export interface GuestStream {
  readonly port: number
  readonly hostPort: number
  state: "connecting" | "open" | "over"
  /** What it has received, while `keeps`. */
  received: Buffer[]
  forwarded: number
  sent: number
  peerCredit: number
  peerForwarded: number
  /** What it has yet to send. */
  outgoing: Buffer[]
  hostDone: boolean
}

export class RingGuest {
  readonly streams = new Map<string, GuestStream>()
  /** Streams that are over, by how: the guest's processes see an end or an error. */
  readonly over: GuestStream[] = []
  /** Echoes unless told. */
  onData: (stream: GuestStream, data: Buffer) => void = (stream, data) => stream.outgoing.push(data)
  /** Ports that nobody serves. */
  readonly closedPorts = new Set<number>()
  readonly #ram: GuestRam
  readonly #rx: DriverRing
  readonly #tx: DriverRing
  readonly #buffers = new Map<number, number>()
  /** Buffers for sending that are free, and those that the device has. */
  readonly #spare: number[] = []
  readonly #sending = new Map<number, number>()
  readonly #queue: { readonly packet: Packet; readonly payload: Uint8Array }[] = []
  #port = 40_000

  constructor(ram: GuestRam, [rx, tx]: readonly [DriverRing, DriverRing]) {
    this.#ram = ram
    this.#rx = rx
    this.#tx = tx
    for (let i = 0; i < tx.size / 2; i++) this.#spare.push(ram.allocate(HEADER + BUFFER))
    for (let i = 0; i < rx.size; i++) this.#offer(ram.allocate(HEADER + BUFFER))
  }

  connect(hostPort: number): GuestStream {
    const stream = this.#make(this.#port++, hostPort, "connecting")
    this.#sendOn(stream, OP_REQUEST)
    return stream
  }

  write(stream: GuestStream, data: Uint8Array): void {
    stream.outgoing.push(Buffer.from(data))
  }

  /** Any packet. */
  send(packet: Partial<Packet>, payload: Uint8Array = new Uint8Array(0)): void {
    this.#queue.push({ packet: { ...packetView(), srcCid: CID, dstCid: 2, ...packet }, payload })
  }

  /** Takes what came and sends what there is. Returns whether there was anything. */
  poll(): boolean {
    for (const { head } of this.#tx.collect()) {
      const buffer = this.#sending.get(head)
      if (buffer !== undefined) this.#spare.push(buffer)
      this.#sending.delete(head)
    }
    // All addresses first: what is offered anew may get the number of one that is still to be read.
    const came = this.#rx
      .collect()
      .map(({ head, written }) => ({ address: this.#buffers.get(head) ?? 0, written }))
    for (const { address, written } of came) this.#take(address, written)
    if (came.length > 0) this.#rx.kick()
    for (const stream of this.streams.values()) this.#write(stream)
    return this.#flush() || came.length > 0
  }

  #take(address: number, written: number): void {
    const packet = parse(this.#ram.bytes(address, HEADER), 0, HEADER)
    if (typeof packet === "string") throw new Error(`the device sent what is ${packet}`)
    const payload = Buffer.from(this.#ram.bytes(address + HEADER, written - HEADER))
    this.#offer(address)
    const stream = this.streams.get(keyOf(packet.dstPort, packet.srcPort))
    if (stream !== undefined) this.#onPacket(stream, packet, payload)
    else if (packet.op === OP_REQUEST && !this.closedPorts.has(packet.dstPort)) this.#accept(packet)
    else if (packet.op !== OP_RST) this.send({ op: OP_RST, srcPort: packet.dstPort, dstPort: packet.srcPort })
  }

  #accept(packet: Packet): void {
    const stream = this.#make(packet.dstPort, packet.srcPort, "open")
    stream.peerCredit = packet.bufAlloc
    this.#sendOn(stream, OP_RESPONSE)
  }

  #onPacket(stream: GuestStream, packet: Packet, payload: Buffer): void {
    stream.peerCredit = packet.bufAlloc
    stream.peerForwarded = packet.fwdCnt
    if (packet.op === OP_RESPONSE) stream.state = "open"
    else if (packet.op === OP_RST) this.#end(stream)
    else if (packet.op === OP_CREDIT_REQUEST) this.#sendOn(stream, OP_CREDIT_UPDATE)
    else if (packet.op === OP_RW) {
      stream.forwarded += payload.length
      this.onData(stream, payload)
      if (stream.outgoing.length === 0) this.#sendOn(stream, OP_CREDIT_UPDATE)
    } else if (packet.op === OP_SHUTDOWN) {
      if ((packet.flags & SHUTDOWN_SEND) !== 0) stream.hostDone = true
      if (packet.flags === SHUTDOWN_BOTH) {
        this.#sendOn(stream, OP_RST)
        this.#end(stream)
      }
    }
  }

  /** Sends what the credit allows, and the end after the last byte of one who is done. */
  #write(stream: GuestStream): void {
    if (stream.state !== "open") return
    for (let first = stream.outgoing[0]; first !== undefined; first = stream.outgoing[0]) {
      const room = stream.peerCredit - ((stream.sent - stream.peerForwarded) >>> 0)
      const part = first.subarray(0, Math.min(BUFFER, room))
      if (part.length === 0) return
      stream.sent = (stream.sent + part.length) >>> 0
      this.#sendOn(stream, OP_RW, part)
      if (part.length === first.length) stream.outgoing.shift()
      else stream.outgoing[0] = first.subarray(part.length)
    }
    if (stream.hostDone) {
      stream.hostDone = false
      this.send({ ...this.#header(stream), op: OP_SHUTDOWN, flags: SHUTDOWN_BOTH })
    }
  }

  #sendOn(stream: GuestStream, op: number, payload: Uint8Array = new Uint8Array(0)): void {
    this.send({ ...this.#header(stream), op, len: payload.length }, payload)
  }

  #header({ port, hostPort, forwarded }: GuestStream): Partial<Packet> {
    return { srcPort: port, dstPort: hostPort, bufAlloc: CREDIT, fwdCnt: forwarded >>> 0 }
  }

  #flush(): boolean {
    let sent = false
    while (this.#queue.length > 0) {
      const buffer = this.#spare.pop()
      if (buffer === undefined) break
      const next = this.#queue.shift()
      if (next === undefined) break
      const { packet, payload } = next
      emit(packet, this.#ram.bytes(buffer, HEADER), 0)
      if (payload.length > 0) this.#ram.bytes(buffer + HEADER, payload.length).set(payload)
      const head = this.#tx.offer([
        { address: buffer, length: HEADER },
        ...(payload.length === 0 ? [] : [{ address: buffer + HEADER, length: payload.length }]),
      ])
      if (head < 0) throw new Error("a spare buffer without a descriptor")
      this.#sending.set(head, buffer)
      sent = true
    }
    if (sent) this.#tx.kick()
    return sent
  }

  #offer(address: number): void {
    const head = this.#rx.offer([{ address, length: HEADER + BUFFER, writable: true }])
    this.#buffers.set(head, address)
  }

  #make(port: number, hostPort: number, state: GuestStream["state"]): GuestStream {
    const stream: GuestStream = {
      port,
      hostPort,
      state,
      received: [],
      forwarded: 0,
      sent: 0,
      peerCredit: 0,
      peerForwarded: 0,
      outgoing: [],
      hostDone: false,
    }
    this.streams.set(keyOf(port, hostPort), stream)
    return stream
  }

  #end(stream: GuestStream): void {
    stream.state = "over"
    this.streams.delete(keyOf(stream.port, stream.hostPort))
    this.over.push(stream)
  }
}

function keyOf(port: number, hostPort: number): string {
  return `${port}.${hostPort}`
}
