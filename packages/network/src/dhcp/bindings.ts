/**
 * Which address is whose: leases, offers, and addresses that were declined.
 *
 * ```
 *              choose            grant               time, release
 *   unused ───────────► offered ───────► leased ◄──────────────────► expired ── given to another when nothing is unused
 *     ▲                    │              │ │                           │
 *     ├──── 60 s ──────────┘              │ └────── decline ──► held ───┴─ 10 min ─► unused
 *     └──── the machine is removed ───────┘
 * ```
 *
 * The lowest unused address is given first. One that was leased stays its client's until it is needed or its machine is removed. What is kept is bounded by the pool; what one link may hold of it,
 * by `leasesPerLink` and so on: whoever asks for more in the names of a thousand clients loses his own oldest.
 *
 * @module
 */
import { addressOf, addressText, contains } from "./address.ts"
import { Holds } from "./holds.ts"
import { type Client, keyOf, type Lease } from "./lease.ts"
import type { Plan } from "./plan.ts"
import { Pool } from "./pool.ts"
import { Former, type KeptAddress } from "./remembered.ts"

export interface Bounds {
  readonly offerMs: number
  readonly offersPerLink: number
  readonly leasesPerLink: number
  readonly declineMs: number
  readonly declinesPerLink: number
}

/** A lease and what it is found by. */
export interface Bound {
  readonly at: number
  readonly key: string
  readonly lease: Lease
}

export class Bindings {
  readonly #plan: Plan
  readonly #leasesPerLink: number
  readonly #pool: Pool
  readonly #offers: Holds
  readonly #declined: Holds
  readonly #byAddress: Map<number, Bound> = new Map()
  readonly #byKey: Map<string, Bound> = new Map()
  /** In the order they were renewed. */
  readonly #byLink: Map<string, Set<Bound>> = new Map()
  readonly #former = new Former()
  /** No lease expires before. Too early is no harm. */
  #nextExpiry = 0

  constructor(plan: Plan, bounds: Bounds) {
    this.#plan = plan
    this.#leasesPerLink = bounds.leasesPerLink
    this.#pool = new Pool(plan.first, plan.last)
    const ended = ({ address }: { address: number }): void => this.#settle(address)
    this.#offers = new Holds({ forMs: bounds.offerMs, perLink: bounds.offersPerLink }, ended)
    this.#declined = new Holds({ forMs: bounds.declineMs, perLink: bounds.declinesPerLink }, ended)
    for (let address = plan.first; address <= plan.last; address++) this.#settle(address)
  }

  get counts(): {
    readonly leases: number
    readonly offers: number
    readonly declined: number
    readonly unused: number
  } {
    return {
      leases: this.#byAddress.size,
      offers: this.#offers.size,
      declined: this.#declined.size,
      unused: this.#pool.unused,
    }
  }

