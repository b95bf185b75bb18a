/**
 * Frames and bytes of a link by kind, both ways: for a status page, and for tests that ask what was sent.
 *
 * @module
 */
import { u8, u16 } from "@skep/wire/bytes"
import * as ethernet from "@skep/wire/ethernet"
import type { Link } from "../link.ts"
import { ObservedLink } from "./observed.ts"

const KINDS = ["arp", "tcp4", "udp4", "icmp4", "other4", "tcp6", "udp6", "icmp6", "other6", "other"] as const
export type Kind = (typeof KINDS)[number]

/** What was counted of one kind in one direction. */
export interface KindCount {
  frames: number
  bytes: number
}

export type KindCounts = Readonly<Record<Kind, KindCount>>

/** A link whose frames are counted by kind. `link` is what is to be used. */
export interface Counted {
  readonly link: Link
  readonly incoming: KindCounts
  readonly outgoing: KindCounts
}

const TYPE = 12
const IPV4_PROTOCOL = 23
const IPV6_NEXT = 20
const ICMP = 1
const TCP = 6
const UDP = 17
const ICMPV6 = 58

/** Counts a link's frames; the link was not started. */
export function counted(link: Link): Counted {
  const incoming = zeros()
  const outgoing = zeros()
  const observed = new ObservedLink(link, {
    onIncoming: (frame) => add(incoming[kindOf(frame.bytes, frame.at, frame.head)], frame.length),
    onOutgoing: ({ headers, at, length, payload }) =>
      add(outgoing[kindOf(headers, at, length)], length + payload.bytes),
  })
  return { link: observed, incoming, outgoing }
}

/** The kind of a frame of which `head` bytes can be read. Of IPv6 only the first header is looked at. */
function kindOf(bytes: Uint8Array, at: number, head: number): Kind {
  if (head < TYPE + 2) return "other"
  switch (u16(bytes, at + TYPE)) {
    case ethernet.TYPE_ARP:
      return "arp"
    case ethernet.TYPE_IPV4:
      return head > IPV4_PROTOCOL ? ofIpv4(u8(bytes, at + IPV4_PROTOCOL)) : "other4"
    case ethernet.TYPE_IPV6:
      return head > IPV6_NEXT ? ofIpv6(u8(bytes, at + IPV6_NEXT)) : "other6"
    default:
      return "other"
  }
}

function ofIpv4(protocol: number): Kind {
  if (protocol === TCP) return "tcp4"
  if (protocol === UDP) return "udp4"
  return protocol === ICMP ? "icmp4" : "other4"
}

function ofIpv6(protocol: number): Kind {
  if (protocol === TCP) return "tcp6"
  if (protocol === UDP) return "udp6"
  return protocol === ICMPV6 ? "icmp6" : "other6"
}

function add(count: KindCount, bytes: number): void {
  count.frames++
  count.bytes += bytes
}

function zeros(): Record<Kind, KindCount> {
  const zero = (): KindCount => ({ frames: 0, bytes: 0 })
  return {
    arp: zero(),
    tcp4: zero(),
    udp4: zero(),
    icmp4: zero(),
    other4: zero(),
    tcp6: zero(),
    udp6: zero(),
    icmp6: zero(),
    other6: zero(),
    other: zero(),
  }
}
