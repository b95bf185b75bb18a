/**
 * Who has which address in a network, settled once at its start.
 *
 * ```
 *  192.168.64.0/24     .1 gateway: router, DHCP, DNS     .254 host     the rest: machines
 *  fdXX:XXXX:XXXX::/64 ::1                               ::fe
 * ```
 *
 * @module
 */
import { createHash } from "node:crypto"
import { formatAddress } from "./address.ts"
import { addressIn, formatSubnet, type Subnet } from "./subnet.ts"

/** All addresses are text in canonical form. */
export interface NetworkPlan {
  /** `192.168.64.0/24` */
  readonly subnet: string
  readonly gateway: string
  /** The host's loopback for the guest. The gateway's address where the subnet has no room for one more. */
  readonly host: string
  /** `fd12:3456:789a::/64` */
  readonly subnet6: string
  readonly gateway6: string
  readonly host6: string
  /** `02:…`: stable, from the identity of the network. */
  readonly gatewayMac: string
  /** The largest IP packet, told by DHCP and router advertisements unless a link has its own. */
  readonly mtu: number
  /** `skep.internal` */
  readonly domain: string
}

export interface PlanOptions {
  readonly subnet: Subnet
  /** A /64; derived from `identity` unless given. */
  readonly subnet6?: Subnet
  /** What makes this network another than that of the next host. The same identity gives the same plan. */
  readonly identity: string
  readonly mtu: number
  readonly domain: string
}

const GATEWAY = 1
/** The last but the broadcast address. */
const HOST = -2
const HOST_6 = 0xfe
/** A /30 has two addresses: the gateway's, and one machine's. */
const HOST_NEEDS_BITS = 29

export function makePlan({ subnet, identity, mtu, domain, ...more }: PlanOptions): NetworkPlan {
  const subnet6 = more.subnet6 ?? localSubnet6(identity)
  return {
    subnet: formatSubnet(subnet),
    gateway: formatAddress(addressIn(subnet, GATEWAY)),
    host: formatAddress(addressIn(subnet, subnet.bits > HOST_NEEDS_BITS ? GATEWAY : HOST)),
    subnet6: formatSubnet(subnet6),
    gateway6: formatAddress(addressIn(subnet6, GATEWAY)),
    host6: formatAddress(addressIn(subnet6, HOST_6)),
    gatewayMac: localMac(identity),
    mtu,
    domain,
  }
}

/** RFC 4193 section 3.1: fd, 40 bits of the identity's hash in place of its algorithm's random ones, subnet 0. */
function localSubnet6(identity: string): Subnet {
  const address = new Uint8Array(16)
  address[0] = 0xfd
  address.set(hashOf("prefix", identity).subarray(0, 5), 1)
  return { address, bits: 64 }
}

/** Locally administered, of one station (IEEE 802, section 8.2). */
function localMac(identity: string): string {
  const bytes = [...hashOf("gateway", identity).subarray(0, 5)]
  return ["02", ...bytes.map((byte) => byte.toString(16).padStart(2, "0"))].join(":")
}

function hashOf(what: string, identity: string): Buffer {
  return createHash("sha256").update(`skep network ${what}\0${identity}`).digest()
}
