/**
 * Which of several leases of one address, or of one client, counts: pure.
 *
 * Nearly every address and client has one lease only, and a file may have a hundred thousand: their numbers are sorted, which costs little, and only what is
 * there more than once is kept by its text (repeated.ts).
 *
 * @module
 */
import { isIpv6 } from "../formats/fields.ts"
import { expiryOf, type Lease, macOf, type Octets } from "../model.ts"
import { Repeated, repeatedAddresses } from "./repeated.ts"

export class Newest {
  /** Only of what may be there more than once. */
  readonly #byAddress = new Map<string, Lease>()
  readonly #byClient = new Map<string, Lease>()

  /** bootpd writes what it touched last first, and looks no further; the others have one of each, or the later one counts. A reservation is no older one of anything. */
  constructor(leases: readonly Lease[], format: string) {
    const firstCounts = format === "bootpd"
    const addresses = repeatedAddresses(leases)
    const clients = new Repeated(leases, clientNumber)
    for (const lease of leases) {
      if (lease.state !== "bound" && lease.state !== "declined") continue
      if (addresses.mayBe(lease)) keep(this.#byAddress, lease.address, lease, firstCounts)
      const client = clients.mayBe(lease) ? clientOf(lease) : undefined
      if (client !== undefined) keep(this.#byClient, client, lease, firstCounts)
    }
    for (const lease of leases) if (lease.state === "reserved") this.#byAddress.set(lease.address, lease)
  }

  /** Of the address of a lease; what its server says is superseded never is. */
  isOfAddress(lease: Lease): boolean {
    if (lease.state === "superseded") return false
    return (this.#byAddress.get(lease.address) ?? lease) === lease
  }

  /** Of the client of a lease; nobody is newer than one of an unknown client. */
  isOfClient(lease: Lease): boolean {
    if (this.#byClient.size === 0) return true
    const client = clientOf(lease)
    return client === undefined || (this.#byClient.get(client) ?? lease) === lease
  }
}

function keep(map: Map<string, Lease>, key: string, lease: Lease, firstCounts: boolean): void {
  const other = map.get(key)
  const [mine, theirs] = [expiryOf(lease), other === undefined ? -Infinity : expiryOf(other)]
  if (other === undefined || mine > theirs || (mine === theirs && !firstCounts)) map.set(key, lease)
}

/** IPv4 and IPv6 of one client are two leases, and so are those of two machines that were made from one image, where the server tells them apart. */
function clientOf(lease: Lease): string | undefined {
  const id = macOf(lease) ?? lease.clientId
  if (id === undefined || lease.state !== "bound") return undefined
  if (isPlain(lease)) return id
  return `${lease.machine ?? ""} ${isIpv6(lease.address) ? `${lease.clientId ?? ""} 6` : "4"} ${id}`
}

/** Of a client that is nothing but its Ethernet address. */
function clientNumber(lease: Lease): number | undefined {
  const mac = isPlain(lease) ? macOf(lease) : undefined
  return mac === undefined ? undefined : octetsNumber(mac)
}

function isPlain(lease: Lease): boolean {
  return lease.machine === undefined && !isIpv6(lease.address)
}

/** Six octets fit a number. */
function octetsNumber(octets: Octets): number {
  let value = 0
  for (let at = 0; at < octets.length; at++) {
    const code = octets.charCodeAt(at)
    if (code !== COLON) value = value * 16 + (code < LOWER_A ? code - ZERO : code - LOWER_A + 10)
  }
  return value
}

const COLON = 0x3a
const ZERO = 0x30
const LOWER_A = 0x61
