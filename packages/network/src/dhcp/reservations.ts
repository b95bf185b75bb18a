/**
 * Addresses that are for one client alone: those of the network's options, and those that machines were given while it runs.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { addressText } from "./address.ts"
import { labelOf } from "./host-name.ts"
import type { Client } from "./lease.ts"
import type { KeptAddress } from "./remembered.ts"

/** An address that is for one client alone: the one on this machine, with this client identifier, or with this MAC address. */
export interface Reservation {
  readonly address: string
  readonly machine?: string
  /** The bytes of option 61 in hex, the type included: "01525400…". Colons may stand between them. */
  readonly clientId?: string
  /** "52:54:00:0a:0b:0c" */
  readonly mac?: string
  /** Told to the client (option 12) and its name in DNS. Otherwise the machine's name. */
  readonly hostName?: string
}

/** With the address as a number. */
export interface Reserved extends Reservation {
  readonly at: number
}

/** More machines than a network has at one time; they may be there one after the other. */
const KEPT_MAX = 4096

export class Reservations {
  /** By owner. */
  readonly #configured: ReadonlyMap<string, Reserved>
  readonly #configuredAt: ReadonlySet<number>
  readonly #kept = new Map<string, Reserved>()
  readonly #keptAt = new Map<number, string>()

  /** `server` is nobody's to have. Throws "bad-options". */
  constructor(configured: readonly Reserved[], server: number) {
    this.#configured = byOwner(configured, server)
    this.#configuredAt = new Set(configured.map(({ at }) => at))
  }

  /** The one for a client: by its machine, then its identifier, then its MAC address. */
  of({ machine, clientId, mac }: Omit<Client, "key">): Reserved | undefined {
    return (
      (machine === undefined
        ? undefined
        : (this.#kept.get(machine) ?? this.#configured.get(`machine ${machine}`))) ??
      (clientId === undefined ? undefined : this.#configured.get(`id ${clientId}`)) ??
      this.#configured.get(`mac ${mac}`)
    )
  }

  has(at: number): boolean {
    return this.#configuredAt.has(at) || this.#keptAt.has(at)
  }

  /** The address of a machine that was given it by `keep`. */
  keptOf(machine: string): number | undefined {
    return this.#kept.get(machine)?.at
  }

  /** Those by `keep`. */
  kept(): readonly KeptAddress[] {
    return [...this.#kept].map(([machine, { address }]) => ({ machine, address }))
  }

  /** Instead of the one that the machine had by `keep`. Throws "exists" where the address or the machine has another by the options, or the address is kept for another; "busy" for too many. */
  keep(machine: string, at: number): void {
    const refuse = (reason: string): SidecarError =>
      new SidecarError("exists", `Cannot reserve ${addressText(at)} for "${machine}": ${reason}`)
    if (this.#configured.has(`machine ${machine}`)) throw refuse("the network's options say another address")
    if (this.#configuredAt.has(at)) throw refuse("the network's options reserve it for somebody")
    const holder = this.#keptAt.get(at)
    if (holder !== undefined && holder !== machine) throw refuse(`it is reserved for "${holder}"`)
    if (holder === undefined && this.#kept.size >= KEPT_MAX && !this.#kept.has(machine))
      throw new SidecarError("busy", `Cannot reserve another address: ${KEPT_MAX} are reserved`)
    this.drop(machine)
    this.#kept.set(machine, { machine, address: addressText(at), at })
    this.#keptAt.set(at, machine)
  }

  /** Returns the address that it was. */
  drop(machine: string): number | undefined {
    const at = this.#kept.get(machine)?.at
    this.#kept.delete(machine)
    if (at !== undefined) this.#keptAt.delete(at)
    return at
  }
}

function byOwner(reserved: readonly Reserved[], server: number): ReadonlyMap<string, Reserved> {
  const owners = new Map<string, Reserved>()
  const addresses = new Set([server])
  for (const reservation of reserved) {
    const { address, at, hostName } = reservation
    if (addresses.has(at)) throw bad(`${address} is the gateway's or reserved twice`)
    addresses.add(at)
    if (hostName !== undefined && labelOf(hostName) !== hostName) throw bad(`"${hostName}" is no host name`)
    const owner = ownerOf(reservation)
    if (owners.has(owner)) throw bad(`two addresses are reserved for ${owner}`)
    owners.set(owner, reservation)
  }
  return owners
}

function ownerOf({ address, machine, clientId, mac }: Reservation): string {
  if ([machine, clientId, mac].filter((owner) => owner !== undefined).length !== 1) {
    throw bad(`${address} is not reserved for one machine, one client identifier or one MAC address`)
  }
  if (machine !== undefined) return `machine ${machine}`
  if (clientId !== undefined) {
    const plain = clientId.toLowerCase().replaceAll(":", "")
    if (!/^([0-9a-f]{2})+$/.test(plain)) throw bad(`"${clientId}" is no client identifier in hex`)
    return `id ${plain}`
  }
  const plain = (mac ?? "").toLowerCase()
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(plain)) throw bad(`"${mac}" is no MAC address`)
  return `mac ${plain}`
}

function bad(reason: string): SidecarError {
  return new SidecarError("bad-options", `Cannot serve DHCP: ${reason}`)
}
