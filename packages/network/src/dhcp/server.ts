/**
 * A DHCP server without sockets, timers or files: RFC 2131, section 4.3.
 *
 * ```
 * receive(bytes, { now, machine }) ─► Reply | undefined
 * pollAt() ─► when dispatch(now) wants to be called: it hands the leases to the store, at most ten times a second
 * ```
 *
 * It is the only server of its network, and says so: a client whose address is wrong gets a NAK at once.
 *
 * Deviation: RFC 2131, section 4.3.2, INIT-REBOOT: "If the DHCP server has no record of this client, then it MUST remain silent". Here a
 * free address is confirmed and a taken one refused, as there is no other server whose client it could be. So a lost lease file costs nobody
 * its address who comes back with one.
 *
 * An ACK that gives an address says so (`binds`): who sends it does that when the store has the lease.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { u32 } from "@skep/wire/bytes"
import { code, type DhcpMessage, decode, type Malformed, parse } from "@skep/wire/dhcp"
import { addressOf, addressText, contains } from "./address.ts"
import { Allowance } from "./allowance.ts"
import { Bindings, type Bounds } from "./bindings.ts"
import { labelOf } from "./host-name.ts"
import { type Client, clientOf, keyOf, type Lease } from "./lease.ts"
import { type DhcpNetwork, LEASE_SECONDS_MIN, type Plan, planOf } from "./plan.ts"
import { type KeptAddress, type Remembered, sameKept } from "./remembered.ts"
import { type Answer, type Reply, replyTo } from "./reply.ts"
import { type Ignored, type Request, requestOf } from "./request.ts"
import type { Store } from "./store.ts"

export interface ServerBounds extends Bounds {
  /** Read of one link; what comes beyond it is dropped. */
  readonly messagesPerSecond: number
}

/** For a network of 250 machines and a pool of 253 addresses; a machine may lead several clients to its link. */
export const DEFAULT_BOUNDS: ServerBounds = {
  offerMs: 60_000,
  offersPerLink: 16,
  leasesPerLink: 32,
  declineMs: 600_000,
  declinesPerLink: 8,
  messagesPerSecond: 200,
}

export interface ServerOptions {
  readonly network: DhcpNetwork
  readonly store: Store
  readonly bounds?: Partial<ServerBounds>
  /** The machine that is seen to use an address now, leased or not. */
  readonly usedBy?: (address: number) => string | undefined
}

/** From where and when a message came. */
export interface Arrival {
  /** Milliseconds of the epoch. */
  readonly now: number
  /** The machine whose link it came by. */
  readonly machine?: string
  /** The largest packet of that link; the network's unless told. */
  readonly mtu?: number
}

export type ServerCounter =
  | NonNullable<DhcpMessage["type"]>
  | Malformed
  | Ignored
  /** Nothing is left for a DISCOVER: it gets no answer. */
  | "pool-exhausted"
  /** An address that was not offered, since another machine uses it. */
  | "in-use"
  | "rate-limited"
  /** A REQUEST that takes another server's offer. */
  | "elsewhere"
  /** A RELEASE or DECLINE of an address that is not the client's. */
  | "not-its-address"
  /** A lease of the store that is not of this network, or whose address is another's. */
  | "not-restored"
  /** A reservation of the store that is not of this network, or whose address is another's. */
  | "not-reserved"

/** What a machine is called, for DNS. */
export interface NamedLease {
  /** One label: `NAME.skep.internal`. */
  readonly name: string
  readonly lease: Lease
}

const SAVE_DELAY_MS = 100
/** Addresses that are passed over for one client since others use them; then the client itself has to find out. */
const USED_MAX = 8
const SECOND = 1000

export class DhcpServer {
  readonly #plan: Plan
  readonly #store: Store
  readonly #usedBy: (address: number) => string | undefined
  readonly #bindings: Bindings
  readonly #allowance: Allowance
  readonly #attached: Set<string> = new Set()
  readonly #counters: Partial<Record<ServerCounter, number>> = {}
  /** Reservations that are kept though they are not of this network now: it may be another one tomorrow. */
  #foreign: readonly KeptAddress[] = []
  /** When the leases go to the store. */
  #saveAt: number = Number.POSITIVE_INFINITY

  /** Throws "bad-options". */
  constructor({ network, store, bounds, usedBy = () => undefined }: ServerOptions) {
    const all = { ...DEFAULT_BOUNDS, ...bounds }
    this.#plan = planOf(network)
    this.#store = store
    this.#usedBy = usedBy
    this.#bindings = new Bindings(this.#plan, all)
    this.#allowance = new Allowance(all.messagesPerSecond)
    const { reservations, former } = store.remembered
    this.#reserveAll(reservations, 0) // there is no lease yet
    this.#take(store.load())
    this.#bindings.remember(former)
  }

