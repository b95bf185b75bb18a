/**
 * The plan of a network in the words of the stack and of the DHCP server.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { type Gateway, gatewayOf } from "@skep/stack"
import * as address from "@skep/wire/address"
import * as mac from "@skep/wire/mac"
import type { NetworkPlan } from "../addressing/plan.ts"
import type { DhcpNetwork } from "../dhcp/plan.ts"
import type { ThreadData } from "../thread/calls.ts"

/** The gateway as the stack knows it. Throws "bad-options". */
export function stationOf(plan: NetworkPlan): Gateway {
  const station = mac.parse(plan.gatewayMac)
  const ipv4 = address.parsePrefix(plan.subnet)
  const ipv6 = address.parsePrefix(plan.subnet6)
  if (typeof station === "string" || typeof ipv4 === "string" || typeof ipv6 === "string")
    throw new SidecarError("bad-options", `Cannot read the addresses of the network "${plan.subnet}"`)
  const own4 = plan.host === plan.gateway ? [plan.gateway] : [plan.gateway, plan.host]
  return gatewayOf({
    mac: station,
    ipv4: { prefix: ipv4, addresses: own4.map(bytesOf) },
    ipv6: { prefix: ipv6, addresses: [plan.gateway6, plan.host6].map(bytesOf) },
  })
}

/** The network as the DHCP server knows it. */
export function dhcpNetworkOf({ plan, search, reservations }: ThreadData): DhcpNetwork {
  return {
    subnet: plan.subnet,
    gateway: plan.gateway,
    exclude: [plan.host],
    domain: plan.domain,
    search: [plan.domain, ...search],
    mtu: plan.mtu,
    reservations,
    identity: "machine",
  }
}

/** The bytes of an address of the plan. Throws "bad-options". */
export function bytesOf(text: string): Uint8Array {
  const bytes = address.parse(text)
  if (typeof bytes === "string") throw new SidecarError("bad-options", `Cannot read the address "${text}"`)
  return bytes
}
