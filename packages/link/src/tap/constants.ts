/**
 * Requests and flags of the TUN/TAP driver and of network interfaces: linux/if_tun.h, linux/sockios.h, net/if.h.
 *
 * @module
 */

export const TUNSETIFF = 0x400454ca
export const TUNSETOFFLOAD = 0x400454d0
export const TUNGETIFF = 0x800454d2
export const TUNSETVNETHDRSZ = 0x400454d8
export const IFF_TAP = 0x2
export const IFF_NO_PI = 0x1000
export const IFF_VNET_HDR = 0x4000
export const TUN_F_CSUM = 1
export const TUN_F_TSO4 = 2
export const TUN_F_TSO6 = 4
export const TUN_F_USO4 = 0x20
export const TUN_F_USO6 = 0x40

export const SIOCADDRT = 0x890b
export const SIOCGIFFLAGS = 0x8913
export const SIOCSIFFLAGS = 0x8914
export const SIOCSIFADDR = 0x8916
export const SIOCSIFNETMASK = 0x891c
export const SIOCGIFMTU = 0x8921
export const SIOCSIFMTU = 0x8922
export const SIOCSIFHWADDR = 0x8924
export const SIOCGIFHWADDR = 0x8927
export const SIOCGIFINDEX = 0x8933
export const SIOCSIFTXQLEN = 0x8943
export const IFF_UP = 0x1
export const ARPHRD_ETHER = 1

/** struct ifreq: a name, and a union that begins at `value`. */
export const IFREQ = { size: 40, name: 16, value: 16 } as const
/** struct in6_ifreq, linux/ipv6.h. */
export const IN6_IFREQ = { size: 24, address: 0, prefix: 16, index: 20 } as const
/** struct rtentry, net/route.h. */
export const RTENTRY = { size: 120, destination: 8, gateway: 24, mask: 40, flags: 56 } as const
export const RTF_UP = 0x1
export const RTF_GATEWAY = 0x2
