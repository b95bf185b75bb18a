/**
 * The headers of one flow's frames to the guest: Ethernet and IP made once, TCP written anew for each frame.
 *
 * ```
 *  0          14                 34 or 54            + 20 … 60
 *  │ Ethernet │ IPv4 or IPv6     │ TCP │ options │
 * ```
 *
 * @module
 */
import {
  GSO_NONE,
  GSO_TCP4,
  GSO_TCP6,
  noOffload,
  type Offload,
  type Outlet,
  type Parts,
  sumParts,
} from "@skep/link"
import { putU8, putU16, putU32 } from "@skep/wire/bytes"
import { finish, pseudo, sum } from "@skep/wire/checksum"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import * as tcp from "@skep/wire/tcp"
import * as transport from "@skep/wire/transport"
import type { Range } from "../tcp/ranges.ts"
import type { Ends } from "./ends.ts"

const HOP_LIMIT = 64
const SEQUENCE = 4
const FLAGS = 13
const CHECKSUM = 16

/** Filled anew for each segment, so that a flow has but its bytes. */
const FIELDS = tcp.view()
const OFFLOAD = noOffload()

/** What changes from segment to segment. */
export interface SegmentFields {
  readonly sequence: number
  readonly acknowledgement: number
  readonly flags: number
  readonly window: number
}

export interface SynOptions {
  readonly mss: number
  /** -1 for none. */
  readonly scale: number
  readonly sack: boolean
}

export class TcpHeaders {
  readonly bytes: Uint8Array
  /** Bytes before the payload, of the last `put…`. */
  length: number
  /** What the link is to finish, of the last `finish`: shared by all, and read at once by the link. */
  readonly offload: Offload = OFFLOAD
  readonly #v4: boolean
  readonly #transportAt: number
  readonly #ports: Ends

  constructor(ends: Ends) {
    const { guest, other } = ends
    this.#v4 = guest.length === 4
    this.#transportAt = ethernet.HEADER + ip.headerSize(guest.length)
    this.bytes = new Uint8Array(this.#transportAt + tcp.HEADER_MAX)
    this.length = this.#transportAt + tcp.HEADER
    const type = this.#v4 ? ethernet.TYPE_IPV4 : ethernet.TYPE_IPV6
    ethernet.emit(this.bytes, 0, ends.guestMac, ends.gatewayMac, type)
    ip.emit(this.bytes, ethernet.HEADER, {
      source: other,
      destination: guest,
      protocol: ip.PROTOCOL_TCP,
      payloadLength: tcp.HEADER,
      hopLimit: HOP_LIMIT,
      // What the guest should not get in pieces tells it its path MTU; and so the identification may stay 0 (RFC 6864, section 4.1).
      dontFragment: true,
    })
    this.#ports = ends
  }

  /** A SYN, with the options of RFC 9293 section 3.7.1, RFC 7323 section 2.2 and RFC 2018 section 2. */
  putSyn(segment: SegmentFields, { mss, scale, sack }: SynOptions): void {
    FIELDS.mss = mss
    FIELDS.windowScale = scale
    FIELDS.sackPermitted = sack
    FIELDS.sackCount = 0
    this.#put(segment)
    FIELDS.mss = 0
    FIELDS.windowScale = -1
    FIELDS.sackPermitted = false
  }

  /** A segment, with SACK blocks where there are any (RFC 2018, section 3). */
  put(segment: SegmentFields, blocks: readonly Range[] = NONE): void {
    FIELDS.sackCount = blocks.length
    for (let index = 0; index < blocks.length; index++) {
      FIELDS.sackLeft[index] = blocks[index]?.start ?? 0
      FIELDS.sackRight[index] = blocks[index]?.end ?? 0
    }
    this.#put(segment)
  }

  /**
   * Puts lengths and checksums for `payload` bytes, which lie from `skip` on in `parts`. What the link finishes by itself is left to it; a payload
   * larger than `segment` must be one that the link cuts.
   */
  finish(link: Outlet, segment: number, payload: number, parts?: Parts, skip = 0): void {
    const { bytes, length, offload } = this
    ip.renew(bytes, ethernet.HEADER, length - this.#transportAt + payload, 0)
    if (link.offloads.checksum) {
      transport.begin(bytes, ethernet.HEADER)
      const cut = payload > segment
      offload.checksumStart = this.#transportAt
      offload.checksumOffset = CHECKSUM
      offload.gso = cut ? (this.#v4 ? GSO_TCP4 : GSO_TCP6) : GSO_NONE
      offload.segmentSize = cut ? segment : 0
      offload.headerLength = cut ? length : 0
      return
    }
    offload.checksumStart = 0
    offload.checksumOffset = 0
    offload.gso = GSO_NONE
    offload.segmentSize = 0
    offload.headerLength = 0
    const sum = parts === undefined ? 0 : sumParts(link.memory, parts, skip, payload, 0)
    transport.finish(bytes, ethernet.HEADER, length, sum)
  }

  /**
   * Makes the segment that was put and finished last one of several of `payload` bytes, whose headers then come by `advance`. Returns the sum of what
   * they have in common. No link finishes them.
   */
  run(payload: number): number {
    const { bytes, length } = this
    const at = this.#transportAt
    const addresses = this.#v4 ? 4 : 16
    putU32(bytes, at + SEQUENCE, 0)
    putU8(bytes, at + FLAGS, 0)
    putU16(bytes, at + CHECKSUM, 0)
    const own = pseudo(bytes, at - 2 * addresses, addresses, ip.PROTOCOL_TCP, length - at + payload)
    return sum(bytes, at, length, own)
  }

  /** Of a `run`: another segment. `total` is what they have in common and the sum of its payload. */
  advance(sequence: number, flags: number, total: number): void {
    const { bytes } = this
    const at = this.#transportAt
    putU32(bytes, at + SEQUENCE, sequence)
    putU8(bytes, at + FLAGS, flags)
    putU16(bytes, at + CHECKSUM, finish(total + (sequence >>> 16) + (sequence & 0xffff) + flags))
  }

  #put({ sequence, acknowledgement, flags, window }: SegmentFields): void {
    FIELDS.source = this.#ports.otherPort
    FIELDS.destination = this.#ports.guestPort
    FIELDS.sequence = sequence
    FIELDS.acknowledgement = acknowledgement
    FIELDS.flags = flags
    FIELDS.window = window
    this.length = this.#transportAt + tcp.emit(this.bytes, this.#transportAt, FIELDS)
  }
}

const NONE: readonly Range[] = []
