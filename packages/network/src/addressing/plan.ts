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
