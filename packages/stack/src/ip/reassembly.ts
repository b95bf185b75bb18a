/**
 * Fragments of machines put together: RFC 791 section 3.2, RFC 815, RFC 8200 section 4.5, RFC 5722 (no overlaps), RFC 1122 section 3.3.2.
 *
 * Payload is copied once, into memory of one's own. A whole packet comes out as a frame, as if the machine had sent it so.
 *
 * Bounded for each machine in packets and their pieces: who sends too many loses the oldest of its own. Bounded for all in bytes.
 *
 * Deviation: options of IPv4 and the extension headers before a fragment header are checked with each fragment, and not in the whole.
 *
 * @module
 */
import { Frame, HEAD, type Memory, Parts } from "@skep/link"
import { copy, u16 } from "@skep/wire/bytes"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import { Counts } from "./counts.ts"
import { Datagram, type Piece } from "./datagram.ts"
import type { Original } from "./errors.ts"
import { keyOf } from "./neighbour-table.ts"

/** The times of RFC 791 (by its successor RFC 1122 at least 60 s: a machine next door needs less) and RFC 8200. */
const LIFETIME_MS = { 4: 30_000, 6: 60_000 } as const

export interface ReassemblyOptions {
  /** Packets of one machine at once. 16 unless told. */
  readonly perMachine?: number
  /** Pieces of one packet: at the least MTU a 64 KiB packet has 52, and somewhat more at smaller ones. 128 unless told. */
  readonly piecesMax?: number
  /** Bytes of all packets together. 8 MiB unless told: streams use the same memory. */
  readonly bytesMax?: number
}

const COUNTERS = [
  "fragments",
  "whole",
  "fragment-duplicate",
  "fragment-overlap",
  "fragment-of-broken",
  "fragment-empty",
  "fragment-truncated",
  "fragment-pieces",
  "fragment-memory",
  "fragment-crowded",
  "fragment-timeout",
] as const

export type ReassemblyCounter = (typeof COUNTERS)[number]

/** A packet that is not whole yet. */
interface Waiting {
  readonly machine: number
  readonly deadlineMs: number
  readonly datagram: Datagram
  /** Ethernet and IP header of the whole, from the first fragment. */
  header: Uint8Array | undefined
  /** The beginning of the first fragment's packet. */
  quote: Uint8Array
  /** It cannot become whole: what still comes is dropped. */
  broken: boolean
}

/** A packet whose time is up and whose first fragment came: to be told of. */
export interface Expired {
  readonly original: Original
  readonly machine: number
}

export class Reassembly {
  readonly counts: Counts<ReassemblyCounter> = new Counts(COUNTERS)
  readonly #memory: Memory
  readonly #perMachine: number
  readonly #piecesMax: number
  readonly #bytesMax: number
  /** The oldest first. */
  readonly #waiting = new Map<string, Waiting>()
  readonly #machines = new Map<number, Set<string>>()
  /** What `settle` gives back: addresses and lengths. */
  readonly #used = new Parts()
  readonly #frame = new Frame()
  readonly #part = new Parts()
  /** Bytes of pieces. */
  #held = 0

  constructor(memory: Memory, options: ReassemblyOptions = {}) {
    this.#memory = memory
    this.#perMachine = options.perMachine ?? 16
    this.#piecesMax = options.piecesMax ?? 128
    this.#bytesMax = options.bytesMax ?? 8 * 1024 * 1024
    this.#frame.bytes = new Uint8Array(HEAD)
  }

  /** Packets that are not whole yet. */
  get size(): number {
    return this.#waiting.size
  }

