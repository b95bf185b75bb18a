/**
 * Echo replies for the addresses that are ours, and for no others: RFC 1122 section 3.2.2.6, RFC 4443 section 4.2.
 *
 * The payload goes back from where it lies. The checksum is that of the request, changed by what the reply changes: a request that was damaged makes a
 * reply that is damaged.
 *
 * @module
 */
import { type Frame, Parts } from "@skep/link"
import { copy, putU16 } from "@skep/wire/bytes"
import { update } from "@skep/wire/checksum"
import * as ethernet from "@skep/wire/ethernet"
import * as icmp from "@skep/wire/icmp"
import * as icmpv6 from "@skep/wire/icmpv6"
import * as ip from "@skep/wire/ip"
import { type Gateway, owns } from "./gateway.ts"

const HOP_LIMIT = 64
const CHECKSUM = 2

export type NoEcho =
  /** It is something else, or for somebody else. */
  | "not-for-us"
  | "truncated"
  /** Its checksum is still to be finished, which no system leaves to others for ICMP. */
  | "unfinished"

/** A reply, to be sent, or cut where it is larger than the MTU. */
export class EchoReply {
  readonly headers: Uint8Array = new Uint8Array(ethernet.HEADER + 40 + icmp.HEADER)
  /** Bytes of the headers. */
  length = 0
  readonly payload: Parts = new Parts()
  /** Its checksum is whole. */
  identification = 0
  readonly #message = icmp.view()

  /** Makes this the reply to an echo request for an address of ours. Returns why there is none. */
  answer(gateway: Gateway, frame: Frame, packet: Readonly<ip.IpView>): NoEcho | undefined {
    const { bytes } = frame
    const message = this.#message
    const isIpv4 = packet.version === 4
    if (packet.protocol !== (isIpv4 ? ip.PROTOCOL_ICMP : ip.PROTOCOL_ICMPV6)) return "not-for-us"
    if (!owns(gateway, bytes, packet.destinationAt, packet.addressLength)) return "not-for-us"
    const read = icmp.parse(bytes, packet.payloadAt, frame.at + frame.head, packet.payloadEnd, message)
    if (typeof read === "string") return read
    if (message.type !== (isIpv4 ? icmp.ECHO : icmpv6.ECHO) || message.code !== 0) return "not-for-us"
    if (frame.offload.checksumStart !== 0) return "unfinished"
    this.payload.clear()
    this.payload.append(frame.parts, message.payloadAt - frame.at, message.payloadEnd - message.payloadAt)
    if (this.payload.bytes !== message.payloadEnd - message.payloadAt) return "truncated"
    this.#write(gateway, frame, packet)
    return undefined
  }

  #write(gateway: Gateway, frame: Frame, packet: Readonly<ip.IpView>): void {
    const { bytes } = frame
    const { sourceAt, destinationAt, addressLength } = packet
    const isIpv4 = packet.version === 4
    // RFC 6864, section 4.2: it differs among packets that may be cut.
    this.identification = (this.identification + 1) & 0xffff
    const type = isIpv4 ? ethernet.TYPE_IPV4 : ethernet.TYPE_IPV6
    ethernet.emit(this.headers, 0, ethernet.sourceOf(bytes, frame.at), gateway.mac, type)
    const fields = {
      source: bytes.subarray(destinationAt, destinationAt + addressLength),
      destination: bytes.subarray(sourceAt, sourceAt + addressLength),
      protocol: packet.protocol,
      payloadLength: packet.payloadEnd - packet.payloadAt,
      hopLimit: HOP_LIMIT,
      trafficClass: packet.trafficClass,
      identification: this.identification,
    }
    const at = ethernet.HEADER + ip.emit(this.headers, ethernet.HEADER, fields)
    const [from, to] = isIpv4 ? [icmp.ECHO, icmp.ECHO_REPLY] : [icmpv6.ECHO, icmpv6.ECHO_REPLY]
    copy(bytes, packet.payloadAt, icmp.HEADER, this.headers, at)
    this.headers[at] = to
    // The pseudo-header of ICMPv6 sums up the same with its addresses exchanged.
    putU16(this.headers, at + CHECKSUM, update(this.#message.checksum, from << 8, to << 8))
    this.length = at + icmp.HEADER
  }
}
