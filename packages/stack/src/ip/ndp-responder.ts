/**
 * What a message of Neighbor Discovery tells and asks: RFC 4861, sections 6.1, 7.1 and 7.2.
 *
 * @module
 */
import type { Frame } from "@skep/link"
import { isMulticast, isUnspecified } from "@skep/wire/address"
import { u8 } from "@skep/wire/bytes"
import { sum } from "@skep/wire/checksum"
import type { IpView } from "@skep/wire/ip"
import * as mac from "@skep/wire/mac"
import * as ndp from "@skep/wire/ndp"
import * as transport from "@skep/wire/transport"
import { type Gateway, isMachine, owns } from "./gateway.ts"

const REDIRECT = 137

export type NdpRefusal =
  | `ndp-${ndp.Malformed}`
  /** It may have come from beyond the network. */
  | "ndp-hop-limit"
  | "ndp-checksum"
  /** A machine says that it is a router: it shall not take over what others send. */
  | "ndp-rogue-router"
  | "ndp-other-station"
  | "ndp-claims-ours"
  | "ndp-bad-sender"

export interface NdpVerdict {
  refusal: NdpRefusal | undefined
  /** Where the address is that is to be learnt, or -1. */
  learnAt: number
  /** Where the address of ours is that is asked for, or -1. */
  askedAt: number
  /** A router is asked for. */
  askedRouter: boolean
  /** Who asks has no address yet. */
  anonymous: boolean
  readonly message: ndp.View
}

export function ndpVerdict(): NdpVerdict {
  return {
    refusal: undefined,
    learnAt: -1,
    askedAt: -1,
    askedRouter: false,
    anonymous: false,
    message: ndp.view(),
  }
}

/** Whether an ICMPv6 message of this type is to be given to `judgeNdp`. */
export function isNdp(type: number): boolean {
  return type >= ndp.ROUTER_SOLICITATION && type <= REDIRECT
}

/** Judges the ICMPv6 message of `packet`, an NDP one. */
export function judgeNdp(
  gateway: Gateway,
  frame: Frame,
  packet: Readonly<IpView>,
  station: number,
  into: NdpVerdict,
): NdpVerdict {
  into.learnAt = -1
  into.askedAt = -1
  into.askedRouter = false
  into.anonymous = isUnspecified(frame.bytes, packet.sourceAt, 16)
  into.refusal = refuse(frame, packet, station, into)
  if (into.refusal !== undefined) return into
  if (into.message.type === ndp.ADVERTISEMENT) judgeAdvertisement(gateway, frame, into)
  else judgeSolicitation(gateway, frame, packet, into)
  return into
}

function refuse(
  frame: Frame,
  packet: Readonly<IpView>,
  station: number,
  into: NdpVerdict,
): NdpRefusal | undefined {
  const { bytes } = frame
  if (packet.hopLimit !== ndp.HOP_LIMIT) return "ndp-hop-limit"
  const head = frame.at + frame.head
  if (packet.payloadEnd > head || packet.payloadEnd === packet.payloadAt) return "ndp-truncated"
  if (!transport.checksumOk(bytes, packet, sum(bytes, packet.payloadAt, packet.payloadEnd)))
    return "ndp-checksum"
  const type = u8(bytes, packet.payloadAt)
  if (type === ndp.ROUTER_ADVERTISEMENT || type === REDIRECT) return "ndp-rogue-router"
  const message = ndp.parse(bytes, packet.payloadAt, packet.payloadEnd, packet.payloadEnd, into.message)
  if (typeof message === "string") return `ndp-${message}`
  // RFC 4861, section 7.1.1: who has no address has nothing to tell.
  if (into.anonymous && message.linkAddress !== -1) return "ndp-bad-sender"
  const told = message.linkAddress === -1 ? station : message.linkAddress
  return told !== station || mac.isGroup(station) ? "ndp-other-station" : undefined
}

function judgeAdvertisement(gateway: Gateway, frame: Frame, into: NdpVerdict): void {
  const { targetAt } = into.message
  if (owns(gateway, frame.bytes, targetAt, 16)) into.refusal = "ndp-claims-ours"
  else if (!isMachine(gateway, frame.bytes, targetAt, 16)) into.refusal = "ndp-bad-sender"
  else into.learnAt = targetAt
}

function judgeSolicitation(gateway: Gateway, frame: Frame, packet: Readonly<IpView>, into: NdpVerdict): void {
  const { bytes } = frame
  if (!into.anonymous) {
    if (owns(gateway, bytes, packet.sourceAt, 16)) into.refusal = "ndp-claims-ours"
    else if (!isMachine(gateway, bytes, packet.sourceAt, 16)) into.refusal = "ndp-bad-sender"
    else into.learnAt = packet.sourceAt
    if (into.refusal !== undefined) return
  } else if (into.message.type === ndp.SOLICITATION && !isMulticast(bytes, packet.destinationAt, 16)) {
    // RFC 4861, section 7.1.1: from no address only to the group of the one who is asked for.
    into.refusal = "ndp-bad-sender"
    return
  }
  into.askedRouter = into.message.type === ndp.ROUTER_SOLICITATION
  if (into.message.targetAt !== -1 && owns(gateway, bytes, into.message.targetAt, 16)) {
    into.askedAt = into.message.targetAt
  }
}