  /**
   * Takes a fragment. Returns the whole packet with its last one: the frame is good until the next call, its memory until `settle`. Its Ethernet and
   * IP headers are sound; what is behind them, nobody has looked at.
   */
  receive(frame: Frame, packet: Readonly<ip.IpView>, machine: number, nowMs: number): Frame | undefined {
    this.counts.add("fragments")
    const key = keyOfPacket(frame.bytes, packet, machine)
    const waiting = this.#waiting.get(key) ?? this.#begin(key, packet, machine, nowMs)
    if (waiting.broken) return this.#drop("fragment-of-broken")
    const length = packet.payloadEnd - packet.payloadAt
    if (length === 0) return this.#drop("fragment-empty")
    const { datagram } = waiting
    const index = datagram.place(packet.fragmentOffset, length, packet.moreFragments)
    if (index === "duplicate") return this.#drop("fragment-duplicate")
    if (index === "overlap") return this.#break(waiting, "fragment-overlap")
    if (datagram.pieces.length === this.#piecesMax) return this.#break(waiting, "fragment-pieces")
    const piece = this.#keep(frame, packet, length)
    if (typeof piece === "string") return this.#drop(piece)
    if (packet.fragmentOffset === 0) this.#keepHeader(waiting, frame, packet)
    return datagram.put(index, piece, packet.moreFragments) ? this.#finish(key, waiting) : undefined
  }

  /** Gives the memory of whole packets back. */
  settle(): void {
    for (let index = 0; index < this.#used.count; index++) {
      this.#memory.free(this.#used.addressAt(index), this.#used.lengthAt(index))
    }
    this.#used.clear()
  }

  /** When the first packet's time is up. */
  pollAt(): number {
    let earliest = Number.POSITIVE_INFINITY
    for (const { deadlineMs } of this.#waiting.values()) earliest = Math.min(earliest, deadlineMs)
    return earliest
  }

  /** Gives up what did not become whole in time, and tells of packets whose first fragment was there (RFC 792, RFC 8200). */
  dispatch(nowMs: number, tell: (expired: Expired) => void): void {
    for (const [key, waiting] of this.#waiting) {
      if (waiting.deadlineMs > nowMs) continue
      this.counts.add("fragment-timeout")
      this.#forget(key, waiting)
      if (waiting.quote.length === 0) continue
      const { quote: bytes, machine } = waiting
      const original = { bytes, at: ethernet.HEADER, head: bytes.length, mac: stationOf(bytes) }
      tell({ original, machine })
    }
  }

  /** The machine is gone. */
  forget(machine: number): void {
    for (const key of this.#machines.get(machine) ?? []) {
      const waiting = this.#waiting.get(key)
      if (waiting !== undefined) this.#forget(key, waiting)
    }
    this.#machines.delete(machine)
  }

  #drop(reason: ReassemblyCounter): undefined {
    this.counts.add(reason)
    return undefined
  }

  /** Gives a packet up, with whatever else comes of it. */
  #break(waiting: Waiting, reason: ReassemblyCounter): undefined {
    waiting.broken = true
    this.#free(waiting)
    return this.#drop(reason)
  }

  #begin(key: string, packet: Readonly<ip.IpView>, machine: number, nowMs: number): Waiting {
    const waiting: Waiting = {
      machine,
      deadlineMs: nowMs + LIFETIME_MS[packet.version],
      datagram: new Datagram(),
      header: undefined,
      quote: new Uint8Array(0),
      broken: false,
    }
    const keys = this.#machines.get(machine) ?? new Set<string>()
    this.#machines.set(machine, keys)
    if (keys.size === this.#perMachine) this.#crowdOut(keys)
    keys.add(key)
    this.#waiting.set(key, waiting)
    return waiting
  }

