/**
 * What guests say by ICMP errors of packets that they got from us: a port that nobody serves, a packet that is too big for a network of their own.
 *
 * Such a message is easily forged, so it is believed only of a flow of the same link, and of TCP only where it quotes a segment that is on its
 * way (RFC 5927, section 4.1). What may pass by itself ends nothing (RFC 1122, section 4.2.3.9; RFC 5927, section 5).
 *
 * @module
 */
import { type Frame, type Port, sumParts } from "@skep/link"
import {
  Counts,
  FlowKey,
  type GuestComplaint,
  parseQuoted,
  type Quoted,
  quoted,
  type Unquoted,
} from "@skep/stack"
import * as icmp from "@skep/wire/icmp"
import * as icmpv6 from "@skep/wire/icmpv6"
import * as ip from "@skep/wire/ip"
import type { Flows } from "./flows.ts"

export type GuestErrorCounter =
  | GuestComplaint
  /** Of no flow of this machine. */
  | "unknown-flow"
  | "checksum"
  | Unquoted

export class GuestErrors {
  readonly counts: Counts<GuestErrorCounter> = new Counts([])
  readonly #flows: Flows
  readonly #message = icmp.view()
  readonly #quoted = quoted()
  readonly #key = new FlowKey()

  constructor(flows: Flows) {
    this.#flows = flows
  }

  /** Takes an ICMP or ICMPv6 message of a machine. Returns whether it is an error. */
  take(port: Port, frame: Frame, packet: Readonly<ip.IpView>): boolean {
    const { bytes } = frame
    const head = frame.at + frame.head
    const message = icmp.parse(bytes, packet.payloadAt, head, packet.payloadEnd, this.#message)
    if (typeof message === "string") return false
    if (!(packet.version === 4 ? icmp : icmpv6).isError(message.type)) return false
    this.counts.add(this.#judge(port, frame, packet))
    return true
  }

  #judge(port: Port, frame: Frame, packet: Readonly<ip.IpView>): GuestErrorCounter {
    if (!this.#intact(frame, packet)) return "checksum"
    const { bytes, at } = frame
    const error = parseQuoted(bytes, this.#message, packet.version, at + frame.head, this.#quoted)
    if (typeof error === "string") return error
    if (error.packet.fragmentOffset > 0) return "soft"
    const key = this.#keyOf(bytes, error)
    const { tcp, datagrams } = this.#flows
    const taken =
      error.packet.protocol === ip.PROTOCOL_TCP
        ? tcp.onGuestError(port, key, error)
        : error.packet.protocol === ip.PROTOCOL_UDP
          ? datagrams.onGuestError(port, key, error.told)
          : undefined
    return taken ?? "unknown-flow"
  }

  /** What we sent came from whom the guest talks to. */
  #keyOf(bytes: Uint8Array, { packet, sourcePort, destinationPort }: Readonly<Quoted>): FlowKey {
    const { sourceAt, destinationAt, addressLength: length } = packet
    const guest = bytes.subarray(destinationAt, destinationAt + length)
    const other = bytes.subarray(sourceAt, sourceAt + length)
    return this.#key.fromEndpoints(packet.protocol, guest, destinationPort, other, sourcePort)
  }

  #intact(frame: Frame, packet: Readonly<ip.IpView>): boolean {
    if (packet.version === 6) return this.#flows.intact(frame, packet)
    const { payloadAt, payloadEnd } = packet
    const { memory } = this.#flows
    return icmp.checksumOk(sumParts(memory, frame.parts, payloadAt - frame.at, payloadEnd - payloadAt, 0))
  }
}
