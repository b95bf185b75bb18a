/**
 * Frames for tests, written down field by field so that they do not depend on what they judge.
 *
 * @module
 */

export interface Segment {
  readonly from: string
  readonly to: string
  readonly fromPort: number
  readonly toPort: number
}

export interface TcpFields extends Segment {
  readonly sequence: number
  readonly acknowledgement: number
  readonly flags: number
  readonly options?: readonly number[]
  readonly payload?: Uint8Array
  /** Leaves the checksum to be finished: only the pseudo-header is in it. */
  readonly partial?: boolean
  readonly identification?: number
}

export const FIN = 1
export const SYN = 2
export const RST = 4
export const PSH = 8
export const ACK = 16

export const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1")

export function macOf(mac: string): number[] {
  return mac.split(":").map((part) => Number.parseInt(part, 16))
}

export function ethernet(to: string, from: string, type: number, payload: Uint8Array): Uint8Array {
  return Uint8Array.from([...macOf(to), ...macOf(from), type >>> 8, type & 0xff, ...payload])
}

/** The one's complement sum, not inverted. */
export function sum(bytes: Uint8Array, seed = 0): number {
  let total = seed
  for (const [index, byte] of bytes.entries()) {
    total += index % 2 === 0 ? byte << 8 : byte
    if (total > 0xffff) total -= 0xffff
  }
  return total
}

export function arpReply(mac: string, address: string, toMac: string, toAddress: string): Uint8Array {
  const body = [0, 1, 8, 0, 6, 4, 0, 2, ...macOf(mac), ...ip(address), ...macOf(toMac), ...ip(toAddress)]
  return ethernet(toMac, mac, 0x0806, Uint8Array.from(body))
}

export function udp4(fields: Segment, payload: Uint8Array, partial = false): Uint8Array {
  const { from, to, fromPort, toPort } = fields
  const length = 8 + payload.length
  const body = Uint8Array.from([...u16(fromPort), ...u16(toPort), ...u16(length), 0, 0, ...payload])
  return ipv4(from, to, 17, finish(fields, 17, body, 6, partial))
}

export function tcp4(fields: TcpFields): Uint8Array {
  return ipv4(fields.from, fields.to, 6, tcp(fields), fields.identification)
}

export function tcp6(fields: TcpFields): Uint8Array {
  return ipv6(fields.from, fields.to, 6, tcp(fields))
}

function tcp(fields: TcpFields): Uint8Array {
  const { fromPort, toPort, sequence, acknowledgement, flags, options = [], payload } = fields
  const body = new Uint8Array(20 + options.length + (payload?.length ?? 0))
  body.set([...u16(fromPort), ...u16(toPort), ...u32(sequence), ...u32(acknowledgement)])
  body.set([((20 + options.length) / 4) << 4, flags, 0xff, 0xff, 0, 0, 0, 0, ...options], 12)
  if (payload !== undefined) body.set(payload, 20 + options.length)
  return finish(fields, 6, body, 16, fields.partial === true)
}

export function ipv4(from: string, to: string, protocol: number, payload: Uint8Array, id = 7): Uint8Array {
  const bytes = new Uint8Array(20 + payload.length)
  bytes.set([0x45, 0, ...u16(bytes.length), ...u16(id), 0x40, 0, 64, protocol, 0, 0, ...ip(from), ...ip(to)])
  bytes.set(u16(~sum(bytes.subarray(0, 20)) & 0xffff), 10)
  bytes.set(payload, 20)
  return bytes
}

export function ipv6(from: string, to: string, protocol: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(40 + payload.length)
  bytes.set([0x60, 0, 0, 0, ...u16(payload.length), protocol, 64, ...ip(from), ...ip(to)])
  bytes.set(payload, 40)
  return bytes
}

function finish(ends: Segment, protocol: number, body: Uint8Array, at: number, partial: boolean) {
  const { from, to } = ends
  const pseudo = Uint8Array.from([...ip(from), ...ip(to), 0, protocol, ...u16(body.length)])
  const seed = sum(pseudo)
  body.set(u16(partial ? seed : ~sum(body, seed) & 0xffff), at)
  return body
}

/** What is wrong with the checksums of an IP packet of TCP or UDP; "" if nothing. */
export function complaint(packet: Uint8Array): string {
  const version6 = (packet[0] ?? 0) >>> 4 === 6
  const at = version6 ? 40 : ((packet[0] ?? 0) & 15) * 4
  const addresses = version6 ? packet.subarray(8, 40) : packet.subarray(12, 20)
  const protocol = (version6 ? packet[6] : packet[9]) ?? 0
  if (!version6 && sum(packet.subarray(0, at)) !== 0xffff) return "IPv4 header checksum"
  const length = version6 ? read16(packet, 4) : read16(packet, 2) - at
  if (length !== packet.length - at) return `length ${length} of ${packet.length - at}`
  const seed = sum(Uint8Array.from([...addresses, 0, protocol, ...u16(length)]))
  return sum(packet.subarray(at), seed) === 0xffff ? "" : "transport checksum"
}

/** The bytes of an IPv4 address, or of an IPv6 address with all its eight words. */
export function ip(address: string): number[] {
  if (!address.includes(":")) return address.split(".").map(Number)
  return address.split(":").flatMap((word) => u16(Number.parseInt(word, 16)))
}

export function u16(value: number): number[] {
  return [(value >>> 8) & 0xff, value & 0xff]
}

function u32(value: number): number[] {
  return [...u16(value >>> 16), ...u16(value & 0xffff)]
}

export function read16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0)
}

export function read32(bytes: Uint8Array, at: number): number {
  return read16(bytes, at) * 65_536 + read16(bytes, at + 2)
}