  #crowdOut(keys: ReadonlySet<string>): void {
    for (const oldest of keys) {
      const waiting = this.#waiting.get(oldest)
      if (waiting !== undefined) this.#forget(oldest, waiting)
      this.counts.add("fragment-crowded")
      return
    }
  }

  #keep(
    frame: Frame,
    packet: Readonly<ip.IpView>,
    length: number,
  ): Piece | "fragment-truncated" | "fragment-memory" {
    this.#part.clear()
    this.#part.append(frame.parts, packet.payloadAt - frame.at, length)
    if (this.#part.bytes !== length) return "fragment-truncated"
    const address = this.#held + length > this.#bytesMax ? 0 : this.#memory.allocate(length)
    if (address === 0) return "fragment-memory"
    this.#held += length
    let to = address
    for (let index = 0; index < this.#part.count; index++) {
      this.#memory.copy(this.#part.addressAt(index), to, this.#part.lengthAt(index))
      to += this.#part.lengthAt(index)
    }
    return { offset: packet.fragmentOffset, length, address }
  }

  #keepHeader(waiting: Waiting, frame: Frame, packet: Readonly<ip.IpView>): void {
    const { bytes, at } = frame
    const { sourceAt, destinationAt, addressLength } = packet
    const header = new Uint8Array(ethernet.HEADER + ip.headerSize(addressLength))
    copy(bytes, at, ethernet.HEADER, header, 0)
    ip.emit(header, ethernet.HEADER, {
      ...packet,
      source: bytes.slice(sourceAt, sourceAt + addressLength),
      destination: bytes.slice(destinationAt, destinationAt + addressLength),
      payloadLength: 0,
      fragmentOffset: 0,
      moreFragments: false,
      dontFragment: false,
    })
    waiting.header = header
    waiting.quote = bytes.slice(at, Math.min(at + frame.head, packet.payloadEnd))
  }

  #finish(key: string, waiting: Waiting): Frame | undefined {
    const { header, datagram } = waiting
    const headerAddress = header === undefined ? 0 : this.#memory.allocate(header.length)
    if (header === undefined || headerAddress === 0) {
      this.#forget(key, waiting)
      return this.#drop("fragment-memory")
    }
    ip.renew(header, ethernet.HEADER, datagram.bytes, identificationOf(header))
    this.#memory.write(header, 0, header.length, headerAddress)
    const frame = this.#frame
    frame.parts.clear()
    frame.parts.push(headerAddress, header.length)
    for (const { address, length } of datagram.pieces) frame.parts.push(address, length)
    this.#used.append(frame.parts, 0, frame.parts.bytes)
    frame.length = frame.parts.bytes
    frame.head = Math.min(HEAD, frame.length)
    copy(header, 0, header.length, frame.bytes, 0)
    this.#readHead(datagram, header.length)
    // They are `#used` now.
    this.#held -= datagram.bytes
    datagram.pieces.length = 0
    this.#forget(key, waiting)
    this.counts.add("whole")
    return frame
  }

  /** Copies what is to be readable of the payload. */
  #readHead(datagram: Datagram, from: number): void {
    const frame = this.#frame
    let to = from
    for (const { address, length } of datagram.pieces) {
      const part = Math.min(length, frame.head - to)
      if (part <= 0) return
      this.#memory.read(address, part, frame.bytes, to)
      to += part
    }
  }

  #forget(key: string, waiting: Waiting): void {
    this.#free(waiting)
    this.#waiting.delete(key)
    const keys = this.#machines.get(waiting.machine)
    keys?.delete(key)
    if (keys?.size === 0) this.#machines.delete(waiting.machine)
  }

  #free(waiting: Waiting): void {
    for (const { address, length } of waiting.datagram.pieces) {
      this.#memory.free(address, length)
      this.#held -= length
    }
    waiting.datagram.pieces.length = 0
  }
}

function keyOfPacket(bytes: Uint8Array, packet: Readonly<ip.IpView>, machine: number): string {
  const { sourceAt, destinationAt, addressLength, identification } = packet
  const source = keyOf(bytes, sourceAt, addressLength)
  const destination = keyOf(bytes, destinationAt, addressLength)
  // RFC 8200, section 4.5 leaves the protocol out.
  const protocol = packet.version === 4 ? packet.protocol : -1
  return `${machine} ${protocol} ${identification} ${source} ${destination}`
}

function stationOf(bytes: Uint8Array): number {
  return ethernet.sourceOf(bytes, 0)
}

/** Of IPv4; in IPv6 it means nothing. */
function identificationOf(header: Uint8Array): number {
  return u16(header, ethernet.HEADER + 4)
}
