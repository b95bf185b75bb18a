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
import * as address from "@skep/wire/address"
import * as mac from "@skep/wire/mac"
import { addressIn } from "./subnet.ts"

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
  readonly subnet: address.Prefix
  /** A /64; derived from `identity` unless given. */
  readonly subnet6?: address.Prefix
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
    subnet: address.formatPrefix(subnet),
    gateway: address.format(addressIn(subnet, GATEWAY)),
    host: address.format(addressIn(subnet, subnet.length > HOST_NEEDS_BITS ? GATEWAY : HOST)),
    subnet6: address.formatPrefix(subnet6),
    gateway6: address.format(addressIn(subnet6, GATEWAY)),
    host6: address.format(addressIn(subnet6, HOST_6)),
    gatewayMac: localMac(identity),
    mtu,
    domain,
  }
}

/** RFC 4193 section 3.1: fd, 40 bits of the identity's hash in place of its algorithm's random ones, subnet 0. */
function localSubnet6(identity: string): address.Prefix {
  const bytes = new Uint8Array(16)
  bytes[0] = 0xfd
  bytes.set(hashOf("prefix", identity).subarray(0, 5), 1)
  return { address: bytes, length: 64 }
}

/** Locally administered, of one station (IEEE 802, section 8.2). */
function localMac(identity: string): string {
  return mac.format(0x02_00_00_00_00_00 + hashOf("gateway", identity).readUIntBE(0, 5))
}

function hashOf(what: string, identity: string): Buffer {
  return createHash("sha256").update(`skep network ${what}\0${identity}`).digest()
}
