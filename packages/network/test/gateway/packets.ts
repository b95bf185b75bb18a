/**
 * Packets that machines send, and what they read from those that they get.
 *
 * @module
 */

import * as address from "@skep/wire/address"
import { sum } from "@skep/wire/checksum"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import * as ndp from "@skep/wire/ndp"
import * as tcp from "@skep/wire/tcp"
import * as transport from "@skep/wire/transport"
import * as udp from "@skep/wire/udp"

export const IPV4 = 0x0800
export const IPV6 = 0x86dd
export const ARP = 0x0806
export const { SYN, ACK, FIN, RST } = tcp

export interface Ends {
  readonly from: string
  readonly to: string
  readonly fromPort: number
  readonly toPort: number
}

export function addressOf(text: string): Uint8Array {
  const bytes = address.parse(text)
  if (typeof bytes === "string") throw new Error(`no address: ${text}`)
  return bytes
}

/** An IP packet; a checksum of UDP, TCP or ICMPv6 is put. */
export function packet(
  from: string,
  to: string,
  protocol: number,
  payload: Uint8Array,
  moreFragments = false,
): Uint8Array {
  const [source, destination] = [addressOf(from), addressOf(to)]
  const size = ip.headerSize(source.length)
  const bytes = new Uint8Array(size + payload.length)
  bytes.set(payload, size)
  const payloadLength = payload.length
  ip.emit(bytes, 0, { source, destination, protocol, payloadLength, hopLimit: 64, moreFragments })
  if ([ip.PROTOCOL_TCP, ip.PROTOCOL_UDP, ip.PROTOCOL_ICMPV6].includes(protocol))
    transport.finish(bytes, 0, bytes.length, 0)
  return bytes
}

export function datagram({ from, to, fromPort, toPort }: Ends, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(udp.HEADER + payload.length)
  udp.emit(bytes, 0, fromPort, toPort, payload.length)
  bytes.set(payload, udp.HEADER)
  return packet(from, to, ip.PROTOCOL_UDP, bytes)
}

export interface Said {
  readonly flags: number
  readonly sequence: number
  readonly acknowledgement?: number
  readonly payload?: Uint8Array
}

export function segment(ends: Ends, said: Said): Uint8Array {
  const fields = tcp.view()
  fields.source = ends.fromPort
  fields.destination = ends.toPort
  fields.flags = said.flags
  fields.sequence = said.sequence
  fields.acknowledgement = said.acknowledgement ?? 0
  fields.window = 0xffff
  if ((said.flags & SYN) !== 0) fields.mss = 1460
  const bytes = new Uint8Array(tcp.HEADER_MAX + (said.payload?.length ?? 0))
  const size = tcp.emit(bytes, 0, fields)
  bytes.set(said.payload ?? [], size)
  return packet(ends.from, ends.to, ip.PROTOCOL_TCP, bytes.subarray(0, size + (said.payload?.length ?? 0)))
}

export function icmp(from: string, to: string, type: number, rest: number): Uint8Array {
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  view.setUint8(0, type)
  view.setUint32(4, rest)
  view.setUint16(2, ~sum(bytes, 0, bytes.length) & 0xffff)
  return packet(from, to, ip.PROTOCOL_ICMP, bytes)
}

/** An ARP packet of a machine. */
export function arp(operation: 1 | 2, sender: { mac: number; address: string }, target: string): Uint8Array {
  const bytes = Uint8Array.of(0, 1, 8, 0, 6, 4, 0, operation, ...macBytes(sender.mac))
  return Uint8Array.from([...bytes, ...addressOf(sender.address), 0, 0, 0, 0, 0, 0, ...addressOf(target)])
}

function macBytes(mac: number): readonly number[] {
  return [40, 32, 24, 16, 8, 0].map((bit) => Math.floor(mac / 2 ** bit) % 256)
}

/** What a frame of the gateway says. */
export interface Heard {
  readonly type: number
  readonly destinationMac: number
  readonly protocol: number
  readonly from: string
  readonly to: string
  readonly fromPort: number
  readonly toPort: number
  readonly flags: number
  readonly sequence: number
  readonly acknowledgement: number
  /** Of UDP or TCP; of other protocols all behind the IP header. */
  readonly payload: Uint8Array
}

/** Reads an IP packet. Throws for what is none: the gateway sends sound ones only. */
export function hear(frame: Uint8Array): Heard {
  const header = ethernet.parse(frame, 0, frame.length, frame.length, ethernet.view())
  if (typeof header === "string") throw new Error(header)
  const { type, destination: destinationMac } = header
  const view = ip.parse(frame, ethernet.HEADER, frame.length, frame.length, ip.ipView())
  if (typeof view === "string") return { ...NOTHING, type, destinationMac }
  const { sourceAt, destinationAt, addressLength, protocol, payloadAt, payloadEnd } = view
  const heard = {
    ...NOTHING,
    type,
    destinationMac,
    protocol,
    from: address.format(frame.subarray(sourceAt, sourceAt + addressLength)),
    to: address.format(frame.subarray(destinationAt, destinationAt + addressLength)),
    payload: frame.slice(payloadAt, payloadEnd),
  }
  if (protocol === ip.PROTOCOL_UDP) {
    const read = udp.parse(frame, payloadAt, frame.length, payloadEnd, udp.view())
    if (typeof read === "string") throw new Error(read)
    const payload = frame.slice(read.payloadAt, read.payloadEnd)
    return { ...heard, fromPort: read.source, toPort: read.destination, payload }
  }
  if (protocol !== ip.PROTOCOL_TCP) return heard
  const read = tcp.parse(frame, payloadAt, frame.length, payloadEnd, tcp.view())
  if (typeof read === "string") throw new Error(read)
  const { source: fromPort, destination: toPort, flags, sequence, acknowledgement } = read
  const payload = frame.slice(read.payloadAt, read.payloadEnd)
  return { ...heard, fromPort, toPort, flags, sequence, acknowledgement, payload }
}

const NOTHING: Omit<Heard, "type" | "destinationMac"> = {
  protocol: 0,
  from: "",
  to: "",
  fromPort: 0,
  toPort: 0,
  flags: 0,
  sequence: 0,
  acknowledgement: 0,
  payload: new Uint8Array(0),
}

/** A message of Neighbor Discovery, with its checksum; it says that it has not left the link. */
export function neighbourly(
  from: string,
  to: string,
  message: Uint8Array,
  hopLimit = ndp.HOP_LIMIT,
): Uint8Array {
  const bytes = packet(from, to, ip.PROTOCOL_ICMPV6, message)
  bytes[7] = hopLimit
  return bytes
}

/** Asks who has an address: from nobody where it is to be found out whether it is free (RFC 4862). */
export function solicitation(from: string, target: string, station: number): Uint8Array {
  const bytes = new Uint8Array(32)
  const size = ndp.emitSolicitation(bytes, 0, addressOf(target), station)
  const group = address.format(address.solicitedNode(addressOf(target), 0))
  // Who has no address has no MAC address to tell either.
  return neighbourly(from, group, bytes.subarray(0, from === "::" ? 24 : size))
}

/** Says to somebody, or to all, that an address is the station's. */
export function advertisement(from: string, target: string, station: number, to = "ff02::1"): Uint8Array {
  const bytes = new Uint8Array(32)
  const said = {
    target: addressOf(target),
    linkAddress: station,
    router: false,
    solicited: false,
    override: true,
  }
  return neighbourly(from, to, bytes.subarray(0, ndp.emitAdvertisement(bytes, 0, said)))
}