  /** Messages by type, in and out, and what was dropped by its reason. Only what happened is there. */
  get counters(): Readonly<Partial<Record<ServerCounter, number>>> {
    return this.#counters
  }

  /** How much of its bounded memory is in use. */
  get counts(): Bindings["counts"] {
    return this.#bindings.counts
  }

  /**
   * Reads one message: the payload of a datagram to port 67. Keeps nothing of `bytes`, which may not change meanwhile. The reply goes out on the
   * link that the message came by.
   */
  receive(bytes: Uint8Array, { now, machine, mtu }: Arrival): Reply | undefined {
    if (!this.#allowance.take(machine ?? "", now)) return this.#count("rate-limited")
    const message = parse(bytes, 0, bytes.length)
    if (typeof message === "string") return this.#count(message)
    const request = requestOf(message, this.#plan)
    if (typeof request === "string") return this.#count(request)
    if (message.type !== undefined) this.#count(message.type)
    this.#bindings.expire(now)
    const client = clientOf(message, machine, this.#plan.identity)
    const answer = this.#answer(request, { message, client, now })
    if (answer === undefined) return undefined
    this.#count(answer.type)
    return replyTo(message, mtu === undefined ? answer : { ...answer, mtu }, this.#plan)
  }

  /** When `dispatch` is due; infinity where there is nothing to do. */
  pollAt(): number {
    return this.#saveAt
  }

  dispatch(now: number): void {
    // A clock that was set back must not put it off for ever.
    if (this.#saveAt > now + SAVE_DELAY_MS && this.#saveAt !== Number.POSITIVE_INFINITY) this.#saveAt = now
    if (this.#saveAt > now) return
    this.#saveAt = Number.POSITIVE_INFINITY
    this.#store.save(this.#bindings.leases(), this.remembered())
  }

  /** Saves now what is not saved, before the server goes. */
  flush(): void {
    if (this.#saveAt !== Number.POSITIVE_INFINITY) this.dispatch(this.#saveAt)
  }

  /** All leases, the expired ones too. */
  leases(): readonly Lease[] {
    return this.#bindings.leases()
  }

  /** The machine that has the address of 4 bytes at `at` at `now`, by a lease that has not expired. */
  holderOf(bytes: Uint8Array, at: number, now: number): string | undefined {
    const lease = this.#bindings.at(u32(bytes, at))?.lease
    return lease === undefined || lease.expires <= now ? undefined : lease.machine
  }

  /**
   * The names of those that have an address at `now`. A machine's own name or that of its reservation goes before names that clients give
   * themselves; of two with the same, the one that was renewed last for a machine's, the one that came first for a client's. Nobody gets the
   * name of a machine that is attached.
   */
  names(now: number): readonly NamedLease[] {
    const given = new Map<string, Lease>()
    const claimed = new Map<string, Lease>()
    const machines = new Set([...this.#attached].map((machine) => labelOf(machine)))
    for (const lease of this.#bindings.leases()) {
      if (lease.expires <= now) continue
      const name = this.#nameOf(lease)
      const before = name === undefined ? undefined : given.get(name)
      if (name !== undefined && (before === undefined || before.renewed < lease.renewed))
        given.set(name, lease)
      const own = lease.hostName
      if (own === undefined || machines.has(own)) continue
      const first = claimed.get(own)
      if (first === undefined || lease.granted < first.granted) claimed.set(own, lease)
    }
    return [...new Map([...claimed, ...given])].map(([name, lease]) => ({ name, lease }))
  }

  /** A machine's link is there: its leases are not forgotten because somebody says so. */
  attach(machine: string): void {
    this.#attached.add(machine)
  }

  detach(machine: string): void {
    this.#attached.delete(machine)
    this.#allowance.drop(machine)
    this.#bindings.endLink(machine)
  }

  /**
   * Somebody, such as the janitor, took these from the lease file. They go, unless they were renewed since or their machine is attached: such
   * are saved again.
   */
  forget(leases: readonly Lease[], now: number): void {
    for (const lease of leases) {
      this.#touch(now)
      const bound = this.#bindings.of(keyOf(lease, this.#plan.identity))
      const same = bound?.lease.address === lease.address && bound.lease.renewed === lease.renewed
      const attached = lease.machine !== undefined && this.#attached.has(lease.machine)
      if (bound !== undefined && same && !attached) this.#bindings.giveBack(bound)
    }
  }

  /**
   * A machine is gone for good: its addresses are free at once. Should it come back before others take them, they are its own again. Returns what
   * it had. Throws "busy" while its link is there.
   */
  giveBack(machine: string, now: number): readonly Lease[] {
    if (this.#attached.has(machine))
      throw new SidecarError(
        "busy",
        `Cannot give the address of "${machine}" back: its link is on the network`,
        {
          next: "Remove the link first",
        },
      )
    const bounds = this.#bindings.ofMachine(machine)
    for (const bound of bounds) this.#bindings.giveBack(bound)
    this.#touch(now)
    return bounds.map(({ lease }) => lease)
  }

  /**
   * From now on the address is for that machine alone, instead of another one that was. A machine that has another one gets this one when it asks
   * the next time. Throws "bad-options" where it is not to be had here, "exists" where it is reserved for another, "address-in-use" where another
   * machine has it now.
   */
  reserve(kept: KeptAddress, now: number): void {
    this.#reserve(kept, now)
    this.#foreign = this.#foreign.filter(({ machine }) => machine !== kept.machine)
    this.#touch(now)
  }

  /** Returns the address that was reserved for the machine; undefined where there was none. */
  unreserve(machine: string, now: number): string | undefined {
    const at = this.#bindings.unreserve(machine)
    const foreign = this.#foreign.find((each) => each.machine === machine)
    this.#foreign = this.#foreign.filter((each) => each !== foreign)
    this.#touch(now)
    return at === undefined ? foreign?.address : addressText(at)
  }

  /** What is to be kept beside the leases. Reservations in the order of their machines. */
  remembered(): Remembered {
    const reservations = [...this.#plan.reservations.kept(), ...this.#foreign]
    return {
      reservations: reservations.toSorted((one, other) => (one.machine < other.machine ? -1 : 1)),
      former: this.#bindings.former,
    }
  }

  /** Somebody else wrote that into the lease file. */
  remember({ reservations, former }: Remembered, now: number): void {
    this.#touch(now)
    this.#bindings.remember(former)
    const mine = this.remembered().reservations
    if (sameKept(mine, reservations)) return
    for (const { machine } of mine) this.unreserve(machine, now)
    this.#reserveAll(reservations, now)
  }

  #reserve({ machine, address }: KeptAddress, now: number): void {
    const refuse = (code: "address-in-use" | "bad-options", reason: string): SidecarError =>
      new SidecarError(code, `Cannot reserve ${address} for "${machine}": ${reason}`)
    const { subnet, apart } = this.#plan
    const at = addressOf(address)
    const own = at === undefined || !contains(subnet, at) || at === subnet.network || at === subnet.broadcast
    if (at === undefined || own) throw refuse("bad-options", `it is no address of ${subnet.text}`)
    if (apart.has(at)) throw refuse("bad-options", "it is the gateway's or the host's own")
    const lease = this.#bindings.at(at)?.lease
    const holder = lease !== undefined && lease.expires > now ? lease.machine : this.#usedBy(at)
    if (holder !== undefined && holder !== machine) throw refuse("address-in-use", `"${holder}" has it now`)
    this.#bindings.reserve(machine, at)
  }

  #reserveAll(reservations: readonly KeptAddress[], now: number): void {
    const foreign: KeptAddress[] = []
    for (const each of reservations) {
      try {
        this.#reserve(each, now)
      } catch (error) {
        if (!(error instanceof SidecarError)) throw error
        this.#count("not-reserved")
        foreign.push(each)
      }
    }
    this.#foreign = foreign
  }

  /** Takes leases that somebody added to the lease file, where their addresses are free. */
  restore(leases: readonly Lease[], now: number): void {
    if (leases.length === 0) return
    this.#touch(now)
    this.#take(leases)
  }

  #take(leases: readonly Lease[]): void {
    // In the order they were renewed, which is the order in which a link with too many loses them. The last one of a client, and of an address.
    const byKey = new Map<string, Lease>()
    for (const lease of leases.toSorted((one, other) => one.renewed - other.renewed)) {
      const key = keyOf(lease, this.#plan.identity)
      byKey.delete(key)
      byKey.set(key, lease)
    }
    const byAddress = new Map([...byKey.values()].map((lease) => [lease.address, lease]))
    for (const lease of byAddress.values()) if (!this.#bindings.restore(lease)) this.#count("not-restored")
  }

  #answer(request: Request, context: Context): Answer | undefined {
    const { client, now } = context
    switch (request.kind) {
      case "discover":
        return this.#discover(request.requested, context)
      case "select":
      case "confirm":
        return this.#request(request, context)
      case "elsewhere":
        this.#bindings.withdraw(client)
        return this.#count("elsewhere")
      case "decline":
        if (!this.#bindings.decline(client, request.address, now)) return this.#count("not-its-address")
        this.#touch(now)
        return undefined
      case "release":
        return this.#release(request.address, context)
      case "inform":
        return { type: "ack", address: 0, ...this.#hostName(client) }
    }
  }

  #discover(requested: number | undefined, { message, client, now }: Context): Answer | undefined {
    const address = this.#choose(client, requested, now)
    if (address === undefined) return this.#count("pool-exhausted")
    this.#bindings.offer(client, address, now)
    return { type: "offer", address, leaseSeconds: this.#leaseSeconds(message), ...this.#hostName(client) }
  }

  /**
   * RFC 2131, section 3.1, step 2: a server SHOULD probe an address before it offers it. Nobody is asked and waited for here: who uses an address on
   * this network was heard to say so. What is used without a lease is held as if it had been declined, within the bounds of that machine.
   */
  #choose(client: Client, requested: number | undefined, now: number): number | undefined {
    for (let tries = 0; ; tries++) {
      const address = this.#bindings.choose(client, requested, now)
      const user = address === undefined ? undefined : this.#otherUser(client, address)
      if (address === undefined || user === undefined || tries === USED_MAX) return address
      this.#count("in-use")
      if (!this.#bindings.conflict(address, user, now)) return address
    }
  }

  #otherUser(client: Client, address: number): string | undefined {
    const user = this.#usedBy(address)
    return user === client.machine ? undefined : user
  }

  #request(
    request: Extract<Request, { kind: "select" | "confirm" }>,
    { message, client, now }: Context,
  ): Answer {
    const { address } = request
    const refusal = this.#refusal(client, request, now)
    if (refusal !== undefined) {
      this.#bindings.withdraw(client)
      return { type: "nak", address: 0, reason: refusal }
    }
    const leaseSeconds = this.#leaseSeconds(message)
    this.#bindings.grant(client, address, now, now + leaseSeconds * SECOND)
    this.#touch(now)
    return { type: "ack", address, leaseSeconds, ...this.#hostName(client) }
  }

  /** Why the client cannot have the address. */
  #refusal(
    client: Client,
    { kind, address }: { kind: string; address: number },
    now: number,
  ): string | undefined {
    if (!contains(this.#plan.subnet, address)) return "wrong network"
    const reserved = this.#plan.reservations.of(client)?.at
    if (reserved !== undefined && reserved !== address && this.#bindings.mayHave(client, reserved, now)) {
      return "another address is reserved for this client"
    }
    const own = this.#bindings.of(client.key)
    if (kind === "confirm" && own !== undefined && own.at !== address && own.lease.expires > now) {
      return "another address is leased to this client"
    }
    if (kind === "confirm" && own?.at !== address && this.#otherUser(client, address) !== undefined) {
      return "another machine uses this address"
    }
    return this.#bindings.mayHave(client, address, now) ? undefined : "address not available"
  }

  #release(address: number, { client, now }: Context): undefined {
    const bound = this.#bindings.of(client.key)
    if (bound?.at !== address) return this.#count("not-its-address")
    this.#bindings.release(bound, now)
    this.#touch(now)
    return undefined
  }

  /** What the client asks for, if that is less than all and not too little. */
  #leaseSeconds(message: DhcpMessage): number {
    const said = message.options.get(code.LEASE_TIME)
    const wanted = said === undefined ? undefined : decode(code.LEASE_TIME, said)
    if (typeof wanted !== "number") return this.#plan.leaseSeconds
    return Math.max(LEASE_SECONDS_MIN, Math.min(wanted, this.#plan.leaseSeconds))
  }

  #hostName(client: Client): { readonly hostName?: string } {
    const hostName = this.#nameOf(client)
    return hostName === undefined ? {} : { hostName }
  }

  #nameOf(client: Omit<Client, "key">): string | undefined {
    const { machine } = client
    const reserved = this.#plan.reservations.of(client)?.hostName
    return reserved ?? (machine === undefined ? undefined : labelOf(machine))
  }

  #touch(now: number): void {
    this.#saveAt = Math.min(this.#saveAt, now + SAVE_DELAY_MS)
  }

  #count(what: ServerCounter): undefined {
    this.#counters[what] = (this.#counters[what] ?? 0) + 1
    return undefined
  }
}

interface Context {
  readonly message: DhcpMessage
  readonly client: Client
  readonly now: number
}
