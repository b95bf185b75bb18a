/**
 * Frames as machines send them, and frames for machines taken apart again.
 *
 * @module
 */
import { Frame, HEAD, Parts, PoolMemory } from "@skep/link"
import * as address from "@skep/wire/address"
import * as arp from "@skep/wire/arp"
import { sum } from "@skep/wire/checksum"
import * as ethernet from "@skep/wire/ethernet"
import * as icmp from "@skep/wire/icmp"
import * as ip from "@skep/wire/ip"
import * as ipv4 from "@skep/wire/ipv4"
import * as transport from "@skep/wire/transport"
import { type Gateway, gatewayOf } from "../../src/ip/gateway.ts"

export const GATEWAY_MAC = 0x5a94_efe4_0cdd
export const GUEST_MAC = 0x0200_0000_0001
export const OTHER_MAC = 0x0200_0000_0002

export function addr(text: string): Uint8Array {
  const bytes = address.parse(text)
  if (typeof bytes === "string") throw new Error(`${bytes}: ${text}`)
  return bytes
}

export function net(text: string): address.Prefix {
  const prefix = address.parsePrefix(text)
  if (typeof prefix === "string") throw new Error(`${prefix}: ${text}`)
  return prefix
}

export const GATEWAY: Gateway = gatewayOf({
  mac: GATEWAY_MAC,
  ipv4: { prefix: net("192.168.64.0/24"), addresses: [addr("192.168.64.1"), addr("192.168.64.254")] },
  ipv6: { prefix: net("fd00:64::/64"), addresses: [addr("fd00:64::1")] },
})

export interface PacketFields {
  readonly from: string
  readonly to: string
  readonly protocol: number
  readonly payload: Uint8Array
  readonly hopLimit?: number
  readonly identification?: number
  readonly fragmentOffset?: number
  readonly moreFragments?: boolean
  readonly mac?: number
  readonly toMac?: number
}

/** The bytes of a frame with an IP packet. Checksums of ICMPv6 are put; those of others are the payload's affair. */
export function packetBytes(fields: PacketFields): Uint8Array {
  const [source, destination] = [addr(fields.from), addr(fields.to)]
  const { payload, protocol, identification = 0, fragmentOffset = 0, moreFragments = false } = fields
  const size = ip.headerSize(source.length)
  const bytes = new Uint8Array(ethernet.HEADER + size + payload.length)
  const type = source.length === 4 ? ethernet.TYPE_IPV4 : ethernet.TYPE_IPV6
  ethernet.emit(bytes, 0, fields.toMac ?? GATEWAY_MAC, fields.mac ?? GUEST_MAC, type)
  const payloadLength = payload.length
  const hopLimit = fields.hopLimit ?? 64
  const rest = { protocol, payloadLength, hopLimit, identification, fragmentOffset, moreFragments }
  ip.emit(bytes, ethernet.HEADER, { source, destination, ...rest })
  bytes.set(payload, ethernet.HEADER + size)
  if (protocol === ip.PROTOCOL_ICMPV6) transport.finish(bytes, ethernet.HEADER, bytes.length, 0)
  return bytes
}

/** An ICMP message of either version; the checksum of ICMP is put. */
export function icmpMessage(type: number, code: number, rest: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(icmp.HEADER + payload.length)
  bytes.set(payload, icmp.HEADER)
  icmp.emit(bytes, 0, type, code, rest)
  icmp.finish(bytes, 0, sum(bytes, icmp.HEADER, bytes.length))
  return bytes
}

export function arpBytes(
  operation: number,
  sender: string,
  target: string,
  mac = GUEST_MAC,
  stationMac = mac,
): Uint8Array {
  const bytes = new Uint8Array(ethernet.HEADER + arp.SIZE)
  ethernet.emit(bytes, 0, 0xffff_ffff_ffff, stationMac, ethernet.TYPE_ARP)
  const fields = { operation, senderMac: mac, sender: addr(sender), targetMac: 0, target: addr(target) }
  arp.emit(bytes, ethernet.HEADER, fields)
  return bytes
}

/** Puts bytes into memory, in pieces that end at `cuts`, as a link's frame. Only the first `HEAD` can be read. */
export function frameOf(memory: PoolMemory, bytes: Uint8Array, cuts: readonly number[] = []): Frame {
  const frame = new Frame()
  const ends = [...new Set(cuts.filter((cut) => cut > 0 && cut < bytes.length)), bytes.length].toSorted(
    (a, b) => a - b,
  )
  let from = 0
  for (const end of ends) {
    const at = memory.allocate(Math.max(1, end - from))
    if (at === 0) throw new Error("no memory")
    memory.write(bytes, from, end - from, at)
    frame.parts.push(at, end - from)
    from = end
  }
  // Elsewhere in other bytes.
  frame.at = 3
  frame.head = Math.min(HEAD, bytes.length)
  frame.bytes = new Uint8Array(3 + frame.head)
  frame.bytes.set(bytes.subarray(0, frame.head), 3)
  frame.length = bytes.length
  return frame
}

/** All bytes of a frame. */
export function wholeOf(
  memory: PoolMemory,
  headers: Uint8Array,
  at: number,
  length: number,
  payload: Parts,
): Uint8Array {
  const bytes = new Uint8Array(length + payload.bytes)
  bytes.set(headers.subarray(at, at + length))
  let to = length
  for (let index = 0; index < payload.count; index++) {
    memory.read(payload.addressAt(index), payload.lengthAt(index), bytes, to)
    to += payload.lengthAt(index)
  }
  return bytes
}

/** The IP packet of a frame; throws where it is not sound. */
export function packetOf(frame: Frame): ip.IpView {
  const read = ip.parse(
    frame.bytes,
    frame.at + ethernet.HEADER,
    frame.at + frame.head,
    frame.at + frame.length,
    ip.ipView(),
  )
  if (typeof read === "string") throw new Error(read)
  return read
}

export interface Said {
  readonly from: string
  readonly to: string
  readonly fromMac: number
  readonly toMac: number
  readonly packet: ip.IpView
  /** Behind the IP header. */
  readonly payload: Uint8Array
}

/** Takes a whole frame apart and checks every checksum that it has. */
export function said(bytes: Uint8Array): Said {
  const head = ethernet.parse(bytes, 0, bytes.length, bytes.length, ethernet.view())
  const packet = ip.parse(bytes, ethernet.HEADER, bytes.length, bytes.length, ip.ipView())
  if (typeof head === "string") throw new Error(head)
  if (typeof packet === "string") throw new Error(packet)
  const total = sum(bytes, packet.payloadAt, packet.payloadEnd)
  if (packet.version === 4 && !ipv4.checksumOk(bytes, packet)) throw new Error("the IPv4 checksum is wrong")
  const isWhole = !ip.isFragment(packet)
  if (isWhole && packet.protocol === ip.PROTOCOL_ICMP && total !== 0xffff)
    throw new Error("the ICMP checksum is wrong")
  if (
    isWhole &&
    transport.checksumOffset(packet.protocol) !== -1 &&
    !transport.checksumOk(bytes, packet, total)
  ) {
    throw new Error("the transport's checksum is wrong")
  }
  return {
    from: address.formatAt(bytes, packet.sourceAt, packet.addressLength),
    to: address.formatAt(bytes, packet.destinationAt, packet.addressLength),
    fromMac: head.source,
    toMac: head.destination,
    packet,
    payload: bytes.slice(packet.payloadAt, packet.payloadEnd),
  }
}
