/**
 * What becomes of a flow of which the guest says, by an ICMP error, that something of it did not arrive.
 *
 * @module
 */
import type { Quoted } from "../ip/quoted.ts"

/** What the guest said, beside of which flow. */
export type GuestError = Pick<Quoted, "told" | "mtu" | "sequence">

export type GuestComplaint =
  /** Nobody is there: the flow is over. */
  | "ended"
  /** Segments are smaller now. */
  | "shrunk"
  /** It may pass by itself, or is no news: nothing was done. */
  | "soft"
  /** It quotes nothing that is on its way. */
  | "unproved"

/** RFC 1191, section 3: nobody has to take more. Some have less, whose packets are cut. */
const MTU4_LEAST = 576
/** RFC 8201, section 4: a node MUST NOT reduce its estimate below the IPv6 minimum link MTU. */
const MTU6_LEAST = 1280
const IPV4_AND_TCP = 40
const IPV6_AND_TCP = 60

/** The payload of a segment that a path of this MTU takes; 0 is what old routers say, who do not know. */
export function segmentOf(mtu: number, isIpv4: boolean): number {
  return isIpv4 ? Math.max(mtu, MTU4_LEAST) - IPV4_AND_TCP : Math.max(mtu, MTU6_LEAST) - IPV6_AND_TCP
}
