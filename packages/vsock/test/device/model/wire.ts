/**
 * What travels between the two models: headers as bytes, payload as a range of the sender's byte count.
 *
 * Payload is counted, never held, so that a test can move many times 2^32 bytes.
 *
 * @module
 */
import { emit, HEADER, type Packet, packetView, parse } from "../../../src/device/packet.ts"

/** Bytes number `from` to `to` of what one end sends. */
export interface Range {
  readonly from: number
  readonly to: number
}

export interface Parcel {
  readonly packet: Packet
  readonly payload: Range | undefined
}

/** The same packet after a way through bytes. */
export function onTheWire(fields: Partial<Packet>): Packet {
  const bytes = new Uint8Array(HEADER)
  emit({ ...packetView(), ...fields }, bytes, 0)
  return packetAt(bytes)
}

export function packetAt(bytes: Uint8Array): Packet {
  const packet = parse(bytes, 0, HEADER)
  if (typeof packet === "string") throw new Error(`a packet of ours is ${packet}`)
  return packet
}

export function lengthOf(range: Range | undefined): number {
  return range === undefined ? 0 : range.to - range.from
}
