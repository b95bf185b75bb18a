/**
 * What a network tells its machines by DHCP, checked and made ready once.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { code, encode, encodeNames, encodeRoutes, type Route } from "@skep/wire/dhcp"
import { addressOf, addressText, contains, type Subnet, subnetOf } from "./address.ts"
import type { Identity } from "./lease.ts"
import { type Reservation, Reservations } from "./reservations.ts"

/** Addresses are dotted quads. */
export interface DhcpNetwork {
  /** "192.168.64.0/24" */
  readonly subnet: string
  /** The router, and what this server calls itself. */
  readonly gateway: string
  /** All of the subnet, unless said; 65,536 addresses at most. */
  readonly range?: { readonly first: string; readonly last: string }
  /** Never given to anybody; the gateway is not anyway. */
  readonly exclude?: readonly string[]
  /** Option 6. The gateway, unless said. */
  readonly nameServers?: readonly string[]
  /** Option 15. */
  readonly domain?: string
  /** Option 119. The domain, unless said. */
  readonly search?: readonly string[]
  /** Option 42. */
  readonly timeServers?: readonly string[]
  /** Option 26. */
  readonly mtu?: number
  /** Beside the default route, which option 121 has by itself. */
  readonly routes?: readonly Route[]
  /** A day, unless said; at least two minutes. */
  readonly leaseSeconds?: number
  /** "client", unless said. */
  readonly identity?: Identity
  readonly reservations?: readonly Reservation[]
}

export interface Plan {
  readonly subnet: Subnet
  readonly server: number
  readonly serverText: string
  readonly first: number
  readonly last: number
  /** In no pool and nobody's: the gateway, what is excluded. */
  readonly apart: ReadonlySet<number>
  /** In no pool either. They change while the network runs. */
  readonly reservations: Reservations
  /** Option values by code. */
  readonly values: ReadonlyMap<number, Uint8Array>
  readonly leaseSeconds: number
  readonly identity: Identity
  /** The largest message that goes into one frame. */
  readonly messageMax: number
}

export const LEASE_SECONDS_MIN = 120
const LEASE_SECONDS = 86_400
const LEASE_SECONDS_MAX = 0xffff_fffe
const SUBNET_MIN = 1 << 2
const SUBNET_MAX = 1 << 24
/** A pool has a bit for each of its addresses, and is walked through when it is full. */
const POOL_MAX = 1 << 16
const MTU_MIN = 576
const MTU_MAX = 65_535
const MTU_DEFAULT = 1500

/** Throws "bad-options". */
export function planOf(network: DhcpNetwork): Plan {
  const subnet = readSubnet(network.subnet)
  const inside = (text: string): number => {
    const address = addressOf(text)
    const usable = address !== undefined && address !== subnet.network && address !== subnet.broadcast
    if (!usable || !contains(subnet, address)) throw bad(`"${text}" is no address of ${subnet.text}`)
    return address
  }
  const server = inside(network.gateway)
  const reserved = (network.reservations ?? []).map((reservation) => ({
    ...reservation,
    at: inside(reservation.address),
  }))
  const { mtu = MTU_DEFAULT, leaseSeconds = LEASE_SECONDS } = network
  checkNumber("lease time", leaseSeconds, LEASE_SECONDS_MIN, LEASE_SECONDS_MAX)
  checkNumber("MTU", mtu, MTU_MIN, MTU_MAX)
  return {
    subnet,
    server,
    serverText: addressText(server),
    ...rangeOf(network, subnet, inside),
    apart: new Set([server, ...(network.exclude ?? []).map(inside)]),
    reservations: new Reservations(reserved, server),
    values: valuesOf(network, subnet),
    leaseSeconds,
    identity: network.identity ?? "client",
    messageMax: mtu,
  }
}

function readSubnet(text: string): Subnet {
  const subnet = subnetOf(text)
  const size = subnet === undefined ? 0 : subnet.broadcast - subnet.network + 1
  if (subnet === undefined || size < SUBNET_MIN || size > SUBNET_MAX) {
    throw bad(`"${text}" is no network of a width of 8 to 30`)
  }
  return subnet
}

function rangeOf(
  { range }: DhcpNetwork,
  subnet: Subnet,
  inside: (text: string) => number,
): { readonly first: number; readonly last: number } {
  const first = range === undefined ? subnet.network + 1 : inside(range.first)
  const last = range === undefined ? Math.min(subnet.broadcast - 1, first + POOL_MAX - 1) : inside(range.last)
  if (first > last) throw bad(`the range from ${addressText(first)} to ${addressText(last)} is empty`)
  if (last - first >= POOL_MAX) throw bad(`a range has ${POOL_MAX} addresses at most`)
  return { first, last }
}

function checkNumber(what: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw bad(`a ${what} of ${value} is not ${min} to ${max}`)
}

function valuesOf(network: DhcpNetwork, subnet: Subnet): ReadonlyMap<number, Uint8Array> {
  const { gateway, domain, mtu, nameServers = [gateway], timeServers = [], routes = [] } = network
  const search = network.search ?? (domain === undefined ? [] : [domain])
  const wrong = [...nameServers, ...timeServers].find((address) => addressOf(address) === undefined)
  if (wrong !== undefined) throw bad(`"${wrong}" is no IPv4 address`)
  const values = new Map<number, Uint8Array>([
    [code.SUBNET_MASK, encode(code.SUBNET_MASK, addressText(subnet.mask))],
    [code.ROUTER, encode(code.ROUTER, [gateway])],
    [code.BROADCAST_ADDRESS, encode(code.BROADCAST_ADDRESS, addressText(subnet.broadcast))],
  ])
  try {
    // RFC 3442: whoever takes these routes ignores option 3, so the default route is among them.
    const all = encodeRoutes([{ destination: "0.0.0.0/0", router: gateway }, ...routes])
    values.set(code.CLASSLESS_ROUTES, all)
    values.set(code.MICROSOFT_CLASSLESS_ROUTES, all)
    if (search.length > 0) values.set(code.DOMAIN_SEARCH, encodeNames(search))
    if (domain !== undefined) encodeNames([domain])
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new SidecarError("bad-options", error.message, { cause: error })
  }
  if (nameServers.length > 0) values.set(code.NAME_SERVER, encode(code.NAME_SERVER, nameServers))
  if (timeServers.length > 0) values.set(code.NTP_SERVER, encode(code.NTP_SERVER, timeServers))
  if (domain !== undefined) values.set(code.DOMAIN_NAME, encode(code.DOMAIN_NAME, domain))
  if (mtu !== undefined) values.set(code.INTERFACE_MTU, encode(code.INTERFACE_MTU, mtu))
  return values
}

function bad(reason: string): SidecarError {
  return new SidecarError("bad-options", `Cannot serve DHCP: ${reason}`)
}
