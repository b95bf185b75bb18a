/**
 * Which lease is meant, whatever has moved in its file; another one when it has been renewed. Pure.
 *
 * Entries that are the same to a server (one address, client, end and state) are told apart by their order, and by how many they are: when one of them goes,
 * no other has its key.
 *
 * @module
 */
import type { Document, Lease } from "../model.ts"
import { repeatedAddresses } from "./repeated.ts"

export class Keys {
  readonly #leases: readonly Lease[]
  /** Of those only that are not alone; made when the first key is asked for. */
  #places: ReadonlyMap<Lease, string> | undefined

  constructor({ leases }: Pick<Document, "leases">) {
    this.#leases = leases
  }

  of(lease: Lease): string {
    this.#places ??= placesOf(this.#leases)
    return plainKeyOf(lease) + (this.#places.get(lease) ?? "")
  }
}

function placesOf(leases: readonly Lease[]): ReadonlyMap<Lease, string> {
  const addresses = repeatedAddresses(leases)
  const groups = new Map<string, Lease[]>()
  for (const lease of leases) {
    if (!addresses.mayBe(lease)) continue
    const key = plainKeyOf(lease)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [lease])
    else group.push(lease)
  }
  const places = new Map<Lease, string>()
  for (const group of groups.values()) {
    if (group.length < 2) continue
    group.forEach((lease, index) => places.set(lease, ` ${index + 1}/${group.length}`))
  }
  return places
}

function plainKeyOf({ address, clientId, hardware, expires, state }: Lease): string {
  return `${address} ${clientId ?? hardware ?? ""} ${expires ?? ""}${state === "bound" ? "" : ` ${state}`}`
}
