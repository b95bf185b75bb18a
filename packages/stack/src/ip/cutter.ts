/**
 * Packets of ours in fragments, where they are larger than the MTU: RFC 791 section 2.3, RFC 8200 section 4.5.
 *
 * ```
 *  │ Ethernet │ IP │ transport │ payload …………………………… │
 *  │ Ethernet │ IP │ fragment (IPv6) │ transport │ payload … │   │ Ethernet │ IP │ fragment │ … payload … │   …
 * ```
 *
 * The payload is not copied: each fragment names its part of it.
 *
 * @module
 */
import { Parts } from "@skep/link"
import { copy, putU8, putU16, u8 } from "@skep/wire/bytes"
import { finish, sum } from "@skep/wire/checksum"
import * as ethernet from "@skep/wire/ethernet"
import * as ipv4 from "@skep/wire/ipv4"
import * as ipv6 from "@skep/wire/ipv6"

/** Headers of a packet, Ethernet's first; all checksums are finished. */
export interface Outgoing {
  readonly bytes: Uint8Array
  readonly at: number
  /** Bytes up to the payload. */
  readonly length: number
}

/** As `Link.send` has it; may be called several times, with the same objects. */
export type Send = (headers: Uint8Array, at: number, length: number, payload: Parts) => boolean

const IPV4_LENGTH = 2
const IPV4_IDENTIFICATION = 4
const IPV4_FRAGMENT = 6
const IPV4_CHECKSUM = 10
const IPV4_MORE = 0x2000
const IPV6_NEXT = 6
const IPV6_LENGTH = 4
const HEADERS_MAX = 256

export class Cutter {
  readonly #headers = new Uint8Array(HEADERS_MAX)
  readonly #part = new Parts()

  /**
   * Sends a packet in fragments of at most `mtu` bytes, under an identification that no other packet between the same two has had lately. Returns
   * false as soon as one was not taken: the rest is of no use then. Throws a RangeError where not even the transport's header fits.
   */
  cut(packet: Outgoing, payload: Parts, mtu: number, identification: number, send: Send): boolean {
    const ipAt = packet.at + ethernet.HEADER
    const isIpv4 = u8(packet.bytes, ipAt) >> 4 === 4
    const ipSize = isIpv4 ? ipv4.HEADER : ipv6.HEADER
    const transport = packet.length - ethernet.HEADER - ipSize
    const before = ethernet.HEADER + ipSize + (isIpv4 ? 0 : ipv6.FRAGMENT_HEADER)
    // RFC 791 and RFC 8200: all but the last are multiples of 8 bytes.
    const room = Math.floor((mtu + ethernet.HEADER - before) / 8) * 8
    if (room <= transport) throw new RangeError(`an MTU of ${mtu} has no room for headers`)
    const total = transport + payload.bytes
    for (let offset = 0; offset < total; offset += room) {
      const length = Math.min(room, total - offset)
      const own = offset === 0 ? transport : 0
      const fragment = { offset, more: offset + length < total, identification }
      copy(packet.bytes, packet.at, ethernet.HEADER + ipSize, this.#headers, 0)
      if (isIpv4) this.#putIpv4(fragment, length)
      else this.#putIpv6(fragment, length)
      copy(packet.bytes, packet.at + ethernet.HEADER + ipSize, own, this.#headers, before)
      this.#part.clear()
      this.#part.append(payload, offset + own - transport, length - own)
      if (!send(this.#headers, 0, before + own, this.#part)) return false
    }
    return true
  }

  #putIpv4(fragment: Fragment, length: number): void {
    const at = ethernet.HEADER
    putU16(this.#headers, at + IPV4_LENGTH, ipv4.HEADER + length)
    putU16(this.#headers, at + IPV4_IDENTIFICATION, fragment.identification & 0xffff)
    putU16(this.#headers, at + IPV4_FRAGMENT, (fragment.more ? IPV4_MORE : 0) | (fragment.offset >> 3))
    putU16(this.#headers, at + IPV4_CHECKSUM, 0)
    putU16(this.#headers, at + IPV4_CHECKSUM, finish(sum(this.#headers, at, at + ipv4.HEADER)))
  }

  #putIpv6(fragment: Fragment, length: number): void {
    const at = ethernet.HEADER
    const protocol = u8(this.#headers, at + IPV6_NEXT)
    putU8(this.#headers, at + IPV6_NEXT, ipv6.FRAGMENT)
    putU16(this.#headers, at + IPV6_LENGTH, ipv6.FRAGMENT_HEADER + length)
    ipv6.emitFragment(this.#headers, at + ipv6.HEADER, { protocol, ...fragment })
  }
}

interface Fragment {
  readonly offset: number
  readonly more: boolean
  readonly identification: number
}
