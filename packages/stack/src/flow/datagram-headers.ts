/**
 * The headers before a datagram to the guest: Ethernet, IP, and UDP where it is UDP; echo replies bring a header of their own.
 *
 * @module
 */
import { GSO_NONE, GSO_UDP, noOffload, type Offload, type Outlet, type Parts, sumParts } from "@skep/link"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import * as transport from "@skep/wire/transport"
import * as udp from "@skep/wire/udp"
import type { Ends } from "./ends.ts"

const HOP_LIMIT = 64
const CHECKSUM = 6

export class DatagramHeaders {
  readonly bytes: Uint8Array
  readonly length: number
  readonly offload: Offload = noOffload()
  readonly #ends: Ends
  readonly #udp: boolean
  readonly #transportAt: number
  #identification = 0

  constructor(ends: Ends, protocol: number) {
    const { guest, other } = ends
    this.#ends = ends
    this.#udp = protocol === ip.PROTOCOL_UDP
    this.#transportAt = ethernet.HEADER + ip.headerSize(guest.length)
    this.length = this.#transportAt + (this.#udp ? udp.HEADER : 0)
    this.bytes = new Uint8Array(this.length)
    const type = guest.length === 4 ? ethernet.TYPE_IPV4 : ethernet.TYPE_IPV6
    ethernet.emit(this.bytes, 0, ends.guestMac, ends.gatewayMac, type)
    ip.emit(this.bytes, ethernet.HEADER, {
      source: other,
      destination: guest,
      protocol,
      payloadLength: 0,
      hopLimit: HOP_LIMIT,
    })
  }

  /** The length of the IP packet around `payload` bytes. */
  packetLength(payload: number): number {
    return this.length - ethernet.HEADER + payload
  }

  /**
   * Puts lengths and checksums for this payload. A packet that will be sent in fragments needs its checksum `whole`. With a `segmentSize`, which only
   * links with an offload for UDP take, it is many datagrams of that size.
   */
  finish(link: Outlet, payload: Parts, whole: boolean, segmentSize = 0): void {
    const { bytes, offload } = this
    // RFC 6864, section 4.2: it differs among datagrams that may be cut. Whoever makes many of this one counts on by one for each.
    const identification = (this.#identification + 1) & 0xffff
    this.#identification =
      identification + (segmentSize === 0 ? 0 : Math.ceil(payload.bytes / segmentSize) - 1)
    ip.renew(bytes, ethernet.HEADER, this.length - this.#transportAt + payload.bytes, identification)
    offload.checksumStart = 0
    offload.gso = segmentSize === 0 ? GSO_NONE : GSO_UDP
    offload.segmentSize = segmentSize
    offload.headerLength = segmentSize === 0 ? 0 : this.length
    if (!this.#udp) return
    udp.emit(bytes, this.#transportAt, this.#ends.otherPort, this.#ends.guestPort, payload.bytes)
    if (link.offloads.checksum && !whole) {
      transport.begin(bytes, ethernet.HEADER)
      offload.checksumStart = this.#transportAt
      offload.checksumOffset = CHECKSUM
      return
    }
    const sum = sumParts(link.memory, payload, 0, payload.bytes, 0)
    transport.finish(bytes, ethernet.HEADER, this.length, sum)
  }
}