  leases(): Lease[] {
    return [...this.#byAddress.values()].map(({ lease }) => lease)
  }

  of(key: string): Bound | undefined {
    return this.#byKey.get(key)
  }

  at(address: number): Bound | undefined {
    return this.#byAddress.get(address)
  }

  expire(now: number): void {
    this.#offers.expire(now)
    this.#declined.expire(now)
  }

  /** Whether the client may have this address. */
  mayHave(client: Client, address: number, now: number): boolean {
    const reservation = this.#plan.reservations.of(client)
    if (reservation?.at !== address && !this.#isDynamic(address)) return false
    if (this.#declined.at(address) !== undefined) return false
    const offer = this.#offers.at(address)
    if (offer !== undefined && offer.key !== client.key) return false
    const holder = this.#byAddress.get(address)
    if (holder === undefined || holder.key === client.key || holder.lease.expires <= now) return true
    // A reservation names one machine or card: what started from it before, such as an initial RAM disk, makes room.
    return reservation?.at === address && this.#plan.reservations.of(holder.lease)?.at === address
  }

  /**
   * The address for a client, in the order of RFC 2131, section 4.3.1: reserved, its own, its former one, the one it asks for, then the lowest
   * that is unused, then the one that expired first. Undefined where there is none.
   */
  choose(client: Client, requested: number | undefined, now: number): number | undefined {
    const wishes = [
      this.#plan.reservations.of(client)?.at,
      this.#byKey.get(client.key)?.at,
      this.#offers.of(client.key)?.address,
      this.#formerOf(client),
      requested,
    ]
    const granted = wishes.find((address) => address !== undefined && this.mayHave(client, address, now))
    return granted ?? this.#pool.first() ?? this.#oldestExpired(now)
  }

  /** Keeps the address for the client for as long as an offer lasts. Of an address that it may have. */
  offer(client: Client, address: number, now: number): void {
    const before = this.#offers.of(client.key)
    if (before !== undefined && before.address !== address) this.#offers.end(before)
    this.#offers.add(address, client.key, linkOf(client), now)
    this.#pool.take(address)
  }

  withdraw(client: Client): void {
    const offer = this.#offers.of(client.key)
    if (offer !== undefined) this.#offers.end(offer)
  }

  /** Binds an address that the client may have, until `expires`. */
  grant(client: Client, address: number, now: number, expires: number): Lease {
    const own = this.#byKey.get(client.key)
    const { mac, clientId, machine, hostName } = client
    const lease: Lease = {
      address: addressText(address),
      mac,
      ...(clientId === undefined ? {} : { clientId }),
      ...(machine === undefined ? {} : { machine }),
      ...(hostName === undefined ? {} : { hostName }),
      granted: own?.at === address ? own.lease.granted : now,
      renewed: now,
      expires,
    }
    this.withdraw(client)
    this.#bind({ at: address, key: client.key, lease })
    if (machine !== undefined) this.#former.delete(machine)
    return lease
  }

  /** The client gave it back: it is its former address from now on. */
  release(bound: Bound, now: number): void {
    this.#bind({ ...bound, lease: { ...bound.lease, expires: Math.min(bound.lease.expires, now) } })
  }

  /** Somebody else answers for the address: it is nobody's for a while. False where the client has nothing to do with it. */
  decline(client: Client, address: number, now: number): boolean {
    const bound = this.#byAddress.get(address)
    const offer = this.#offers.at(address)
    if (bound?.key !== client.key && offer?.key !== client.key) return false
    if (offer !== undefined) this.#offers.end(offer)
    if (bound !== undefined) this.drop(bound)
    this.#declined.add(address, client.key, linkOf(client), now)
    this.#pool.take(address)
    return true
  }

  /**
   * Somebody uses the address without having asked: it is nobody's for a while. False where that changes nothing: of a live lease its holder finds
   * out, and declines.
   */
  conflict(address: number, link: string, now: number): boolean {
    const bound = this.#byAddress.get(address)
    const known = this.#offers.at(address) !== undefined || this.#declined.at(address) !== undefined
    if (known || !this.#isDynamic(address) || (bound !== undefined && bound.lease.expires > now)) return false
    if (bound !== undefined) this.drop(bound)
    this.#declined.add(address, link, link, now)
    this.#pool.take(address)
    return true
  }

  drop(bound: Bound): void {
    this.#unbind(bound)
    this.#settle(bound.at)
  }

  /** Its client is gone: anybody may have the address, and first of all its machine, should that come back before. */
  giveBack(bound: Bound): void {
    const { machine, address } = bound.lease
    this.drop(bound)
    if (machine !== undefined) this.#former.add({ machine, address })
  }

  /** The leases of a machine, in the order they were renewed. */
  ofMachine(machine: string): readonly Bound[] {
    return [...(this.#byLink.get(machine) ?? [])]
  }

  get former(): readonly KeptAddress[] {
    return this.#former.list()
  }

  /** Takes them from elsewhere. */
  remember(former: readonly KeptAddress[]): void {
    for (const each of former) if (!this.#byLink.has(each.machine)) this.#former.add(each)
  }

  /** Keeps the address for one machine, which nobody else has a live lease of. Throws what `Reservations.keep` throws. */
  reserve(machine: string, at: number): void {
    const before = this.#plan.reservations.keptOf(machine)
    this.#plan.reservations.keep(machine, at)
    if (before !== undefined) this.#settle(before)
    const bound = this.#byAddress.get(at)
    if (bound !== undefined && bound.lease.machine !== machine) this.drop(bound)
    this.#pool.take(at)
  }

  /** Returns the address that was kept. */
  unreserve(machine: string): number | undefined {
    const at = this.#plan.reservations.drop(machine)
    if (at !== undefined) this.#settle(at)
    return at
  }

  /** Takes a lease from elsewhere. False where its address is not of this network or not free, or its client has another. */
  restore(lease: Lease): boolean {
    const key = keyOf(lease, this.#plan.identity)
    const at = addressOf(lease.address)
    if (at === undefined || !contains(this.#plan.subnet, at)) return false
    if (this.#plan.reservations.of(lease)?.at !== at && !this.#isDynamic(at)) return false
    if (this.#byAddress.has(at) || this.#byKey.has(key) || this.#declined.at(at) !== undefined) return false
    this.#bind({ at, key, lease })
    return true
  }

  /** A link is gone, and what it was offered with it. */
  endLink(link: string): void {
    this.#offers.endLink(link)
  }

  #isDynamic(address: number): boolean {
    const { first, last, apart, reservations } = this.#plan
    return address >= first && address <= last && !apart.has(address) && !reservations.has(address)
  }

  /** Where a machine that has nothing had something before it was removed, and nobody has that now. */
  #formerOf({ machine }: Client): number | undefined {
    if (machine === undefined || this.#byLink.has(machine)) return undefined
    const former = this.#former.of(machine)
    const at = former === undefined ? undefined : addressOf(former)
    return at === undefined || this.#byAddress.has(at) ? undefined : at
  }

  #bind(bound: Bound): void {
    const { at, key } = bound
    for (const other of [this.#byAddress.get(at), this.#byKey.get(key)]) {
      if (other === undefined) continue
      this.#unbind(other)
      if (other.at !== at) this.#settle(other.at)
    }
    this.#byAddress.set(at, bound)
    this.#byKey.set(key, bound)
    this.#pool.take(at)
    this.#nextExpiry = Math.min(this.#nextExpiry, bound.lease.expires)
    const link = linkOf(bound.lease)
    const others = this.#byLink.get(link) ?? new Set()
    this.#byLink.set(link, others.add(bound))
    const [oldest] = others
    if (others.size > this.#leasesPerLink && oldest !== undefined) this.drop(oldest)
  }

  #unbind(bound: Bound): void {
    this.#byAddress.delete(bound.at)
    this.#byKey.delete(bound.key)
    const link = linkOf(bound.lease)
    const others = this.#byLink.get(link)
    others?.delete(bound)
    if (others?.size === 0) this.#byLink.delete(link)
  }

  /** Puts an address back among the unused ones if nobody has anything to do with it. */
  #settle(address: number): void {
    const taken =
      this.#byAddress.has(address) ||
      this.#offers.at(address) !== undefined ||
      this.#declined.at(address) !== undefined
    if (!taken && this.#isDynamic(address)) this.#pool.give(address)
  }

  #oldestExpired(now: number): number | undefined {
    if (this.#nextExpiry > now) return undefined
    let oldest: Bound | undefined
    let next = Number.POSITIVE_INFINITY
    for (const bound of this.#byAddress.values()) {
      if (!this.#isDynamic(bound.at)) continue
      const { expires } = bound.lease
      next = Math.min(next, expires)
      const free = expires <= now && this.#offers.at(bound.at) === undefined
      if (free && expires < (oldest?.lease.expires ?? Number.POSITIVE_INFINITY)) oldest = bound
    }
    this.#nextExpiry = next
    return oldest?.at
  }
}

function linkOf({ machine }: Pick<Client, "machine">): string {
  return machine ?? ""
}
