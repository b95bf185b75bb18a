/**
 * What an ARP packet tells and asks: RFC 826, RFC 5227.
 *
 * @module
 */
import type { Frame } from "@skep/link"
import { isUnspecified } from "@skep/wire/address"
import * as arp from "@skep/wire/arp"
import * as ethernet from "@skep/wire/ethernet"
import * as mac from "@skep/wire/mac"
import { type Gateway, isMachine, owns } from "./gateway.ts"

export type ArpRefusal =
  | `arp-${arp.Malformed}`
  /** The frame came from another station than the packet says. */
  | "arp-other-station"
  /** Somebody says that an address of ours is theirs. */
  | "arp-claims-ours"
  /** The sender's address is none of a machine. */
  | "arp-bad-sender"

export interface ArpVerdict {
  refusal: ArpRefusal | undefined
  /** Where the sender's address is that is to be learnt, or -1. */
  learnAt: number
  /** Where the address of ours is that is asked for, or -1. */
  askedAt: number
  readonly packet: arp.View
}

export function arpVerdict(): ArpVerdict {
  return { refusal: undefined, learnAt: -1, askedAt: -1, packet: arp.view() }
}

/** Judges the packet behind the Ethernet header of `frame`. */
export function judgeArp(gateway: Gateway, frame: Frame, station: number, into: ArpVerdict): ArpVerdict {
  const { bytes, at } = frame
  const { packet } = into
  into.refusal = undefined
  into.learnAt = -1
  into.askedAt = -1
  const read = arp.parse(bytes, at + ethernet.HEADER, at + frame.head, at + frame.length, packet)
  if (typeof read === "string") into.refusal = `arp-${read}`
  else if (packet.senderMac !== station || mac.isGroup(station)) into.refusal = "arp-other-station"
  else if (owns(gateway, bytes, packet.senderAt, 4)) into.refusal = "arp-claims-ours"
  else if (isMachine(gateway, bytes, packet.senderAt, 4)) into.learnAt = packet.senderAt
  // RFC 5227, section 2.1.1: a probe comes from no address, and tells none.
  else if (!isUnspecified(bytes, packet.senderAt, 4)) into.refusal = "arp-bad-sender"
  if (
    into.refusal === undefined &&
    packet.operation === arp.REQUEST &&
    owns(gateway, bytes, packet.targetAt, 4)
  ) {
    into.askedAt = packet.targetAt
  }
  return into
}
